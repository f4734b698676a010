"""Work beside the caller's: the same as `map`, in order, in bounded memory, and without a trace afterwards."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from musiczoo.errors import InputError
from musiczoo.threads import AHEAD, overlapped, thread_count


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_it_is_map(threads: int, count: int) -> None:
    assert list(overlapped(lambda x: x * x, range(count), threads)) == [x * x for x in range(count)]


def test_results_come_in_the_order_of_the_items_whichever_is_done_first() -> None:
    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3 == 0))
        return item

    assert list(overlapped(work, range(20), 4)) == list(range(20))


def test_items_are_made_by_the_caller_and_worked_on_by_others() -> None:
    made, worked = set(), set()

    def items() -> Iterator[int]:
        for i in range(10):
            made.add(threading.get_ident())
            yield i

    def work(item: int) -> None:
        worked.add(threading.get_ident())

    list(overlapped(work, items(), 2))
    assert made == {threading.get_ident()}
    assert worked
    assert threading.get_ident() not in worked


def test_two_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)  # breaks if one waits alone
    assert len(list(overlapped(lambda _: both.wait(), range(2), 2))) == 2


def test_no_more_is_made_than_is_asked_for() -> None:
    """A caller that takes one result finds a bounded number of items made."""
    made = []

    def items() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    results = overlapped(lambda x: x, items(), 2)
    assert next(results) == 0
    assert len(made) == 2 * AHEAD + 1
    results.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_errors_come_where_the_result_would(threads: int) -> None:
    def work(item: int) -> int:
        if item == 3:
            raise KeyError(item)
        return item

    results = overlapped(work, range(10), threads)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)


def test_errors_of_the_items_come_through() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(overlapped(lambda x: x, items(), 2))


@pytest.mark.parametrize("taken", [1, 10])
def test_no_thread_is_left(taken: int) -> None:
    before = threading.active_count()
    results = overlapped(lambda x: x, range(10), 3)
    for _ in range(taken):
        next(results)
    results.close()
    assert threading.active_count() == before


def test_by_default_as_many_as_this_process_may_use() -> None:
    assert thread_count(None) == len(os.sched_getaffinity(0))
    assert thread_count(5) == 5


@pytest.mark.parametrize("wanted", [0, -1, 1.0, "2", True])
def test_other_numbers_are_refused(wanted: object) -> None:
    with pytest.raises(InputError, match=r"whole number of workers from 1"):
        thread_count(wanted, "workers")  # type: ignore[arg-type]

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


def test_items_are_made_by_the_caller() -> None:
    made = set()

    def items() -> Iterator[int]:
        for i in range(10):
            made.add(threading.get_ident())
            yield i

    list(overlapped(lambda x: x, items(), 2))
    assert made == {threading.get_ident()}


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_so_many_threads_work_at_the_same_time_and_the_caller_is_one(threads: int) -> None:
    all_of_them = threading.Barrier(threads, timeout=30)  # breaks if one is missing
    worked, at_once, most, turn = set(), 0, 0, threading.Lock()

    def work(item: int) -> None:
        nonlocal at_once, most
        worked.add(threading.get_ident())
        with turn:
            at_once += 1
            most = max(most, at_once)
        all_of_them.wait()
        with turn:
            at_once -= 1

    list(overlapped(work, range(5 * threads), threads))
    assert threading.get_ident() in worked
    assert len(worked) == most == threads


@pytest.mark.parametrize("slow", [False, True])
def test_no_more_is_made_than_is_needed(slow: bool) -> None:
    """Of what is made, a bounded number waits to be worked on or asked for, though the first takes longest."""
    made, unasked, gate = 0, 0, threading.Event()

    def items() -> Iterator[int]:
        nonlocal made, unasked
        for i in range(1000):
            made += 1
            unasked = max(unasked, made - asked)
            if made > 4 * AHEAD:
                gate.set()
            yield i

    def work(item: int) -> int:
        if slow and item == 0:
            gate.wait(timeout=30)
        return item

    asked = 0
    for result in overlapped(work, items(), 2):
        assert result == asked
        asked += 1
    assert (made, asked) == (1000, 1000)
    assert unasked <= 2 * AHEAD * 2 + 2


def test_ctrl_c_in_the_caller_comes_at_once() -> None:
    def work(item: int) -> None:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        gate.wait(timeout=30)

    gate = threading.Event()
    timer = threading.Timer(0.2, gate.set)  # the other thread must end before the pool does
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(overlapped(work, range(1000), 2))
    timer.join()


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

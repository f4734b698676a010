"""Work beside the caller's: the same as `map`, in order, in bounded memory, and without a trace afterwards."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from musiczoo._parallel import AHEAD, Together, completed, mapped, overlapped, thread_count
from musiczoo.errors import InputError


def results_only(work: Callable[[Any], Any], items: Any, workers: int) -> Iterator[Any]:
    """`completed` without the items, so that it is tested beside `mapped`."""
    for _, result in completed(work, items, workers):
        yield result


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
def test_all_threads_including_the_caller_work_at_the_same_time(threads: int) -> None:
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
def test_the_number_of_waiting_parts_is_bounded(slow: bool) -> None:
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


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_mapped_is_map_and_completed_has_the_same_pairs(workers: int, count: int) -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    squares = [x * x for x in range(count)]
    assert list(mapped(work, range(count), workers)) == squares
    assert sorted(completed(work, range(count), workers)) == list(enumerate(squares))


def test_completed_yields_first_what_is_done_first() -> None:
    first = threading.Event()
    results = completed(lambda item: first.wait(timeout=30) if item == 0 else True, range(2), 2)
    assert next(results)[0] == 1
    first.set()
    assert list(results) == [(0, True)]


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("function", [mapped, results_only])
def test_as_many_items_as_workers_at_the_same_time_each_in_one_thread(
    workers: int, function: Callable[..., Any]
) -> None:
    all_of_them = threading.Barrier(workers, timeout=30)  # breaks if one is missing

    def work(item: int) -> set[int]:
        all_of_them.wait()
        here = {threading.get_ident()}
        all_of_them.wait()
        return here | {threading.get_ident()}

    found = list(function(work, range(4 * workers), workers))
    assert all(len(threads) == 1 for threads in found)
    assert len(set[int]().union(*found)) == workers
    assert threading.get_ident() not in set[int]().union(*found)


@pytest.mark.parametrize("function", [mapped, results_only])
def test_items_are_made_by_the_caller_a_few_ahead(function: Callable[..., Any]) -> None:
    made = 0

    def items() -> Iterator[int]:
        nonlocal made
        while True:  # without an end
            assert threading.current_thread() is caller
            made += 1
            yield made

    caller = threading.current_thread()
    results = function(lambda item: item, items(), 3)
    for asked in range(1, 200):
        next(results)
        assert made - asked <= AHEAD * 3
    results.close()


def test_mapped_raises_what_the_items_raise_after_the_results_of_those_before() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("gone")

    results = mapped(lambda item: item, items(), 4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_mapped_raises_what_work_raises_where_its_result_would_be(workers: int) -> None:
    results = mapped(lambda item: 1 // (item - 3), range(10), workers)
    assert [next(results) for _ in range(3)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_parts_of_an_item_are_shared_by_workers_without_an_item() -> None:
    """Of the last item: half of it is waited for by both threads, so it would never end in one."""
    together = threading.Barrier(2, timeout=30)
    seen = set()

    def part(index: int) -> int:
        if index in (10, 11):
            together.wait()
        seen.add(threading.get_ident())
        return index

    assert list(mapped(lambda item: list(overlapped(part, range(20), 1)), ["only"], 2)) == [list(range(20))]
    assert len(seen) == 2


def test_parts_of_an_item_stay_in_its_thread_while_all_workers_have_items() -> None:
    both = threading.Barrier(2, timeout=30)

    def work(item: int) -> set[int]:
        both.wait()
        threads = set(overlapped(lambda _: threading.get_ident(), range(20), 2))
        both.wait()
        return threads

    assert [len(threads) for threads in mapped(work, range(8), 2)] == [1] * 8


@pytest.mark.parametrize("function", [mapped, results_only])
def test_closing_ends_items_at_their_next_part_and_leaves_no_thread(function: Callable[..., Any]) -> None:
    before, begun, ended = threading.active_count(), 0, 0

    def work(item: int) -> int:
        nonlocal begun, ended
        begun += 1
        if item:  # all but the first have parts without an end
            for _ in overlapped(lambda _: time.sleep(0.001), iter(int, 1), 2):
                pass
        ended += 1
        return item

    results = function(work, range(100), 2)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
    assert begun <= 1 + AHEAD * 2
    assert ended == 1


@pytest.mark.parametrize("function", [mapped, results_only])
def test_ctrl_c_while_waiting_ends_in_order(function: Callable[..., Any]) -> None:
    before = threading.active_count()
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])

    def work(item: int) -> None:
        for _ in overlapped(lambda _: time.sleep(0.001), iter(int, 1), 2):
            pass

    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(function(work, range(100), 2))
    timer.join()
    assert threading.active_count() == before


class Slow:
    """Work for `Together` that notes its batches; the first one waits until `go` is set."""

    def __init__(self, work: Callable[[int], Any]) -> None:
        self.work, self.batches, self.started, self.go = work, [], threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[Any]:
        self.batches.append(list(items))
        self.started.set()
        assert self.go.wait(60)
        return [self.work(item) for item in items]


def together(slow: Slow, most: int, count: int) -> list[Any]:
    """Call with 0, and while that is at work with 1, 2, ..., each in a thread: the result or the error of each."""
    function: Together[int, Any] = Together(slow, most)
    results: list[Any] = [None] * count

    def call(item: int) -> None:
        try:
            results[item] = function(item)
        except ValueError as error:
            results[item] = error

    threads = [threading.Thread(target=call, args=(item,)) for item in range(count)]
    for item, thread in enumerate(threads):
        thread.start()
        assert slow.started.wait(60)
        until = time.monotonic() + 60
        while item and len(function._waiting) < item and time.monotonic() < until:
            time.sleep(0.001)
    slow.go.set()
    for thread in threads:
        thread.join(60)
    return results


@pytest.mark.parametrize(("most", "batches"), [(9, [[0], [1, 2, 3, 4]]), (3, [[0], [1, 2, 3], [4]])])
def test_calls_that_wait_go_together(most: int, batches: list[list[int]]) -> None:
    slow = Slow(lambda item: item * item)
    assert together(slow, most, 5) == [0, 1, 4, 9, 16]
    assert slow.batches == batches


def test_an_error_is_raised_by_all_calls_of_its_batch_and_by_no_other() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    first, *others, last = together(Slow(work), 3, 5)
    assert (first, last) == (0, 4)
    assert [str(error) for error in others] == ["two"] * 3


def test_ctrl_c_in_a_call_leaves_the_others_to_the_next() -> None:
    calls = []

    def work(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return list(items)

    function = Together(work, 8)
    with pytest.raises(KeyboardInterrupt):
        function(1)
    assert function(2) == 2
    assert calls == [[1], [1, 2]]

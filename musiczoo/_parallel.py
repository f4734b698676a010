"""Run work in several threads: songs in parallel, each in one thread, and the excerpts of a song in several.

`Together` is for the opposite: work of several threads that one of them does faster for all.

Conventions
-----------
- Work must release Python's global lock while it computes, as decoders and onnxruntime do.
- `mapped` and `completed` process each item, such as a song, in one thread. That is faster than sharing each song,
  since a decoder runs in one thread.
- `overlapped` shares the parts of an item, such as its excerpts. Inside `mapped` or `completed` it uses the threads
  that have no item: when few songs are left, or one takes long, they help with its excerpts.
- Threads live as long as one iteration, so that none is left at a fork or in another iteration. If an iteration is
  closed early or interrupted by Ctrl-C, each thread finishes only its current part.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Generic, TypeVar

from .errors import InputError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items for each thread that are in progress or wait to be consumed. With `overlapped`, parts that are queued for each
other thread before the caller's thread stops making more and works itself."""


def thread_count(wanted: int | None, what: str = "threads") -> int:
    """Return the number, or for None the number of cores that this process may use (in a container, not all).

    Raises:
        InputError: If it is not a whole number from 1, with `what` in the message.
    """
    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"Expected a whole number of {what} from 1, got {wanted!r}.")
    return wanted


def mapped(work: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R, None, None]:
    """Return ``map(work, items)``, in the order of the items, with each item in one of `workers` threads.

    Args:
        work: Function to run in the threads. Its errors are raised in place of its result.
        items: Iterated by the caller's thread, a few items ahead. Its errors are raised after the results before them.
        workers: Threads, in addition to the caller's.
    """
    waiting: deque[Future[R]] = deque()
    raised: list[Exception] = []
    source = _until_error(items, raised)
    with _crew(workers, workers) as crew:
        while True:
            for item in islice(source, AHEAD * workers - len(waiting)):
                waiting.append(crew.begin(work, item))
                if waiting[0].done():
                    break
            if not waiting:
                break
            yield waiting.popleft().result()
    for error in raised:
        raise error


def completed(work: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[tuple[T, R], None, None]:
    """Yield each item and ``work(item)`` as they complete, with each item in one of `workers` threads.

    Args:
        work: Function to run in the threads. Its errors are raised.
        items: Iterated by the caller's thread, a few items ahead.
        workers: Threads, in addition to the caller's.
    """
    waiting: dict[Future[R], T] = {}
    source = iter(items)
    with _crew(workers, workers) as crew:
        while True:
            for item in islice(source, AHEAD * workers - len(waiting)):
                waiting[crew.begin(work, item)] = item
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()


def overlapped(work: Callable[[T], R], parts: Iterable[T], threads: int) -> Iterator[R]:
    """Return ``map(work, parts)``, in the order of the parts, in up to `threads` threads including the caller's.

    The caller's thread makes the parts, and works on them while the others have enough queued. An additional thread
    would compete with it for a core, and the others would wait for parts meanwhile.

    Args:
        work: Function to run on the parts. Its errors are raised in place of its result.
        parts: Iterated by the caller's thread while others work.
        threads: With 1, this is `map`. Ignored in a thread of `mapped` or `completed`, where idle threads help.
    """
    crew: _Crew | None = getattr(_here, "crew", None)
    if crew:
        yield from crew.share(work, parts)
    elif threads == 1:
        yield from map(work, parts)
    else:
        with _crew(threads, threads - 1) as crew:
            crew.items = 1  # the caller's
            yield from crew.share(work, parts)


class Together(Generic[T, R]):
    """A function of one item whose calls from several threads share their work: those that wait go together.

    Args:
        work: Items -> their results, in order. It runs in one thread at a time, and its errors are raised by the calls
            for all of these items.
        most: Maximum number of items.

    Example:
        >>> from musiczoo._parallel import Together
        >>> square = Together(lambda items: [item * item for item in items], most=8)
        >>> square(3)
        9
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], most: int) -> None:
        self._work, self._most = work, most
        self._waiting: deque[tuple[T, Future[R]]] = deque()
        self._turn = threading.Lock()

    def __call__(self, item: T) -> R:
        """Return the result of an item."""
        mine: Future[R] = Future()
        self._waiting.append((item, mine))
        while not mine.done():
            with self._turn:
                if not mine.done():
                    self._next()
        return mine.result()

    def _next(self) -> None:
        """Do the work of the calls that have waited longest."""
        calls = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            results = self._work([item for item, _ in calls])
        except Exception as error:  # noqa: BLE001  # each of the calls raises it
            for _, future in calls:
                future.set_exception(error)
        except BaseException:  # Ctrl-C, in this thread: another one does the work
            self._waiting.extendleft(reversed(calls))
            raise
        else:
            for (_, future), result in zip(calls, results, strict=True):
                future.set_result(result)


def _until_error(items: Iterable[T], raised: list[Exception]) -> Iterator[T]:
    """Yield the items up to an error, which is appended to a list."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001  # the caller raises it after earlier results
        raised.append(error)


class _Stopped(BaseException):
    """Ends an item whose result is no longer needed. Derived from BaseException, so that `work` does not handle it."""


_here = threading.local()
"""`_here.crew` is the crew for which this thread works on an item."""


class _Crew:
    """Threads that process whole items. Idle ones help with parts of the others' items.

    Attributes:
        items: Number of items in progress.
        stopped: Whether the iteration has ended.
    """

    def __init__(self, threads: int, pool: ThreadPoolExecutor) -> None:
        self.items = 0
        self.stopped = False
        self._threads = threads
        self._pool = pool
        self._lock = threading.Lock()

    def begin(self, work: Callable[[T], R], item: T) -> Future[R]:
        """Start an item in one of the threads."""
        with self._lock:
            self.items += 1
        return self._pool.submit(self._do, work, item)

    def share(self, work: Callable[[T], R], parts: Iterable[T]) -> Iterator[R]:
        """See `overlapped`: uses this thread and idle ones."""
        waiting: deque[Future[R]] = deque()
        todo: deque[tuple[Future[R], T]] = deque()

        def work_on_next() -> bool:
            """Work on the next queued part; return whether there was one."""
            try:
                future, part = todo.popleft()
            except IndexError:
                return False
            try:
                future.set_result(work(part))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):  # Ctrl-C: raise it immediately
                    raise
            return True

        try:
            for part in parts:
                if self.stopped:
                    raise _Stopped
                future: Future[R] = Future()
                waiting.append(future)
                todo.append((future, part))
                idle = max(self._threads - self.items, 0)
                if idle:
                    with suppress(RuntimeError):  # no more threads available: the caller's thread does it all
                        self._pool.submit(work_on_next)
                while len(todo) > AHEAD * idle and work_on_next():
                    pass
                while waiting and (waiting[0].done() or len(waiting) > 2 * AHEAD * self._threads):
                    yield waiting.popleft().result()
            while waiting:
                while not waiting[0].done() and work_on_next():
                    pass
                yield waiting.popleft().result()
        finally:
            todo.clear()

    def _do(self, work: Callable[[T], R], item: T) -> R:
        _here.crew = self
        try:
            if self.stopped:
                raise _Stopped
            return work(item)
        finally:
            _here.crew = None
            with self._lock:
                self.items -= 1


@contextmanager
def _crew(threads: int, beside: int) -> Iterator[_Crew]:
    """Create a crew of threads, `beside` of them in addition to the caller's. It is shut down when the block ends."""
    pool = ThreadPoolExecutor(beside, thread_name_prefix="musiczoo")
    crew = _Crew(threads, pool)
    try:
        yield crew
    finally:
        crew.stopped = True
        pool.shutdown(cancel_futures=True)

"""Several cores: songs side by side, each in one thread, and the excerpts of a song in several.

Conventions
-----------
- What is worth a thread leaves Python to others while it computes, as decoders and onnxruntime do.
- A whole item, such as a song, is decoded and run by one thread: `mapped` and `completed`. That takes less time than
  to share each song, since a decoder is one thread's.
- Parts of an item, such as its excerpts, are shared by `overlapped`. Within an item of the other two it uses those of
  their threads that have no item of their own: when few songs are left, or one takes long, they share its excerpts.
- Threads live as long as one iteration: nothing of them is left for a fork, or for another iteration, to trip over.
  An iteration that is closed early, or ended by Ctrl-C, lets each thread finish only the part that it works on.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TypeVar

from .errors import InputError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items in progress, or done and not yet asked for, for each thread; with `overlapped`, parts that lie ready for each
other thread before the one that makes them makes no more, but works itself."""


def thread_count(wanted: int | None, what: str = "threads") -> int:
    """The number itself, or for None one for each core that this process may use (in a container, not all there are).

    Raises:
        InputError: If it is not a whole number from 1, naming `what`.
    """
    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"Expected a whole number of {what} from 1, received {wanted!r}.")
    return wanted


def mapped(work: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R, None, None]:
    """``map(work, items)``, in the order of the items, each in one of `workers` threads.

    Args:
        work: What takes the time, in one of the threads. What it raises is raised where its result would have been.
        items: Made by the caller's thread, a few ahead. What they raise is raised after the results of those before.
        workers: Threads, beside the caller's.
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
    """Each item and ``work(item)``, in the order in which they end, each in one of `workers` threads.

    Args:
        work: What takes the time, in one of the threads. What it raises is raised.
        items: Made by the caller's thread, a few ahead.
        workers: Threads, beside the caller's.
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
    """``map(work, parts)``, in the order of the parts, in up to `threads` threads, of which the caller's is one.

    The caller's thread makes the parts, and works on them, too, while the others have enough to go on with. One thread
    more would take turns with it on one core, and the others would wait for parts meanwhile.

    Args:
        work: What takes the time. What it raises is raised where its result would have been.
        parts: Made by the caller's thread while others work.
        threads: With one, nothing is overlapped: this is `map`. Not used in a thread of `mapped` or `completed`, where
            the others are those that have nothing else to do.
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


def _until_error(items: Iterable[T], raised: list[Exception]) -> Iterator[T]:
    """The items, up to an error, which is put into a list."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001  # raised by the caller, in its turn
        raised.append(error)


class _Stopped(BaseException):
    """Ends an item whose result nobody waits for any more; not an error that `work` should handle."""


_here = threading.local()
"""Its `crew` is the one for which this thread works on an item."""


class _Crew:
    """Threads that take whole items; those without one help with parts of the others'.

    Attributes:
        items: Begun and not ended.
    """

    def __init__(self, threads: int, pool: ThreadPoolExecutor) -> None:
        self.items = 0
        self.stopped = False
        self._threads = threads
        self._pool = pool
        self._lock = threading.Lock()

    def begin(self, work: Callable[[T], R], item: T) -> Future[R]:
        """Have one thread do an item."""
        with self._lock:
            self.items += 1
        return self._pool.submit(self._do, work, item)

    def share(self, work: Callable[[T], R], parts: Iterable[T]) -> Iterator[R]:
        """See `overlapped`: this thread and those that are idle."""
        waiting: deque[Future[R]] = deque()
        todo: deque[tuple[Future[R], T]] = deque()

        def work_on_next() -> bool:
            """Whether there was a part that nobody had begun."""
            try:
                future, part = todo.popleft()
            except IndexError:
                return False
            try:
                future.set_result(work(part))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):  # Ctrl-C: now, not in its turn
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
                    with suppress(RuntimeError):  # the system gives us no more threads: the caller's does all
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
    """A crew of threads, of which some are `beside` the caller's; it ends, in order, with the block."""
    pool = ThreadPoolExecutor(beside, thread_name_prefix="musiczoo")
    crew = _Crew(threads, pool)
    try:
        yield crew
    finally:
        crew.stopped = True
        pool.shutdown(cancel_futures=True)

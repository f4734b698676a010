"""Several cores: work on items in several threads while the caller's makes the next ones.

Conventions
-----------
- What is worth a thread leaves Python to others while it computes, as decoders and onnxruntime do.
- Threads live as long as one iteration: nothing of them is left for a fork, or for another iteration, to trip over.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from .errors import InputError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items that lie ready for each other thread before the caller's makes no more, but works itself."""


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


def overlapped(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """``map(work, items)``, in the order of the items, in up to so many threads, of which the caller's is one.

    The caller's thread makes the items, and works on them, too, while the others have enough to go on with. One thread
    more would take turns with it on one core, and the others would wait for items meanwhile.

    Args:
        work: What takes the time. What it raises is raised where its result would have been.
        items: Made by the caller's thread while others work.
        threads: With one, nothing is overlapped: this is `map`.
    """
    if threads == 1:
        yield from map(work, items)
        return
    others, most = threads - 1, 2 * AHEAD * threads
    waiting: deque[Future[R]] = deque()
    todo: deque[tuple[Future[R], T]] = deque()

    def work_on_next() -> bool:
        """Whether there was an item that nobody had begun."""
        try:
            future, item = todo.popleft()
        except IndexError:
            return False
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):  # Ctrl-C: now, not in its turn
                raise
        return True

    with ThreadPoolExecutor(others, thread_name_prefix="musiczoo") as pool:
        try:
            for item in items:
                future: Future[R] = Future()
                waiting.append(future)
                todo.append((future, item))
                with suppress(RuntimeError):  # the system gives us no more threads: the caller's does all
                    pool.submit(work_on_next)
                while len(todo) > AHEAD * others and work_on_next():
                    pass
                while waiting and (waiting[0].done() or len(waiting) > most):
                    yield waiting.popleft().result()
            while waiting:
                while not waiting[0].done() and work_on_next():
                    pass
                yield waiting.popleft().result()
        finally:
            todo.clear()

"""Several cores: work on items in other threads while the caller's makes the next ones.

Conventions
-----------
- What is worth a thread leaves Python to others while it computes, as decoders and onnxruntime do.
- Threads live as long as one iteration: nothing of them is left for a fork, or for another iteration, to trip over.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .errors import InputError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items under way, or done and not yet asked for, for each thread: memory does not grow with the number of items."""


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
    """``map(work, items)``, in the order of the items, with `work` in up to so many threads beside the caller's.

    Args:
        work: What takes the time. What it raises is raised where its result would have been.
        items: Made by the caller's thread while others work.
        threads: With one, nothing is overlapped: this is `map`.
    """
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="musiczoo") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

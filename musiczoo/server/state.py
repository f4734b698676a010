"""What the routes of a server share."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from ..library import Library
from ..library.records import Entry
from .catalog import Catalog
from .errors import RequestError, no_such_track
from .settings import Settings
from .synced import Synced

KEPT = 64
"""Number of computed answers that are kept: up to 6 MB each for the map of a large library, far less for others."""

WAITING = 4
"""Number of requests that may wait for a computation."""

RETRY_S = 10
"""Seconds after which a client that was refused should try again."""


class Computed:
    """Answers that take seconds: computed one at a time, and kept while they are among the last ones.

    Further requests wait for their turn, up to `WAITING` of them; others are refused.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._admitted = threading.BoundedSemaphore(1 + WAITING)
        self._turn = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the answer of a key, computed if it is not kept.

        Raises:
            RequestError: If too many requests wait (429).
            Exception: What `compute` raises; then nothing is kept.
        """
        if (kept := self._kept.get(key)) is not None:
            return dict(kept)
        if not self._admitted.acquire(blocking=False):
            message = f"Too many requests wait for an analysis. Try again in {RETRY_S} s."
            raise RequestError(429, "TooManyRequests", message, {"retry-after": str(RETRY_S)})
        try:
            with self._turn:
                if key not in self._kept:
                    self._kept[key] = compute()
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
                return dict(self._kept[key])
        finally:
            self._admitted.release()


@dataclass(frozen=True, eq=False)
class State:
    """What the routes of a server share; an application has it as ``app.state.musiczoo``.

    Attributes:
        library: The library.
        settings: What the server allows.
        catalog: The words of its tracks.
        computed: Answers that take seconds.
        synced: The songs that a media server has, too.
    """

    library: Library
    settings: Settings
    catalog: Catalog
    computed: Computed
    synced: Synced

    @classmethod
    def of(cls, library: Library, settings: Settings) -> "State":
        """Return the state of a new server."""
        return cls(library, settings, Catalog(library.database), Computed(), Synced(library, settings.media_server))

    def track(self, number: int) -> Entry:
        """Return the track of an id.

        Raises:
            RequestError: If there is none (404).
        """
        return self.tracks([number])[0]

    def tracks(self, numbers: Iterable[int]) -> list[Entry]:
        """Return the tracks of ids, in order.

        Raises:
            RequestError: If one does not exist (404).
        """
        wanted = list(numbers)
        found = {entry.id: entry for entry in self.library.entries(sorted(set(wanted)))}
        for number in wanted:
            if number not in found:
                raise no_such_track(number)
        return [found[number] for number in wanted]


async def _state(request: Request) -> State:
    found: State = request.app.state.musiczoo
    return found


Shared = Annotated[State, Depends(_state)]
"""Parameter of a route that gets the state."""

"""What the routes of a server share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from ..library import Library
from ..library.records import Entry
from .catalog import Catalog
from .errors import no_such_track
from .media import TagsOverTime
from .settings import Settings


@dataclass(frozen=True, eq=False)
class State:
    """What the routes of a server share; an application has it as ``app.state.musiczoo``.

    Attributes:
        library: The library.
        settings: What the server allows.
        catalog: The words of its tracks.
        tags_over_time: Its tracks' tags over time.
    """

    library: Library
    settings: Settings
    catalog: Catalog
    tags_over_time: TagsOverTime

    @classmethod
    def of(cls, library: Library, settings: Settings) -> "State":
        """Return the state of a new server."""
        return cls(library, settings, Catalog(library.database), TagsOverTime(library))

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

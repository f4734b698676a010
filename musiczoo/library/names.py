"""Names as people write them: when two are the same, and who is meant where a file names several artists.

Conventions
-----------
- Names are compared in Unicode's NFC, case folded, with single spaces: macOS writes ``ö`` as ``o`` and two dots, and
  taggers disagree about ``Of`` and ``of``.
- Several artists in one field are separated by ``;``, as `metadata` writes them and as taggers do. A comma, a slash or
  an ampersand separates nothing: ``Crosby, Stills & Nash`` and ``AC/DC`` are one name.
"""

import unicodedata
from collections.abc import Iterable


def folded(name: str) -> str:
    """A name as it is compared with others."""
    normal = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return " ".join(normal.split())


def names_of(text: str | None, several: Iterable[str] = ()) -> list[str]:
    """Each name that a field holds: those of `several`, and the parts of `text`; without repetition."""
    parts = [*several, *(part.strip() for part in (text or "").split(";"))]
    return list(dict.fromkeys(part for part in parts if part))


def is_named(text: str | None, lines: str | None, name: str) -> bool:
    """Whether a row's field, or one of its lines, names this one; also by the whole field, however many it names."""
    wanted = folded(name)
    if not wanted:
        return False
    return any(folded(known) == wanted for known in (text or "", *names_of(text, (lines or "").split("\n"))))

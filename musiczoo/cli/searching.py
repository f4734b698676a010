"""What the options of `musiczoo search` are written as: text in, values out."""

from collections.abc import Collection, Iterable, Mapping

import typer

from ..errors import UnknownNameError

Range = tuple[float | None, float | None]


def names(text: str) -> list[str]:
    """``jazz,mellow`` as the two."""
    return [part.strip() for part in text.split(",") if part.strip()]


def weights(text: str | None) -> dict[str, float] | None:
    """``genre=1,mood=2`` as dimension -> weight."""
    if text is None:
        return None
    found = {}
    for part in names(text):
        name, sign, number = part.partition("=")
        if not sign:
            raise _bad("--weights", "DIMENSION=WEIGHT,..., such as genre=1,mood=2", text)
        found[name.strip()] = _number("--weights", number)
    return found


def of(texts: Iterable[str], shortcuts: Mapping[str, str | None], dimensions: Collection[str]) -> dict[str, str]:
    """``mood/theme=song.mp3`` as dimension -> song: the first ``=`` that ends a dimension divides the two.

    Args:
        texts: What ``--of`` was given.
        shortcuts: Dimension -> song, of ``--genre-of`` and so on.
        dimensions: Those of the library.

    Raises:
        UnknownNameError: If a text begins with no dimension of the library.
    """
    found = {dimension: song for dimension, song in shortcuts.items() if song is not None}
    for text in texts:
        ends = [at for at, sign in enumerate(text) if sign == "="]
        if not ends:
            raise _bad("--of", "DIMENSION=SONG, such as mood=song.mp3", text)
        known = [at for at in ends if text[:at].strip() in dimensions]
        if not known:
            raise UnknownNameError.of("dimension", text[: ends[0]].strip(), dimensions)
        name, song = text[: known[0]].strip(), text[known[0] + 1 :]
        if not song.strip():
            raise _bad("--of", "a song after the dimension", text)
        if name in found:
            raise typer.BadParameter(
                f"Expected one song for {name}, got {found[name]!r} and {song!r}.", param_hint="--of"
            )
        found[name] = song
    return found


def span(option: str, text: str | None) -> Range | None:
    """``1990-1999``, ``1990-``, ``-1999`` or ``1995`` as first and last."""
    if text is None:
        return None
    low, sign, high = text.partition("-")
    first, last = (_number(option, part) if part.strip() else None for part in (low, high))
    if first is last is None:
        raise _bad(option, "FROM-TO, FROM-, -TO or one number", text)
    return (first, last) if sign else (first, first)


def having(text: str) -> dict[str, float | None]:
    """``jazz>0.4,rock`` as tag -> least probability, None for the tag's own threshold."""
    pairs = (part.partition(">") for part in names(text))
    return {
        name.strip(): _number("--having", number.removeprefix("=")) if sign else None for name, sign, number in pairs
    }


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _bad(option, "a number", text.strip()) from None


def _bad(option: str, expected: str, received: str) -> typer.BadParameter:
    return typer.BadParameter(f"Expected {expected}, got {received!r}.", param_hint=option)

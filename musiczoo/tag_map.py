"""The words of the standard fields MOOD and GENRE: which tags become which words.

Conventions
-----------
- A map has a table for each standard field, in which each tag has a word, and a threshold if it has its own::

      [mood]
      happy = "Happy"
      sad = {word = "Sad", threshold = 0.6}

      [genre]
      "Hip-Hop" = "Hip-Hop"

- The words of a song are those of the tags that reach their thresholds, most probable first, each once.
- A word is what players show and sort by. It has no ``/``, ``;`` or ``,``, at which ID3v2.3 and players divide a field,
  and no word of a genre is a number or begins with a parenthesis, since ID3 has numbers for genres.
- The default map has the tags of the published models (``tag_map.toml`` in this package). Of other models, the tags of
  the dimensions mood and genre are words themselves.
"""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ._paths import AnyPath, expanded
from .errors import InputError, UnknownNameError

FIELDS = ("mood", "genre")
"""The standard fields that a map has words for, and the dimensions that the default map takes them from."""

_DEFAULT = Path(__file__).with_name("tag_map.toml")
_SEPARATORS = re.compile(r"\s*[/;,]\s*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBERED = re.compile(r"\(|\d+$|(RX|CR)$")
"""How ID3 writes the number of a genre, as ``17`` or ``(17)``, and its two abbreviations."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a tag is called in a field.

    Attributes:
        text: The word.
        threshold: Lowest probability at which the tag becomes the word, 0 to 1; None for the model's threshold.
    """

    text: str
    threshold: float | None = None


TagMap = Mapping[str, Mapping[str, Word]]
"""Standard field -> tag -> word."""


def words_of(
    tag_map: TagMap, probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> dict[str, list[str]]:
    """Return the words of a song for each field of a map, most probable first, each once.

    Args:
        tag_map: Field -> tag -> word.
        probabilities: Tag -> probability, such as `musiczoo.Track.tags`.
        thresholds: Tag -> the model's threshold, such as those of its card.

    Example:
        >>> from musiczoo.tag_map import Word, words_of
        >>> tag_map = {"mood": {"happy": Word("Happy"), "sad": Word("Sad", 0.9), "cheerful": Word("Happy")}}
        >>> words_of(tag_map, {"happy": 0.5, "sad": 0.8, "cheerful": 0.6}, {"happy": 0.4, "sad": 0.4, "cheerful": 0.4})
        {'mood': ['Happy']}
    """
    found = {}
    for field, words in tag_map.items():
        passed = [
            (probabilities[tag], word.text)
            for tag, word in words.items()
            if tag in probabilities
            and 0 < probabilities[tag] >= (thresholds[tag] if word.threshold is None else word.threshold)
        ]
        found[field] = list(dict.fromkeys(text for _, text in sorted(passed, key=lambda pair: -pair[0])))
    return found


def default(dimensions: Mapping[str, Sequence[str]]) -> TagMap:
    """Return the default map of a model.

    Args:
        dimensions: Dimension -> its tags, such as those of a model's card. Of a dimension such as ``"mood/theme"``,
            the part before the stroke counts.

    Example:
        A model with tags of its own, beside one that the default map knows:

        >>> from musiczoo import tag_map
        >>> words = tag_map.default({"genre": ["rnb", "drum/bass"], "mood": ["for dinner"], "instrument": ["cello"]})
        >>> [word.text for word in words["genre"].values()], [word.text for word in words["mood"].values()]
        (['R&B', 'drum-bass'], ['for dinner'])
    """
    shipped, found = _shipped(), dict[str, dict[str, Word]]()
    tags = {tag for names in dimensions.values() for tag in names}
    for field in FIELDS:
        found[field] = {tag: word for tag, word in shipped[field].items() if tag in tags}
        known = {tag for words in shipped.values() for tag in words}
        for dimension, names in dimensions.items():
            if dimension.partition("/")[0] == field:
                own = {tag: _as_word(field, tag) for tag in names if tag not in known}
                found[field] |= {tag: Word(text) for tag, text in own.items() if text}
    return found


def read(path: AnyPath, tags: Collection[str]) -> TagMap:
    """Read a map from a TOML file.

    Args:
        path: The file.
        tags: The tags of the model.

    Raises:
        InputError: If the file cannot be read, or is malformed.
        UnknownNameError: If a field does not exist, or the model does not know a tag; it suggests a similar one.

    Example:
        >>> from pathlib import Path
        >>> from musiczoo import tag_map
        >>> _ = Path("mine.toml").write_text('[mood]\\nhappy = {word = "Cheerful", threshold = 0.5}\\n')
        >>> tag_map.read("mine.toml", ["happy", "sad"])
        {'mood': {'happy': Word(text='Cheerful', threshold=0.5)}}
    """
    file = expanded(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the map {str(file)!r}: {error.strerror}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"Cannot read the map {str(file)!r}: it is not TOML ({error}).") from error
    found = _parsed(content, f"{file}: ")
    for words in found.values():
        for tag in words:
            if tag not in tags:
                raise UnknownNameError.of("tag", tag, tags)
    return found


def as_toml(tag_map: TagMap, thresholds: Mapping[str, float]) -> str:
    """Return a map as the text of a TOML file to edit.

    Args:
        tag_map: Field -> tag -> word.
        thresholds: Tag -> the model's threshold, for the comments.

    Example:
        >>> from musiczoo import tag_map
        >>> print(tag_map.as_toml({"mood": {"happy": tag_map.Word("Happy")}}, {"happy": 0.412}).split("\\n\\n")[1])
        [mood]
        "happy" = "Happy"  # 0.412
    """
    lines = [
        "# Which tags become words of the standard fields MOOD and GENRE. Change words, delete the lines of tags that",
        '# you do not want, or give a tag a threshold of your own: "happy" = {word = "Happy", threshold = 0.5}',
        "# The numbers at the ends are the model's thresholds.",
    ]
    for field, words in tag_map.items():
        lines += ["", f"[{field}]"]
        for tag, word in words.items():
            text = _quoted(word.text)
            if word.threshold is not None:
                text = f"{{word = {text}, threshold = {float(word.threshold)!r}}}"
            lines.append(f"{_quoted(tag)} = {text}  # {thresholds[tag]:.3f}")
    return "\n".join(lines) + "\n"


def check_word(field: str, text: str) -> str:
    """Return a word if a field can hold it.

    Raises:
        InputError: If it is empty, begins or ends with a space, or has a control character or a separator; in genre,
            also if ID3 would read it as the number of a genre.

    Example:
        >>> from musiczoo.tag_map import check_word
        >>> check_word("genre", "R&B")
        'R&B'
    """
    if not text or text != text.strip() or _CONTROLS.search(text) or "\ufeff" in text:
        raise InputError(f"Expected a word without control characters or spaces around it for {field}, got {text!r}.")
    if _SEPARATORS.search(text):
        raise InputError(f"Expected a word without '/', ';' and ',', at which players divide {field}, got {text!r}.")
    if field == "genre" and _NUMBERED.match(text):
        raise InputError(f"Expected a word that ID3 does not read as the number of a genre, got {text!r}.")
    return text


@cache
def _shipped() -> TagMap:
    return _parsed(tomllib.loads(_DEFAULT.read_text(encoding="utf-8")), "")


def _parsed(content: Mapping[str, Any], where: str) -> dict[str, dict[str, Word]]:
    """Return the tables of a map. Messages begin with `where`."""
    found = {}
    for field, words in content.items():
        if field not in FIELDS:
            raise UnknownNameError.of("field", field, FIELDS)
        if not isinstance(words, dict):
            raise InputError(f"{where}Expected a table [{field}], got {words!r}.")
        found[field] = {tag: _word(field, tag, value, where) for tag, value in words.items()}
    return found


def _word(field: str, tag: str, value: Any, where: str) -> Word:
    entry = {"word": value} if isinstance(value, str) else value
    if not (isinstance(entry, dict) and isinstance(entry.get("word"), str) and entry.keys() <= {"word", "threshold"}):
        raise InputError(
            f"{where}Expected a word, or {{word = WORD, threshold = P}}, for the tag {tag!r} of {field}, got {value!r}."
        )
    threshold = entry.get("threshold")
    if threshold is not None and (type(threshold) not in (int, float) or not 0 <= threshold <= 1):
        raise InputError(f"{where}Expected a threshold from 0 to 1 for the tag {tag!r}, got {threshold!r}.")
    try:
        return Word(check_word(field, entry["word"]), threshold)
    except InputError as error:
        raise InputError(f"{where}{error}") from error


def _as_word(field: str, tag: str) -> str:
    """Return a tag as a word of its own; empty if it cannot be one."""
    text = _SEPARATORS.sub("-", tag).strip("- ")
    try:
        return check_word(field, text)
    except InputError:
        return ""


def _quoted(text: str) -> str:
    """Return a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'

"""How the containers store the standard fields mood and genre, in the terms of mutagen.

Conventions
-----------
- Fields have the names that MusicBrainz Picard gives them, and several values as the container has them:

  ====================  =================================  ============  ==========================
  Tags                  mood                               genre         several values
  ====================  =================================  ============  ==========================
  ID3v2.4               ``TMOO``                           ``TCON``      one frame, zeros between
  ID3v2.3               ``TXXX:mood``                      ``TCON``      one text, ``/`` between
  Vorbis comments       ``MOOD``                           ``GENRE``     one comment each
  MP4                   ``----:com.apple.iTunes:MOOD``     ``©gen``      one data atom each
  APEv2                 ``Mood``                           ``Genre``     one item, zeros between
  ASF                   ``WM/Mood``                        ``WM/Genre``  one attribute each
  ====================  =================================  ============  ==========================

- The values of a field are those of all its spellings: case does not matter in names, and ``TXXX:mood`` counts in
  ID3v2.4, too.
- *Stored values* are a list of what a file has for a field, each with its name, type and bytes, in the types of JSON:
  `replace` with what `stored` returned restores the field. Where the values have an order among other fields, they
  stay in their place.

Needs mutagen (extra ``musiczoo[library]``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import MissingDependencyError

try:
    from mutagen import apev2, asf, id3, mp4
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Tags in files need mutagen, which is not installed. Install it with: pip install 'musiczoo[library]'"
    ) from error

UTF8, UTF16 = 3, 1  # ID3's text encodings; 2.3 does not know UTF-8
_SEPARATOR_23 = "/"
_TEXT = 0  # APEv2's and ASF's type of text
_BYTES = {1, 6}  # ASF's types of bytes and GUIDs
_made: Any = id3  # mutagen's constructors have no types


def stored(tags: Any, field: str) -> list[Any]:
    """Return the stored values of a field: a list of lists, numbers, texts and None; empty if there are none."""
    return _kind(tags).stored(tags, field)


def words(tags: Any, field: str) -> list[str]:
    """Return the values of a field as texts."""
    return [text for entry in stored(tags, field) for text in _kind(tags).texts(entry)]


def put(tags: Any, field: str, values: list[str]) -> None:
    """Make these the values of a field, as the container wants them."""
    kind = _kind(tags)
    kind.replace(tags, field, kind.new(tags, field, values))


def replace(tags: Any, field: str, values: list[Any]) -> None:
    """Make these the stored values of a field.

    Raises:
        ValueError: If they are not what `stored` returns for this field; also other built-in errors.
    """
    _kind(tags).replace(tags, field, values)


def is_key(tags: Any, field: str, key: str) -> bool:
    """Return whether a key of the tags, as mutagen has it, belongs to a field."""
    return key.casefold() in {name.casefold() for name in _kind(tags).names[field]}


# === The kinds of tags ===


@dataclass(frozen=True)
class _Kind:
    """A kind of tags.

    Attributes:
        names: Field -> its keys in mutagen.
        stored: Tags and field -> stored values.
        texts: Stored value -> its texts.
        new: Tags, field and words -> stored values.
        replace: Replaces the stored values of a field.
    """

    names: dict[str, tuple[str, ...]]
    stored: Callable[[Any, str], list[Any]]
    texts: Callable[[Any], list[str]]
    new: Callable[[Any, str, list[str]], list[Any]]
    replace: Callable[[Any, str, list[Any]], None]


def _kind(tags: Any) -> _Kind:
    kinds = ((id3.ID3, _ID3), (mp4.MP4Tags, _MP4), (apev2.APEv2, _APE), (asf.ASFTags, _ASF))
    return next((kind for tag_class, kind in kinds if isinstance(tags, tag_class)), _VORBIS)


def _keys(tags: Any, field: str) -> list[str]:
    """Return the keys of a field that the tags have, in a fixed order."""
    return sorted(key for key in tags.keys() if is_key(tags, field, key))  # noqa: SIM118  # iteration yields pairs


def _check_key(tags: Any, field: str, key: Any) -> str:
    if not isinstance(key, str) or not is_key(tags, field, key):
        raise ValueError(f"{key!r} is no key of {field}")
    return key


# === ID3: [frame id, description, encoding, texts] ===


def _id3_stored(tags: Any, field: str) -> list[Any]:
    frames = [tags[key] for key in _keys(tags, field)]
    return [[frame.FrameID, getattr(frame, "desc", ""), int(frame.encoding), list(frame.text)] for frame in frames]


def _id3_new(tags: Any, field: str, values: list[str]) -> list[Any]:
    old = _is_version_3(tags)
    frame = ["TCON", ""] if field == "genre" else ["TXXX", "mood"] if old else ["TMOO", ""]
    return [[*frame, UTF16 if old else UTF8, [_SEPARATOR_23.join(values)] if old else values]]


def _id3_replace(tags: Any, field: str, values: list[Any]) -> None:
    frames = []
    for frame_id, description, encoding, texts in values:
        if not all(isinstance(text, str) for text in texts) or not isinstance(description, str):
            raise ValueError("texts are no texts")
        if frame_id == "TMOO" and _is_version_3(tags):  # another program has converted the tag since
            (frame_id, description, encoding, texts), *_ = _id3_new(tags, field, texts)
        _check_key(tags, field, f"{frame_id}:{description}" if frame_id == "TXXX" else frame_id)
        options = {"desc": description} if frame_id == "TXXX" else {}
        frames.append(getattr(_made, frame_id)(encoding=encoding, text=texts, **options))
    for key in _keys(tags, field):
        del tags[key]
    for frame in frames:
        tags.add(frame)


def _is_version_3(tags: Any) -> bool:
    return bool(tags.version[:2] == (2, 3))


_ID3: _Kind = _Kind(
    {"mood": ("TMOO", "TXXX:mood"), "genre": ("TCON",)},
    _id3_stored,
    lambda entry: [part for text in entry[3] for part in text.split(_SEPARATOR_23)],
    _id3_new,
    _id3_replace,
)


# === MP4: [key, texts], or [key, [[type, version, hex bytes], ...]] for free-form atoms ===


def _mp4_stored(tags: Any, field: str) -> list[Any]:
    found = []
    for key in _keys(tags, field):
        free = key.startswith("----")
        found.append([key, [[int(v.dataformat), v.version, v.hex()] if free else v for v in tags[key]]])
    return found


def _mp4_texts(entry: Any) -> list[str]:
    return [v if isinstance(v, str) else bytes.fromhex(v[2]).decode("utf-8", "replace") for v in entry[1]]


def _mp4_new(tags: Any, field: str, values: list[str]) -> list[Any]:
    utf8 = int(mp4.AtomDataType.UTF8)
    free = field == "mood"
    return [[_MP4.names[field][0], [[utf8, 0, value.encode().hex()] if free else value for value in values]]]


def _mp4_replace(tags: Any, field: str, values: list[Any]) -> None:
    found: dict[str, list[Any]] = {}
    for key, atoms in values:
        free = _check_key(tags, field, key).startswith("----")
        if not all(isinstance(atom, list if free else str) for atom in atoms):
            raise ValueError("texts are no texts")
        found[key] = [_free_form(*atom) for atom in atoms] if free else atoms
    for key in _keys(tags, field):
        del tags[key]
    for key, atoms in found.items():
        tags[key] = atoms


def _free_form(kind: int, version: int, data: str) -> Any:
    form: Any = mp4.MP4FreeForm
    return form(bytes.fromhex(data), mp4.AtomDataType(kind), version)


_MP4: _Kind = _Kind(
    {"mood": ("----:com.apple.iTunes:MOOD",), "genre": ("\xa9gen",)}, _mp4_stored, _mp4_texts, _mp4_new, _mp4_replace
)


# === APEv2: [key, type, text or hex bytes] ===


def _ape_stored(tags: Any, field: str) -> list[Any]:
    items = [(key, tags[key]) for key in _keys(tags, field)]
    return [[key, v.kind, v.value.hex() if isinstance(v.value, bytes) else v.value] for key, v in items]


def _ape_replace(tags: Any, field: str, values: list[Any]) -> None:
    found = {}
    for key, kind, value in values:
        data = bytes.fromhex(value) if kind == apev2.BINARY else value
        found[_check_key(tags, field, key)] = apev2.APEValue(data, kind)
    for key in _keys(tags, field):
        del tags[key]
    for key, item in found.items():
        tags[key] = item


_APE: _Kind = _Kind(
    {"mood": ("Mood",), "genre": ("Genre",)},
    _ape_stored,
    lambda entry: entry[2].split("\0") if entry[1] == _TEXT else [entry[2]],
    lambda tags, field, values: [[_APE.names[field][0], _TEXT, "\0".join(values)]],
    _ape_replace,
)


# === Vorbis comments: [key, text]; ASF: [key, type, value or hex bytes, language, stream] ===


def _in_place(tags: Any, field: str, pairs: list[tuple[str, Any]]) -> None:
    """Replace the pairs of a field in a list of pairs, at the place of the first, or at the end."""
    places = [place for place, (key, _) in enumerate(tags) if is_key(tags, field, key)]
    first = places[0] if places else len(tags)
    rest = [pair for place, pair in enumerate(tags) if place >= first and place not in places]
    tags[first:] = [*pairs, *rest]


def _vorbis_replace(tags: Any, field: str, values: list[Any]) -> None:
    if not all(isinstance(text, str) for _, text in values):
        raise ValueError("texts are no texts")
    _in_place(tags, field, [(_check_key(tags, field, key), text) for key, text in values])


def _asf_stored(tags: Any, field: str) -> list[Any]:
    pairs = [(key, value) for key, value in tags if is_key(tags, field, key)]
    return [[key, v.TYPE, v.value.hex() if v.TYPE in _BYTES else v.value, v.language, v.stream] for key, v in pairs]


def _asf_replace(tags: Any, field: str, values: list[Any]) -> None:
    pairs = []
    for key, kind, value, language, stream in values:
        data = bytes.fromhex(value) if kind in _BYTES else value
        pairs.append((_check_key(tags, field, key), asf.ASFValue(data, kind, language=language, stream=stream)))
    _in_place(tags, field, pairs)


_VORBIS: _Kind = _Kind(
    {"mood": ("MOOD",), "genre": ("GENRE",)},
    lambda tags, field: [[key, text] for key, text in tags if is_key(tags, field, key)],
    lambda entry: [entry[1]],
    lambda tags, field, values: [[_VORBIS.names[field][0], value] for value in values],
    _vorbis_replace,
)
_ASF: _Kind = _Kind(
    {"mood": ("WM/Mood",), "genre": ("WM/Genre",)},
    _asf_stored,
    lambda entry: [str(entry[2])],
    lambda tags, field, values: [[_ASF.names[field][0], _TEXT, value, None, None] for value in values],
    _asf_replace,
)

"""ModelCard: everything a caller must know about one model, read from its card.json.

The card travels with the weights, so that no sample rate, tag order or threshold is ever guessed. The fields that
define the meaning of inputs and outputs are also in the ONNX file's metadata (see `ModelCard.metadata`).
"""

import dataclasses
import hashlib
import json
import os
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import CardError, ModelFileError

FORMAT = 1
"""Card format that this version writes, and the newest that it reads."""

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
README_FILE = "README.md"
POINTS_FILE = "tag_points.npy"
"""The point of each tag in the embedding space, see `musiczoo.Model.tag_points`."""

LARGEST_CARD = 1 << 24
"""Most bytes of a card."""

LARGEST_FILE = (1 << 31) - 1
"""Most bytes of a file that is loaded: the limit of protobuf, and so of ONNX files."""

LIMITS = {"sample_rate": 1_000_000, "excerpt_samples": 1 << 24, "embedding_size": 1 << 16}
"""Largest values of a card. Beyond them, a model would need more memory than there is."""

INPUT_NAME = "waveform"
EMBEDDING_NAME = "embedding"
TAGS_NAME = "tags"


@dataclass(frozen=True)
class FrontEnd:
    """The log-mel spectrogram that the graph computes: log10(1 + gain * mel power), then (v - mean) / std.

    Attributes:
        n_fft: Length of the Hann window in samples; the hop is half of it.
        n_mels: Number of Slaney mel bands from 0 Hz to half the sample rate.
        gain: Factor of the mel power inside the logarithm.
        mean: Subtracted after the logarithm.
        std: Divisor after the subtraction.
    """

    n_fft: int
    n_mels: int
    gain: float
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class ModelCard:
    """The model card: a model's inputs, outputs, training data, results and limits.

    Attributes:
        name: Name in the registry, such as ``disentangled-classification``.
        version: Version of the weights.
        summary: One line.
        licence: Licence of the weights.
        sample_rate: Hz of the mono waveform that the graph takes.
        excerpt_samples: Samples in one excerpt: the input is ``[N, excerpt_samples]`` float32 in [-1, 1].
        embedding_size: Columns of the ``embedding`` output.
        spaces: Space -> (start, stop) columns. Plain models have one space, ``all``.
        space_id: Id of the embedding space. Compare embeddings only if their ids are equal.
        tags: Tags in the order of the ``tags`` output.
        dimensions: Dimension -> its tags.
        thresholds: Tag -> threshold. A tag whose probability reaches it is a predicted tag.
        front_end: The log-mel spectrogram inside the graph.
        parameters: Number of trained parameters.
        normalized: Whether each space is a unit vector divided by the root of the number of spaces, so that an
            inner product is a cosine. If not, lengths count too.
        files: File -> sha256.
        data: Training data.
        labels: Origin of the labels.
        metrics: Metrics measured on data that was not used for training.
        recipe: Settings and seed to train the model again.
        limits: Known limits.
        intended_use: What the model is for.
        sources: Papers and software to cite.
        format: Format of the card.

    Example:
        >>> import musiczoo
        >>> card = musiczoo.load("disentangled-classification").card
        >>> card.sample_rate, card.excerpt_samples, card.excerpt_seconds
        (22050, 66150, 3.0)
        >>> card.spaces["mood"]
        (64, 128)
        >>> card.dimensions["era"]
        ('00s', '80s', '90s', '70s', '60s')
        >>> musiczoo.ModelCard.from_json(card.to_json()) == card
        True
    """

    name: str
    version: str
    summary: str
    licence: str
    sample_rate: int
    excerpt_samples: int
    embedding_size: int
    spaces: Mapping[str, tuple[int, int]]
    space_id: str
    tags: tuple[str, ...]
    dimensions: Mapping[str, tuple[str, ...]]
    thresholds: Mapping[str, float]
    front_end: FrontEnd
    parameters: int
    normalized: bool = True
    files: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    labels: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    intended_use: str = ""
    sources: tuple[str, ...] = ()
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Check that the fields fit together.

        Raises:
            CardError: If they do not, with the field, what was expected and its value.
        """
        for name, most in LIMITS.items():
            check(0 < getattr(self, name) <= most, name, f"1 to {most}", getattr(self, name))
        check_tags(self.tags, self.dimensions, self.thresholds)
        check_spaces(self.spaces, self.embedding_size)

    @property
    def excerpt_seconds(self) -> float:
        """Length of one excerpt in seconds."""
        return self.excerpt_samples / self.sample_rate

    def metadata(self) -> dict[str, str]:
        """Return the fields that define the meaning of inputs and outputs, as strings, for the ONNX file's metadata.

        Example:
            >>> import musiczoo
            >>> musiczoo.load("disentangled-classification").card.metadata()["musiczoo.sample_rate"]
            '22050'
        """
        fields = ("format", "name", "version", "licence", "sample_rate", "excerpt_samples", "spaces", "normalized",
                  "space_id", "tags", "dimensions", "front_end")  # fmt: skip
        values = dataclasses.asdict(self)
        return {f"musiczoo.{key}": json.dumps(values[key], ensure_ascii=False) for key in fields}

    def to_json(self) -> str:
        """Return the text of card.json.

        Example:
            >>> import musiczoo
            >>> musiczoo.load("disentangled-classification").card.to_json().splitlines()[:2]
            ['{', '  "name": "disentangled-classification",']
        """
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = CARD_FILE) -> "ModelCard":
        """Read a card.

        Args:
            text: Content of a card.json.
            source: Name of the source for error messages.

        Raises:
            CardError: If the text is not a card, or of a format newer than `FORMAT`.

        Example:
            >>> import musiczoo
            >>> card = musiczoo.load("disentangled-classification").card
            >>> musiczoo.ModelCard.from_json(card.to_json()).name
            'disentangled-classification'
        """
        try:
            values = json.loads(text)
            json.dumps(values, ensure_ascii=False).encode()  # refuses lone surrogates, which JSON may hold
        except (ValueError, RecursionError) as error:
            raise CardError(f"{source}: expected JSON, got text that does not parse ({error}).") from error
        if not isinstance(values, dict):
            raise CardError(f"{source}: expected a JSON object, got {type(values).__name__}.")
        version = values.get("format")
        if not isinstance(version, int) or version < 1:
            raise CardError(f"{source}: expected a whole number as format, got {version!r}.")
        if version > FORMAT:
            raise CardError(
                f"{source}: card format {version} is newer than {FORMAT}, the newest that this musiczoo reads. "
                "Update musiczoo: pip install -U musiczoo"
            )
        names = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(names))
        required = (n for n, f in names.items() if f.default is f.default_factory is dataclasses.MISSING)
        missing = sorted(set(required) - set(values))
        if unknown or missing:
            raise CardError(f"{source}: missing fields {missing}, unknown fields {unknown}. Is it a musiczoo card?")
        try:
            check_types(values)
            values["front_end"] = FrontEnd(**values["front_end"])
            values["spaces"] = {name: (int(a), int(b)) for name, (a, b) in values["spaces"].items()}
            values["dimensions"] = {name: tuple(tags) for name, tags in values["dimensions"].items()}
            values["metrics"] = _current_metrics(values.get("metrics", {}))
            for name in ("tags", "limits", "sources"):
                values[name] = tuple(values.get(name, ()))
            return cls(**values)
        except TypeError as error:
            raise CardError(f"{source}: a field has the wrong type: {error}.") from error
        except CardError as error:
            raise CardError(f"{source}: {error}") from error


def _current_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics under today's names.

    Cards written before 0.1.0 call the agreement with teachers ``roc_auc``, beside ``spearman``, and nest the metrics
    of tagging. Today ``roc_auc`` is that of tagging and comes first, since the first metric is the headline.
    """
    current: dict[str, Any] = {}
    for split, values in metrics.items():
        if isinstance(values, dict) and "spearman" in values and "teacher_roc_auc" not in values:
            rest = {"teacher_roc_auc" if name == "roc_auc" else name: value for name, value in values.items()}
            tagging = rest.pop("tagging", {})
            values = {**tagging, **rest} if isinstance(tagging, dict) else {**rest, "tagging": tagging}
        current[split] = values
    return current


def read_card(folder: Path) -> ModelCard:
    """Read the card of a model folder, and no other file.

    Raises:
        ModelFileError: If the folder holds no card.json.
        CardError: If the card cannot be used.
    """
    path = folder / CARD_FILE
    try:
        text = _content(path, LARGEST_CARD).decode()
    except FileNotFoundError as error:
        raise ModelFileError(f"No such file: {str(path)!r}. A model folder holds one.") from error
    except OSError as error:
        raise ModelFileError(f"Expected a model folder with {CARD_FILE} at {str(folder)!r}, got {error}.") from error
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: expected UTF-8 text, got {error}.") from error
    return ModelCard.from_json(text, source=str(path))


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file_names(card: ModelCard, folder: Path) -> None:
    """Check that the card names no file outside the model folder.

    Raises:
        ModelFileError: If it does.
    """
    for name in card.files:
        if Path(name).name != name or "\0" in name:
            raise ModelFileError(f"{folder / CARD_FILE}: expected plain file names, got {name!r}.")


def verify_files(card: ModelCard, folder: Path, wanted: Collection[str] = ()) -> dict[str, bytes]:
    """Compare a model folder's files with the card's sha256 sums.

    Args:
        card: Has the names of the files and their sums.
        folder: The model folder.
        wanted: Files whose contents to return. Use these: they were verified, and the file may change afterwards.

    Returns:
        File -> content, for the wanted files that are in the card.

    Raises:
        ModelFileError: If a file is missing, cannot be read, lies outside the folder, or was altered.
    """
    contents: dict[str, bytes] = {}
    check_file_names(card, folder)
    for name, expected in card.files.items():
        path = folder / name
        if not os.path.isfile(path):
            raise ModelFileError(
                f"No such file: {str(path)!r}. Publish, import or install the model {card.name!r} again."
            )
        try:
            if name in wanted:
                contents[name] = _content(path, LARGEST_FILE)
                found = hashlib.sha256(contents[name]).hexdigest()
            else:
                found = sha256(path)
        except OSError as error:
            raise ModelFileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
        if found != expected:
            raise ModelFileError(
                f"Model {card.name!r}: {path} was altered: expected sha256 {expected}, got {found}. "
                "Publish, import or install the model again."
            )
    return contents


def _content(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: If it cannot be read, is not a regular file (a pipe or a device has no end), or has more bytes.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"a device, pipe or folder at {path}")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(f"a file of {size} bytes, more than {most}")
        return file.read()


# === Field checks, also of the cards in libraries ===


def check(valid: bool, name: str, expected: str, got: object) -> None:
    """Raise a CardError with the field's name, unless its value is valid."""
    if not valid:
        raise CardError(f"Card field {name!r}: expected {expected}, got {reprlib.repr(got)}.")


def check_types(values: Mapping[str, Any]) -> None:
    """Check the types of fields as read from JSON.

    Raises:
        CardError: With the field, what was expected and its value.
    """
    for name, (expected, fits) in _TYPES.items():
        check(name not in values or fits(values[name]), name, expected, values.get(name))


def check_tags(
    tags: tuple[str, ...], dimensions: Mapping[str, tuple[str, ...]], thresholds: Mapping[str, float]
) -> None:
    """Check that tags are distinct, in one dimension each, and have a threshold each.

    Raises:
        CardError: With the field, what was expected and its value.
    """
    check(len(set(tags)) == len(tags) > 0, "tags", "one or more distinct tags", tags)
    grouped = sorted(tag for group in dimensions.values() for tag in group)
    check(grouped == sorted(tags), "dimensions", "each tag in exactly one dimension", dimensions)
    check(set(thresholds) == set(tags), "thresholds", "one number for each tag", thresholds)
    check(all(0 <= t <= 1 for t in thresholds.values()), "thresholds", "numbers in [0, 1]", thresholds)


def check_spaces(spaces: Mapping[str, tuple[int, int]], size: int) -> None:
    """Check that the spaces divide the columns 0 to `size` into ranges.

    Raises:
        CardError: If they do not.
    """
    edges = sorted(spaces.values())
    starts, stops = [a for a, _ in edges], [b for _, b in edges]
    tiled = bool(edges) and starts == [0, *stops[:-1]] and stops[-1] == size
    check(tiled and all(a < b for a, b in edges), "spaces", f"ranges that tile 0 to {size}", spaces)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value))


def _mapping_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("name", "model", "version", "summary", "licence", "space_id", "data", "labels", "intended_use"),
        ("text", _is_text),
    ),
    **dict.fromkeys(
        ("sample_rate", "excerpt_samples", "embedding_size", "parameters"), ("a whole number from 0", _is_whole)
    ),
    **dict.fromkeys(("tags", "limits", "sources"), ("a list of texts", _is_texts)),
    "spaces": ("columns from and to of each space", _mapping_of(_is_range)),
    "dimensions": ("a list of tags for each dimension", _mapping_of(_is_texts)),
    "thresholds": ("a number for each tag", _mapping_of(_is_number)),
    "front_end": ("numbers", _mapping_of(_is_number)),
    "normalized": ("true or false", lambda value: isinstance(value, bool)),
    "files": ("a sum for each file", _mapping_of(_is_text)),
    "metrics": ("an object", lambda value: isinstance(value, dict)),
    "recipe": ("an object", lambda value: isinstance(value, dict)),
}
"""Field -> expected JSON value, in words and as a test."""

"""ModelCard: everything a caller must know about one model, read from its card.json.

The card travels with the weights, so that no sample rate, tag order or threshold is ever guessed. The
parts that decide what the numbers mean are also in the ONNX file's metadata (see `ModelCard.metadata`).
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .checks import LIMITS, check, check_spaces, check_tags, check_types
from .errors import CardError, ModelFileError

FORMAT = 1
"""Newest card format that this version reads and the one that it writes."""

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
README_FILE = "README.md"
POINTS_FILE = "tag_points.npy"
"""Where each tag lies in the embedding space, see `musiczoo.Model.tag_points`."""

LARGEST_CARD = 1 << 24
"""Bytes that a card may have."""

LARGEST_FILE = (1 << 31) - 1
"""Bytes that a file may have which is loaded: those of the largest message of protobuf, and so of an ONNX file."""

INPUT_NAME = "waveform"
EMBEDDING_NAME = "embedding"
TAGS_NAME = "tags"


@dataclass(frozen=True)
class FrontEnd:
    """The log-mel that the graph computes: log10(1 + gain * mel power), then (v - mean) / std.

    Attributes:
        n_fft: Window length in samples (Hann); the hop is half of it.
        n_mels: Slaney mel bands from 0 Hz to half the sample rate.
        gain: Factor of the mel power inside the logarithm.
        mean: Subtracted after the logarithm.
        std: Divided by after the mean.
    """

    n_fft: int
    n_mels: int
    gain: float
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class ModelCard:
    """What one model takes, returns, learnt from, and is for.

    Attributes:
        name: Name in the registry, such as ``disentangled-classification``.
        version: Version of the weights.
        summary: One line.
        licence: Licence of the weights.
        sample_rate: Hz of the mono waveform that the graph takes.
        excerpt_samples: Samples in one excerpt: the input is ``[N, excerpt_samples]`` float32 in [-1, 1].
        embedding_size: Columns of the ``embedding`` output.
        spaces: Space -> (start, stop) columns. Plain models have one space, ``all``.
        space_id: Embeddings may be compared only if their models' ids are equal.
        tags: Tags in the order of the ``tags`` output.
        dimensions: Dimension -> its tags.
        thresholds: Tag -> probability from which on the tag is said to apply.
        front_end: The log-mel inside the graph.
        parameters: Trained parameters.
        normalized: Whether each space is a unit vector divided by the root of the number of spaces, so that an
            inner product is a cosine. If not, lengths count too.
        files: File -> sha256.
        data: What the model was trained on.
        labels: Where the labels came from.
        metrics: Figures measured on data that the training did not see.
        recipe: How to train it again (settings, seed).
        limits: What not to expect.
        intended_use: What it is for.
        sources: Papers and software to cite.
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
        """Refuse a card that contradicts itself.

        Raises:
            CardError: Naming the field, what was expected and what was received.
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
        """The fields that decide what the numbers mean, as strings: the ONNX file's metadata."""
        fields = ("format", "name", "version", "licence", "sample_rate", "excerpt_samples", "spaces", "normalized",
                  "space_id", "tags", "dimensions", "front_end")  # fmt: skip
        values = dataclasses.asdict(self)
        return {f"musiczoo.{key}": json.dumps(values[key], ensure_ascii=False) for key in fields}

    def to_json(self) -> str:
        """The text of card.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = CARD_FILE) -> "ModelCard":
        """Read a card.

        Args:
            text: Contents of a card.json.
            source: What to call it in an error message.

        Raises:
            CardError: If the text is not a card, or of a format newer than `FORMAT`.
        """
        try:
            values = json.loads(text)
            json.dumps(values, ensure_ascii=False).encode()  # JSON may hold halves of characters, which are no text
        except (ValueError, RecursionError) as error:
            raise CardError(f"{source}: expected JSON, received text that does not parse ({error}).") from error
        if not isinstance(values, dict):
            raise CardError(f"{source}: expected a JSON object, received {type(values).__name__}.")
        version = values.get("format")
        if not isinstance(version, int) or version < 1:
            raise CardError(f"{source}: expected a whole number as format, received {version!r}.")
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
    """The card of a model folder, read without touching its other files.

    Raises:
        ModelFileError: If the folder holds no card.json.
        CardError: If the card cannot be used.
    """
    path = folder / CARD_FILE
    try:
        text = _content(path, LARGEST_CARD).decode()
    except OSError as error:
        raise ModelFileError(f"Expected a model folder with {CARD_FILE} at {folder}, received {error}.") from error
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: expected UTF-8 text, received {error}.") from error
    return ModelCard.from_json(text, source=str(path))


def sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_files(card: ModelCard, folder: Path, wanted: Collection[str] = ()) -> dict[str, bytes]:
    """Compare a model folder's files with the card's sha256 sums.

    Args:
        card: Names the files and their sums.
        folder: Where they lie.
        wanted: Of these, the contents are returned: what is used is then what was verified, whatever becomes of the
            file.

    Returns:
        File -> contents, for the wanted ones that the card names.

    Raises:
        ModelFileError: If one is missing, cannot be read, lies outside the folder, or was altered.
    """
    contents: dict[str, bytes] = {}
    for name, expected in card.files.items():
        path = folder / name
        if Path(name).name != name or "\0" in name:
            raise ModelFileError(f"{folder / CARD_FILE}: expected plain file names, received {name!r}.")
        if not os.path.isfile(path):
            raise ModelFileError(f"Model {card.name!r} lacks {path}. Publish, import or install the model again.")
        try:
            if name in wanted:
                contents[name] = _content(path, LARGEST_FILE)
                received = hashlib.sha256(contents[name]).hexdigest()
            else:
                received = sha256(path)
        except OSError as error:
            received = error.strerror or str(error)
            raise ModelFileError(f"{path}: expected a file that can be read, received {received}.") from error
        if received != expected:
            raise ModelFileError(
                f"Model {card.name!r}: {path} was altered: expected sha256 {expected}, received {received}. "
                "Publish, import or install the model again."
            )
    return contents


def _content(path: Path, most: int) -> bytes:
    """What a file holds.

    Raises:
        OSError: If it cannot be read, is no ordinary file (a pipe or a device has no end), or has more bytes.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"what is no file at {path}")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(f"a file of {size} bytes where {most} are the most")
        return file.read()

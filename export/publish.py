"""Put an exported model into a zoo, zoo/<name>/ with card.json, model.onnx and README.md, or on the Hub."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musiczoo import hub
from musiczoo._files import atomic_folder, read_json
from musiczoo._paths import resolved, scratch_folder
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, README_FILE, ModelCard, read_card, sha256
from musiczoo.errors import InputError, ModelFileError
from musiczoo.evaluation.metrics import agreement
from musiczoo.export.readme import readme
from musiczoo.model import PRECISIONS
from musiczoo.registry import user_zoo

TAGGING = ("roc_auc", "average_precision")
AGREEMENT = ("teacher_roc_auc", "spearman", "top_k_overlap")
"""Metrics of two tasks that the card takes from a report of `musiczoo evaluate`. The first one is the headline."""

INT8_FILE = PRECISIONS["int8"]


@dataclass(frozen=True)
class Upload:
    """A model on the Hub, or one that a dry run would upload.

    Attributes:
        address: Pinned address of the commit; of a dry run, the address to upload to.
        files: File -> its bytes and its sha256.
    """

    address: str
    files: Mapping[str, tuple[int, str]]


def publish(export_dir: Path, zoo: Path | None = None, report: Path | None = None, address: str | None = None) -> Path:
    """Copy an exported model to ``zoo/<name>/``, atomically, so that it loads by name.

    Args:
        export_dir: Folder with card.json, model.onnx and optionally tag_points.npy and model.int8.onnx: an export, or
            a published model.
        zoo: Folder of models; the user's zoo by default.
        report: A report.json of `musiczoo evaluate --out` with results of this model, which go into the card.
        address: Address on the Hub that the README names; by default it names the model.

    Returns:
        The model's folder. Its card holds the sha256 of the other files.

    Raises:
        ModelFileError: If `export_dir` lacks a file.
        WriteError: If the zoo cannot be written.
        CardError: If the card is invalid.
        InputError: If the card's name is not a folder name, or the report is invalid or of other models.

    Example:
        >>> import tempfile
        >>> from musiczoo.registry import find
        >>> folder = publish(find("disentangled-classification"), zoo=Path(tempfile.mkdtemp()))
        >>> sorted(path.name for path in folder.iterdir())
        ['README.md', 'card.json', 'model.int8.onnx', 'model.onnx', 'tag_points.npy']
    """
    card = read_card(export_dir)
    if report is not None:
        card = dataclasses.replace(card, metrics={**_report_metrics(report, card), **card.metrics})
    if not os.path.isfile(export_dir / MODEL_FILE):
        raise ModelFileError(f"No such file: {str(export_dir / MODEL_FILE)!r}. Export the run first.")
    if not card.name or Path(card.name).name != card.name or card.name.startswith("."):
        raise InputError(f"The name of a model must be a folder name, got {card.name!r}.")
    zoo = user_zoo() if zoo is None else zoo
    target = zoo / card.name
    with atomic_folder(target) as new:
        for name in (MODEL_FILE, POINTS_FILE, INT8_FILE):
            if name == MODEL_FILE or (export_dir / name).is_file():
                shutil.copyfile(_inside(export_dir / name), new / name)
        if (new / INT8_FILE).is_file() and sha256(new / INT8_FILE) != card.files.get(INT8_FILE):
            (new / INT8_FILE).unlink()  # of another version of the model: the card does not name it
        (new / README_FILE).write_text(readme(card, address), encoding="utf-8")
        files = {path.name: sha256(path) for path in sorted(new.iterdir(), key=lambda path: path.name)}
        card = dataclasses.replace(card, files=files)
        (new / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return target


def publish_to_hub(
    export_dir: Path, address: str, report: Path | None = None, *, private: bool | None = None, dry_run: bool = False
) -> Upload:
    """Upload an exported or published model to the Hugging Face Hub, as one commit.

    Args:
        export_dir: See `publish`.
        address: ``hf://user/model``; a repository that does not exist is made.
        report: See `publish`.
        private: Make a new repository private. None for the default of the account or organization.
        dry_run: Open no connection; only return what would be uploaded.

    Raises:
        MissingDependencyError: If huggingface_hub is not installed.
        HubError: If the Hub cannot be reached or refuses the upload.
        MusicZooError: See `publish`.

    Example:
        >>> from musiczoo.registry import find
        >>> upload = publish_to_hub(find("proxy"), "hf://user/proxy", dry_run=True)
        >>> sorted(upload.files)
        ['README.md', 'card.json', 'model.onnx', 'tag_points.npy']
    """
    hub.target(address)
    hub.client()  # the README of the Hub needs the package, also in a dry run
    with scratch_folder("publish") as scratch:
        folder = publish(export_dir, scratch, report, address)
        names = (CARD_FILE, *read_card(folder).files)
        files = {name: ((folder / name).stat().st_size, sha256(folder / name)) for name in names}
        return Upload(address if dry_run else hub.upload(folder, address, private), files)


def _inside(path: Path) -> Path:
    """Refuse a link out of the folder: with an export from elsewhere, it would publish a file of the user.

    Raises:
        ModelFileError: If the path is such a link.
    """
    target = resolved(path)
    if target.parent != resolved(path.parent):
        raise ModelFileError(f"{path}: expected a file, got a link to {target}. Copy the file there.")
    return path


def _report_metrics(report: Path, card: ModelCard) -> dict[str, Any]:
    """Return the main metrics of an evaluation in the form of a card: ``{split: {metric: ...}}``."""
    try:
        content = read_json(report)
        data = content["data"]
        entries = {entry["space_id"]: entry for entry in content["models"]}
        metrics = _main_metrics(entries[card.space_id]) if card.space_id in entries else {}
        about = {"dataset": data["name"], "tracks": data["tracks"], "teachers": data["teachers"]}
        split = data["split"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{report} is not a report of musiczoo evaluate --out: {error!r}.") from error
    if not metrics:
        raise InputError(
            f"{report}: expected results of {card.space_id}, got a report on {', '.join(entries)}. Publish the "
            "model without a report, evaluate it, and publish it again."
        )
    return {split: metrics | about}


def _main_metrics(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of tagging and agreement by their names, and those of the other tasks by task."""
    metrics = {name: entry["tagging"][name] for name in TAGGING if "tagging" in entry}
    if "agreement" in entry:
        found = agreement.current_names(entry["agreement"])
        metrics |= {name: found[name] for name in AGREEMENT}
    if "retrieval" in entry:
        recall = entry["retrieval"]["all"]["recall"]
        metrics["retrieval"] = {f"recall_at_{k}": value for k, value in recall.items()}
    if "triplets" in entry:
        part = entry["triplets"]
        accuracies = {space: part[space]["overall"] for space in ("whole", "sub-space") if space in part}
        accuracies["track"] = part["track"]
        metrics["triplets"] = {
            space: {key: metric[key] for key in ("value", "interval")} for space, metric in accuracies.items()
        }
    return metrics

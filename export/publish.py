"""Put an exported model into a zoo: zoo/<name>/ with card.json, model.onnx and README.md."""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musiczoo._files import atomic_folder, read_json
from musiczoo._paths import resolved
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, README_FILE, ModelCard, read_card, sha256
from musiczoo.errors import InputError, ModelFileError
from musiczoo.evaluation.metrics import agreement
from musiczoo.registry import user_zoo

TAGGING = ("roc_auc", "average_precision")
AGREEMENT = ("teacher_roc_auc", "spearman", "top_k_overlap")
"""Metrics of two tasks that the card takes from a report of `musiczoo evaluate`. The first one is the headline."""


def publish(export_dir: Path, zoo: Path | None = None, report: Path | None = None) -> Path:
    """Copy an exported model to ``zoo/<name>/``, atomically, so that it loads by name.

    Args:
        export_dir: Folder with card.json, model.onnx and optionally tag_points.npy: an export.
        zoo: Folder of models; the user's zoo by default.
        report: A report.json of `musiczoo evaluate --out` with results of this model, which go into the card.

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
        ['README.md', 'card.json', 'model.onnx', 'tag_points.npy']
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
        for name in (MODEL_FILE, POINTS_FILE):
            if name == MODEL_FILE or (export_dir / name).is_file():
                shutil.copyfile(_inside(export_dir / name), new / name)
        (new / README_FILE).write_text(readme(card), encoding="utf-8")
        files = {path.name: sha256(path) for path in sorted(new.iterdir(), key=lambda path: path.name)}
        card = dataclasses.replace(card, files=files)
        (new / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return target


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


def readme(card: ModelCard) -> str:
    """Return the README.md of a model: its model card for people."""
    rows = {
        "Version": card.version,
        "Licence of the weights": card.licence,
        "Input": f"mono waveform, {card.sample_rate:,} Hz, {card.excerpt_seconds:g} s "
        f"(`[N, {card.excerpt_samples}]` float32)",
        "Output": f"`embedding [N, {card.embedding_size}]`, `tags [N, {len(card.tags)}]` (probabilities)",
        "Spaces": ", ".join(f"{name} {start}:{stop}" for name, (start, stop) in card.spaces.items()),
        "Embedding-space id": f"`{card.space_id}`",
        "Trained parameters": f"{card.parameters:,}",
    }
    example = (
        "```python\nimport musiczoo\n\n"
        f'model = musiczoo.load("{card.name}")\n'
        'track = model.analyze("song.mp3")\n'
        "track.tags.top(5)\n```"
    )
    sections = {
        "Use it": example,
        "Intended use": card.intended_use,
        "Data": card.data,
        "Labels": card.labels,
        "Metrics": _table("Metric", "Value", _flat(card.metrics)),
        "Limits": "\n".join(f"- {limit}" for limit in card.limits),
        "Tags": "\n".join(f"- {dimension}: {', '.join(tags)}" for dimension, tags in card.dimensions.items()),
        "Training": _table("Setting", "Value", _flat(card.recipe)),
        "Cite": "\n".join(f"- {source}" for source in card.sources),
    }
    parts = [f"# {card.name}", card.summary, _table("", "", rows)]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings: keys are joined by a dot, and a value and its interval become one text."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and set(value) == {"value", "interval"}:
            low, high = value["interval"]
            flat[f"{prefix}{key}"] = f"{_text(value['value'])} (95 %: {_text(low)} to {_text(high)})"
        elif isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _table(first: str, second: str, rows: Mapping[str, Any]) -> str:
    """Return a two-column Markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [f"| {first} | {second} |", "|---|---|"]
    for key, value in rows.items():
        lines.append(f"| {key} | {_text(value).replace('|', chr(92) + '|')} |")
    return "\n".join(lines)

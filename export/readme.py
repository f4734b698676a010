"""The README.md of a model: its card for people, below metadata for the Hugging Face Hub.

The metadata are YAML, which the classes of huggingface_hub write (extra ``[hub]``, also part of the training extras).
Where that package is missing, as after `musiczoo import musicnn` in a small installation, the README begins with its
title: only the Hub reads the metadata, and an upload needs the package anyway.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from musiczoo.card import ModelCard
from musiczoo.datasets import catalogue

LIBRARY = "musiczoo"
"""Name of the library on the Hub."""

TAGGING_TASK, SIMILARITY_TASK = "audio-classification", "feature-extraction"
"""Tasks of the Hub: `musiczoo tag`, and search by embeddings."""

_SIMILARITY = ("retrieval", "triplets")
"""Metrics of a card that measure embeddings, not tags."""

_LICENCES = ("mit", "isc", "apache-2.0", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
             "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "unlicense")  # fmt: skip
"""Licences that the Hub knows, of those that weights have; any other is "other", with its name."""


def readme(card: ModelCard, address: str | None = None) -> str:
    """Return the README.md of a model.

    Args:
        card: The model card.
        address: Address on the Hub to load the model by, in the example; by default its name.

    Example:
        >>> import musiczoo
        >>> card = musiczoo.load("disentangled-classification").card
        >>> "# disentangled-classification" in readme(card).splitlines()
        True
    """
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
    install = "# pip install 'musiczoo[hub]'\n" if address else ""
    example = (
        f"```python\n{install}import musiczoo\n\n"
        f'model = musiczoo.load("{address or card.name}")\n'
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
    return _front_matter(card) + "\n\n".join(parts) + "\n"


def _front_matter(card: ModelCard) -> str:
    """Return the Hub's metadata between lines of dashes; empty without huggingface_hub."""
    try:
        from huggingface_hub import ModelCardData
    except ImportError:
        return ""
    results = list(_results(card))
    tags = ["music", "music-tagging", "music-similarity", "onnx"]
    if len(card.spaces) > 1:
        tags.append("disentangled")
    known = card.licence.lower() in _LICENCES
    data = ModelCardData(
        license=card.licence.lower() if known else "other",
        license_name=None if known else re.sub(r"[^a-z0-9.]+", "-", card.licence.lower()).strip("-") or None,
        library_name=LIBRARY,
        pipeline_tag=TAGGING_TASK,
        tags=tags,
        datasets=[name for name in catalogue.CATALOGUE if card.data.startswith(f"{name}:")] or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=card.name,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _results(card: ModelCard) -> Iterator[Any]:
    """Yield the Hub's `EvalResult` of each metric that was measured on a named data set.

    Those of training are left out: weights and thresholds were chosen by them.
    """
    from huggingface_hub import EvalResult

    for split, metrics in card.metrics.items():
        if not isinstance(metrics, Mapping) or "dataset" not in metrics:
            continue
        for name, value in _numbers({name: metrics[name] for name in metrics if name != "tracks"}):
            similarity = name.startswith(_SIMILARITY)
            yield EvalResult(
                task_type=SIMILARITY_TASK if similarity else TAGGING_TASK,
                task_name="Music similarity" if similarity else "Music tagging",
                dataset_type=str(metrics["dataset"]),
                dataset_name=f"{metrics['dataset']} ({metrics['tracks']} tracks)",
                dataset_split=split,
                metric_type=name,
                metric_value=round(value, 4),
            )


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield name and value of each number in nested mappings, without intervals."""
    for key, value in values.items():
        if isinstance(value, Mapping) and "value" in value:
            value = value["value"]
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


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

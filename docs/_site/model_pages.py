"""A page for each model of musiczoo/zoo, and the table in models/index.md, made from the cards when the site is built.

docs/_site/losses/NAME.md holds the formula of each architecture of the paper, which no card has.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LOSSES = Path(__file__).parent / "losses"
TABLE = "<!-- table of models -->"

HEADLINES = {
    "R@1": ("retrieval", "recall_at_1"),
    "ROC-AUC": ("roc_auc",),
    "Triplets, whole space": ("triplets", "whole"),
    "Triplets, sub-spaces": ("triplets", "sub-space"),
}
"""Column -> where in the card's test metrics it is. README.md has the same table."""

log = logging.getLogger("mkdocs.hooks.model_pages")


def cards() -> list[dict[str, Any]]:
    """The cards of the models in the package, in the order of the paper's table where it has them."""
    files = (ROOT / "musiczoo" / "zoo").glob("*/card.json")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    place = {name: i for i, name in enumerate(PAPER)}
    return sorted(found, key=lambda card: (place.get(card["name"], len(PAPER)), card["name"]))


PAPER = (
    "triplet",
    "disentangled-triplet",
    "disentangled-triplet-track",
    "proxy",
    "disentangled-proxy",
    "classification-unnormalized",
    "classification",
    "disentangled-classification",
)
"""The eight models, as the paper lists them."""


def table(link: str = "{name}.md") -> str:
    """The models with their headline metrics."""
    rows = [f"| Model | Summary | {' | '.join(HEADLINES)} |", f"|---|---|{'---:|' * len(HEADLINES)}"]
    for card in cards():
        values = [_headline(card, column) for column in HEADLINES]
        name = f"[`{card['name']}`]({link.format(name=card['name'])})"
        rows.append(f"| {name} | {card['summary']} | {' | '.join(values)} |")
    return "\n".join(rows)


def _headline(card: Mapping[str, Any], column: str) -> str:
    value: Any = card["metrics"].get("test", {})
    for key in HEADLINES[column]:
        value = value.get(key, {})
    if "value" not in value:
        return "–"
    return f"{100 * value['value']:.1f}" if column.startswith("R@") else f"{value['value']:.3f}"


def _metrics(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and "value" in value:
            low, high = value.get("interval", (None, None))
            interval = f"{low:.4g} to {high:.4g}" if low is not None else ""
            yield f"| {prefix}{name} | {value['value']:.4g} | {interval} |"
        elif isinstance(value, Mapping):
            yield from _metrics(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"| {prefix}{name} | {', '.join(map(str, value))} | |"
        else:
            yield (
                f"| {prefix}{name} | {value:.4g} | |" if isinstance(value, float) else f"| {prefix}{name} | {value} | |"
            )


def page(card: Mapping[str, Any]) -> str:
    """The page of one model, as Markdown."""
    architecture = card["recipe"].get("model", card["name"])
    loss = LOSSES / f"{architecture}.md"
    if not loss.is_file():
        log.warning("%s: no loss is written down for %r: add %s", card["name"], architecture, loss)
    spaces = ", ".join(f"{name} {start}:{stop}" for name, (start, stop) in card["spaces"].items())
    variants = ' · int8 version: `precision="int8"`' if "model.int8.onnx" in card["files"] else ""
    seconds, samples = card["excerpt_samples"] / card["sample_rate"], card["excerpt_samples"]
    settings = {key: value for key, value in card["recipe"].items() if value not in ("", None)}
    parts = [
        f"# {card['name']}",
        card["summary"],
        "```python\nimport musiczoo\n\n"
        f'model = musiczoo.load("{card["name"]}")\ntrack = model.analyze("song.mp3")\ntrack.tags.top(5)\n```',
        "| | |\n|---|---|\n"
        f"| Version | {card['version']}{variants} |\n"
        f"| Licence of the weights | {card['licence']} |\n"
        f"| Input | mono waveform, {card['sample_rate']:,} Hz, excerpts of {seconds:g} s: float32 `[N, {samples}]` |\n"
        f"| Output | `embedding` `[N, {card['embedding_size']}]`, `tags` `[N, {len(card['tags'])}]` (probabilities) |\n"
        f"| Spaces | {spaces} |\n"
        f"| Space id | `{card['space_id']}` |\n"
        f"| Trained parameters | {card['parameters']:,} |",
        "## Loss",
        loss.read_text(encoding="utf-8") if loss.is_file() else "",
        "## Intended use",
        card["intended_use"],
        "## Limits",
        "\n".join(f"- {limit}" for limit in card["limits"]),
        "## Metrics",
        "Measured on music that training did not see; intervals are 95 % bootstrap intervals over tracks. "
        "[Results](../engineering/results.md) explains each metric and what it can tell you.",
        "| Metric | Value | 95 % interval |\n|---|---:|---|\n" + "\n".join(_metrics(card["metrics"])),
        "## Data",
        card["data"],
        "## Labels",
        card["labels"],
        "## Tags",
        "\n".join(f"- **{name}**: {', '.join(tags)}" for name, tags in card["dimensions"].items()),
        "## Training settings",
        "| Setting | Value |\n|---|---|\n" + "\n".join(_settings(settings)),
        "## Cite",
        "\n".join(f"- {source}" for source in card["sources"]),
    ]
    return "\n\n".join(parts) + "\n"


def _settings(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"| `{prefix}{name}` | {', '.join(map(str, value)) if isinstance(value, list) else value} |"


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, after the overview."""
    (models,) = [entry["Models"] for entry in config.nav if "Models" in entry]
    models[1:1] = [{card["name"]: f"models/{card['name']}.md"} for card in cards()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages."""
    for card in cards():
        files.append(File.generated(config, f"models/{card['name']}.md", content=page(card)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the table of models/index.md."""
    return markdown.replace(TABLE, table()) if page.file.src_uri == "models/index.md" else markdown

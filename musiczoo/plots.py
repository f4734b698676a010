"""Plots of results. Needs the extra ``musiczoo[plot]``.

Only this module imports matplotlib.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError, MissingDependencyError

try:
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "Drawing needs matplotlib, which is not installed. Install it with: pip install 'musiczoo[plot]'"
    ) from error

if TYPE_CHECKING:
    from .track import Track

_ROW_INCHES, _MARGIN_INCHES, _WIDTH_INCHES, _DPI = 0.24, 1.3, 10.0, 150


def taggram(track: "Track", top: int = 8) -> Figure:
    """Plot a song's tags over time: a block for each dimension, a row for each tag, a column for each excerpt.

    Args:
        track: Result of `Model.analyze`.
        top: Most rows of a dimension: the tags with the highest mean over the song.

    Returns:
        The figure. Rows are sorted by probability, most probable first; color is the probability, 0 to 1.

    Example:
        >>> import musiczoo
        >>> from musiczoo import demo, plots
        >>> track = musiczoo.load("disentangled-classification").analyze(demo.PATH)
        >>> figure = plots.taggram(track, top=4)
        >>> [axes.get_ylabel() for axes in figure.axes[:4]]
        ['genre', 'mood', 'instrument', 'era']
    """
    card = track.card
    rows = {name: [tag.name for tag in tags[:top]] for name, tags in track.tags.by_dimension().items()}
    heights = [len(names) for names in rows.values()]
    figure = Figure(
        figsize=(_WIDTH_INCHES, _MARGIN_INCHES + _ROW_INCHES * sum(heights)), dpi=_DPI, layout="constrained"
    )
    # axes[i, 0]: one column of blocks, as high as they have rows, all on the same time axis.
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    edges = column_edges(track.times, card.excerpt_seconds)
    for ax, (dimension, names) in zip(axes, rows.items(), strict=True):
        values = track.taggram[:, [card.tags.index(name) for name in names]].T
        # A square-root scale shows changes over time of improbable tags, which most tags are.
        norm = PowerNorm(0.5, vmin=0, vmax=1)
        mesh = ax.pcolormesh(edges, np.arange(len(names) + 1), values, norm=norm, cmap="magma")
        ax.invert_yaxis()
        ax.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=8)
        ax.tick_params(axis="y", length=0)
        ax.set_ylabel(dimension, fontweight="bold")
    axes[-1].set_xlabel("time (m:ss)")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 3, 6, 10]))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{int(s) // 60}:{int(s) % 60:02d}"))
    figure.align_ylabels(axes)
    figure.colorbar(mesh, ax=list(axes), label="probability", pad=0.01, aspect=40)
    title = f"{Path(track.path).name}  ({track.model})" if track.path else track.model
    figure.suptitle(title, fontsize=10, parse_math=False)  # a file name may hold dollar signs
    return figure


def save_taggram(track: "Track", path: Path) -> None:
    """Save `taggram` to a file.

    Args:
        track: Result of `Model.analyze`.
        path: The file. Its suffix sets the format: png, svg, pdf or another of matplotlib's.

    Raises:
        InputError: If the file cannot be written, or the suffix is unknown.
    """
    _save(taggram(track), path)


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot write {str(path)!r}: {error}. Choose a name such as taggram.png.") from error


def column_edges(times: NDArray[np.floating], excerpt_seconds: float) -> NDArray[np.floating]:
    """Return the edges of the columns in seconds: ``[excerpts] -> [excerpts + 1]``.

    A column lasts until the next excerpt begins, even after a gap. The last one lasts the length of an excerpt.
    """
    return np.append(times, times[-1] + excerpt_seconds)


def own_music(report: Mapping[str, Any]) -> Figure:
    """Plot the report of `musiczoo.evaluation.own_music.evaluate`: a panel for each task, a bar for each model.

    Returns:
        The figure: precision at 5 with its 95 % interval, and a dashed line for a random order.
    """
    models = report["models"]
    tasks = [name for name in models[0] if name not in ("name", "version")]
    figure = Figure(figsize=(_WIDTH_INCHES, 1.2 + 0.4 * len(models)), dpi=_DPI, layout="constrained")
    axes = figure.subplots(1, len(tasks), sharex=True, sharey=True, squeeze=False)[0]
    for ax, task in zip(axes, tasks, strict=True):
        ax.set_title(f"same {task}\n{models[0][task]['queries']:,} queries", fontsize=9)
        for row, model in enumerate(models):
            metric = model[task]["precision_at_5"]
            if metric["value"] is None:
                ax.text(0.02, row, "no query", va="center", fontsize=8)
                continue
            low, high = metric["interval"]
            ax.barh(row, metric["value"], color="tab:blue", alpha=0.7)
            ax.plot([low, high], [row, row], color="black", linewidth=1.5)
            ax.axvline(model[task]["chance"], color="gray", linestyle="--", linewidth=1)
        ax.set_xlim(0, 1)
        ax.set_xlabel("precision at 5")
    axes[0].set_yticks(range(len(models)), [model["name"] for model in models], fontsize=8)
    axes[0].invert_yaxis()
    return figure


def save_own_music(report: Mapping[str, Any], path: Path) -> None:
    """Save `own_music` to a file, in the format of its suffix.

    Raises:
        InputError: If the file cannot be written, or the suffix is unknown.
    """
    _save(own_music(report), path)

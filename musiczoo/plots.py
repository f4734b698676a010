"""Pictures of what a model heard. Needs the extra [plot].

Importing this module imports matplotlib, and nothing else of the package imports it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

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
    """Draw a song's tags over time: one block of rows a dimension, one row a tag, one column an excerpt.

    Args:
        track: An analysed song.
        top: Rows a dimension has at most; those with the highest mean over the song are kept.

    Returns:
        The figure. The likeliest tag of each block is its first row; colour is the probability, 0 to 1.
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
        # A square-root scale: most tags of most songs are unlikely, and yet differ over time.
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
    """Write `taggram` as a picture; the file's ending says the format (png, svg, pdf, ...).

    Raises:
        InputError: If the file cannot be written, or its ending is of no known format.
    """
    figure = taggram(track)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a picture file that can be written, such as taggram.png; {path}: {error}"
        ) from error


def column_edges(times: NDArray[np.floating], excerpt_seconds: float) -> NDArray[np.floating]:
    """Where the columns of excerpts begin and end: ``[excerpts] -> [excerpts + 1]`` seconds.

    A column lasts until the next excerpt begins, also where excerpts lie apart; the last one lasts its own
    length.
    """
    return np.append(times, times[-1] + excerpt_seconds)

"""`musiczoo map`: a library as one interactive page."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this file's command."""
    app.command("map", epilog="Example: musiczoo map library.db --out map.html --method umap")(draw)


def draw(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A library: see musiczoo index.")],
    out: Annotated[Path, typer.Option(metavar="HTML", help="The page to write.")],
    method: Annotated[
        str, typer.Option(help="pca (at once), umap or tsne (slower; need the umap or the report extra).")
    ] = "pca",
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most tracks to show; of more, every so many-th is taken.")
    ] = 20_000,
) -> None:
    """Draw a library as a map: one page, one point a track, near where they sound alike."""
    from ..library.map import write

    drawn = write(library, out, method, limit, lambda step: typer.echo(step, err=True))
    if drawn.tracks < drawn.of:
        typer.echo(f"warning: {drawn.tracks:,} of {drawn.of:,} tracks are shown; --limit shows more", err=True)
    typer.echo(f"{drawn.path}: {drawn.tracks:,} tracks, {drawn.path.stat().st_size / 1e6:.1f} MB")

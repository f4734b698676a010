"""Warnings on the command line."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from .printable import printable

MOST_LISTED = 5
"""Tracks left out that are named one by one."""


def left_out(tracks: Sequence[str], where: str) -> list[str]:
    """Lines about tracks that were left out: the first few, and how many more.

    Args:
        tracks: Which, and why: a text each.
        where: What shows the others: ``--json``.
    """
    lines = [f"left out {track}" for track in tracks[:MOST_LISTED]]
    if len(tracks) > MOST_LISTED:
        lines.append(f"left out {len(tracks) - MOST_LISTED:,} more tracks: see {where}")
    return lines


@contextmanager
def remarks() -> Iterator[None]:
    """Around work whose warnings are to be lines of their own, on stderr, when it is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for warning in caught:
                typer.echo(printable(f"warning: {warning.message}"), err=True)

"""Warnings on the command line."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from .printable import printable


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

"""The command line: thin commands, one file a group, over what the package does.

Conventions
-----------
- Results go to stdout; warnings, errors and progress bars to stderr, one clean line each.
- Exit code 0: all done; 1: something failed; 2: the command was called wrongly; 130: Ctrl-C;
  141: nobody reads our results any more (see `streams`); 143: SIGTERM, which ends a command in order, as Ctrl-C does.
- An exception that nobody foresaw is a bug in musiczoo and ends a command with its traceback.
- Commands import what they need when they run, so that one does not wait for what another needs.
"""

import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import MusicZooError
from . import data, evaluate, library, limits, map, quantize, search, ship, streams, tag, train
from .printable import printable

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes of commands that a signal ended."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM: whoever shuts the machine down, or limits our time, wants an end in order."""


def _refused(error: MusicZooError | str) -> int:
    """Print an error that is nobody's bug; its exit code."""
    typer.echo(printable(f"error: {error}"), err=True)
    return 1


class _Group(TyperGroup):
    """The top of the command line: errors made on purpose end it with one line, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MusicZooError as error:
            raise typer.Exit(_refused(error)) from error
        except (OSError, MemoryError, RuntimeError) as error:
            reason = limits.exhausted(error)
            if reason is None:
                raise
            raise typer.Exit(_refused(reason)) from error
        except _Terminated:
            typer.echo("Terminated.", err=True)
            raise typer.Exit(TERMINATED) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(cls=_Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recognise and search music."""


tag.register(app)
library.register(app)
search.register(app)
map.register(app)
ship.register(app)
quantize.register(app)
data.register(app)
train.register(app)
evaluate.register(app)


def _terminate(*_: object) -> None:
    raise _Terminated


def main() -> None:
    """Entry point of the `musiczoo` command."""
    signal.signal(signal.SIGTERM, _terminate)
    streams.prepare()
    limits.adapt()
    try:
        try:
            app(prog_name="musiczoo")
        finally:
            streams.finish()
    except MusicZooError as error:  # help and the like are printed before a command begins
        sys.exit(_refused(error))
    except SystemExit as ended:
        if ended.code in (INTERRUPTED, TERMINATED) and "tensorflow" in sys.modules:
            # Everything has been closed in order. Python's own end would wait for ever where a thread of TensorFlow is
            # inside one of our functions: that thread waits for Python, and TensorFlow, as it ends, for the thread.
            os._exit(ended.code)
        raise

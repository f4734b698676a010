"""The command line: thin commands, one file for each group, over what the package does.

Conventions
-----------
- Results go to stdout; warnings, errors and progress bars go to stderr, one line each.
- Exit code 0: success; 1: something failed; 2: wrong usage; 130: Ctrl-C; 141: the reader of a pipe has closed it;
  143: SIGTERM, which ends a command in the same way as Ctrl-C.
- An exception that is not a `MusicZooError` is a bug in musiczoo and ends a command with its traceback.
- Commands import what they need when they run, so that none waits for the imports of another.
"""

import os
import signal
import sys
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import MusicZooError
from . import _console, artists, data, evaluate, library, search, serve, ship, sync, tag, train

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes of commands that a signal ended."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM: it ends a command in the same way as Ctrl-C."""


def _print_error(error: MusicZooError | str) -> int:
    """Print an error message; return the exit code."""
    typer.echo(_console.printable(f"error: {error}"), err=True)
    return 1


class _Group(_console.Group):
    """The top of the command line: a `MusicZooError` ends it with one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MusicZooError as error:
            raise typer.Exit(_print_error(error)) from error
        except (OSError, MemoryError, RuntimeError) as error:
            reason = _console.exhausted(error)
            if reason is None:
                raise
            raise typer.Exit(_print_error(reason)) from error
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


@app.callback(epilog="Example: musiczoo tag song.mp3")
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log messages of TensorFlow.")] = False,
) -> None:
    """Tag music, search it by similarity, and train the models that do it."""
    if verbose:
        os.environ[_console.LOG_LEVEL] = _console.LOG_ALL


for group in (tag, library, sync, search, artists, serve, ship, data, train, evaluate):
    group.register(app)


def _terminate(*_: object) -> None:
    raise _Terminated


def main() -> None:
    """Run the `musiczoo` command."""
    signal.signal(signal.SIGTERM, _terminate)
    _console.prepare_streams()
    _console.limit_threads()
    try:
        try:
            app(prog_name="musiczoo")
        finally:
            _console.flush_streams()
    except MusicZooError as error:  # raised while printing help, before any command runs
        sys.exit(_print_error(error))
    except MemoryError as error:  # outside of a command, or again while its error was printed
        sys.stderr.write(f"error: {_console.exhausted(error)}\n")
        sys.exit(1)
    except SystemExit as ended:
        if ended.code in (INTERRUPTED, TERMINATED) and "tensorflow" in sys.modules:
            # All files are closed. Python's own shutdown would wait for ever for a thread of TensorFlow that is inside
            # a Python function: that thread waits for Python, and TensorFlow's shutdown waits for the thread.
            os._exit(ended.code)
        raise

"""Call the command line in environments that break programs: no home, no room, no threads, closed streams.

Conventions
-----------
- A server process imports all that commands need, and forks for each call: a fork takes milliseconds, a start a second.
- What Python looks at when it starts (locale, encodings) needs a separate process: see `test_environments`.
- Needs POSIX.
"""

import errno
import importlib
import json
import os
import pwd
import resource
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import warm

WORKS, REFUSES, CLOSED = 0, 1, 141
"""Exit codes: all done; an error in one line; the reader of the output has gone (128 + SIGPIPE)."""

MB = 1 << 20
START_THREAD = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
"""What the module threading calls to start a thread."""


@dataclass(frozen=True)
class Environment:
    """What surrounds a command.

    Attributes:
        codes: Exit codes that it may end with.
        enter: Called in its process, before it starts.
        helps: Exit codes of ``--help``, which needs less.
    """

    codes: frozenset[int]
    enter: Callable[[], object]
    helps: frozenset[int] = frozenset((WORKS,))


@dataclass(frozen=True)
class Called:
    """How a call ended: its exit code (minus the number of a signal), and what it printed."""

    code: int
    out: str
    err: str


def _variables(**changes: str | None) -> Callable[[], None]:
    def enter() -> None:
        for name, value in changes.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return enter


def _no_home() -> None:
    """As of a user whom passwd does not know: docker run --user 12345."""

    def unknown(user: int) -> NoReturn:
        raise KeyError(user)

    _variables(HOME=None, MUSICZOO_HOME=None)()
    pwd.getpwuid = unknown  # type: ignore[assignment]


def _in_removed_folder() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def _to(path: str, *descriptors: int) -> Callable[[], None]:
    def enter() -> None:
        for descriptor in descriptors:
            file = os.open(path, os.O_WRONLY)
            os.dup2(file, descriptor)
            os.close(file)

    return enter


def _to_nobody(*descriptors: int) -> Callable[[], None]:
    """Into a pipe whose reader has gone."""

    def enter() -> None:
        for descriptor in descriptors:
            reader, writer = os.pipe()
            os.dup2(writer, descriptor)
            os.close(reader)
            os.close(writer)

    return enter


def _closed(*descriptors: int) -> Callable[[], None]:
    return lambda: [os.close(descriptor) for descriptor in descriptors]


def _limit(kind: int, amount: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (amount, amount))


def _memory(more: int) -> Callable[[], None]:
    def enter() -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + more)()

    return enter


def _no_threads() -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    setattr(threading, START_THREAD, refuse)


def _no_temporary_folder() -> None:
    def refuse() -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    tempfile.gettempdir = tempfile._get_default_tempdir = refuse  # type: ignore[attr-defined]
    tempfile.tempdir = None


def _of(enter: Callable[[], object], *codes: int, helps: Sequence[int] = (WORKS,)) -> Environment:
    return Environment(frozenset(codes or (WORKS,)), enter, frozenset(helps))


ENVIRONMENTS: dict[str, Environment] = {
    "plain": _of(lambda: None),
    "no home": _of(_no_home),
    "home that is not there": _of(_variables(HOME="/no/such", MUSICZOO_HOME=None)),
    "home that is a file": _of(_variables(HOME="/etc/passwd", MUSICZOO_HOME=None)),
    "models' home that is a file": _of(_variables(MUSICZOO_HOME="/etc/passwd")),
    "models' home of nobody": _of(_variables(MUSICZOO_HOME="~no-such-user/zoo"), WORKS, REFUSES),
    "models' home that is no text": _of(_variables(MUSICZOO_HOME="/no/\udcff")),
    "models' home that is too long": _of(_variables(MUSICZOO_HOME="/" + "x" * 5000)),
    "models' home that is relative": _of(_variables(MUSICZOO_HOME="no/such")),
    "removed working folder": _of(_in_removed_folder),
    "full output": _of(_to("/dev/full", 1), REFUSES, helps=(REFUSES,)),
    "full errors": _of(_to("/dev/full", 2)),
    "full output and errors": _of(_to("/dev/full", 1, 2), REFUSES, helps=(REFUSES,)),
    "pipe that nobody reads": _of(_to_nobody(1), CLOSED, helps=(CLOSED,)),
    "errors that nobody reads": _of(_to_nobody(2)),
    "closed input": _of(_closed(0)),
    "closed output": _of(_closed(1)),
    "closed errors": _of(_closed(2)),
    "closed streams": _of(_closed(0, 1, 2)),
    "no usable terminal": _of(_variables(TERM="dumb", COLUMNS="1", LINES="0", FORCE_COLOR="1")),
    "garbage about the terminal": _of(_variables(TERM="nonsense", COLUMNS="garbage", LINES="-1", TZ="/no/\x01")),
    "no columns": _of(_variables(COLUMNS="0")),
    "no temporary folder": _of(_no_temporary_folder),
    "no programs": _of(_variables(PATH="")),
    "no threads": _of(_no_threads, WORKS, REFUSES),
    "few open files": _of(_limit(resource.RLIMIT_NOFILE, 10), WORKS, REFUSES),
    "small files only": _of(_limit(resource.RLIMIT_FSIZE, 2000), WORKS, REFUSES, helps=(WORKS, REFUSES)),
    "no files": _of(_limit(resource.RLIMIT_FSIZE, 0), REFUSES, helps=(REFUSES,)),
    "little memory": _of(_memory(16 * MB), WORKS, REFUSES),
    "some memory": _of(_memory(64 * MB), WORKS, REFUSES),
}
"""Name -> environment."""


MODULES = (
    *("mutagen.flac", "mutagen.wave", "onnxruntime", "rich.console", "rich.progress", "soundfile", "soxr"),
    *("musiczoo.cli", "musiczoo.datasets.check", "musiczoo.export.publish", "musiczoo.file_tags"),
    *("musiczoo.library.map", "musiczoo.library.search", "musiczoo.model"),
)
"""What commands import."""


class Server:
    """A process that calls commands in forks of itself. Use it in a ``with`` statement."""

    def __init__(self) -> None:
        """Start it."""
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import _serve; _serve()"
        # Unbuffered output would be flushed by others than we test.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def call(self, environment: str, arguments: Sequence[object], folder: Path) -> Called:
        """Call a command in an environment.

        Args:
            environment: One of `ENVIRONMENTS`.
            arguments: The command's words.
            folder: For what it prints; it is also where it works.
        """
        assert self._process.stdin
        assert self._process.stdout
        words = [os.fsdecode(os.fspath(word)) if isinstance(word, os.PathLike) else str(word) for word in arguments]
        print(json.dumps([environment, words, str(folder)]), file=self._process.stdin, flush=True)
        code = json.loads(self._process.stdout.readline())
        out, err = ((folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
        return Called(code, out, err)


def _serve() -> None:
    _warm_up()
    for line in sys.stdin:
        environment, words, folder = json.loads(line)
        child = os.fork()
        if not child:
            _call(environment, words, folder)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _warm_up() -> None:
    """Import what commands import: where there is no room to do so, none of them could do anything."""
    for name in MODULES:
        importlib.import_module(name)
    warm.call_command_line()


def _call(environment: str, words: list[str], folder: str) -> NoReturn:
    """In a fork: set up the streams and the environment as they are when a process starts, and call the command."""
    os.chdir(folder)
    null, out, err = os.open(os.devnull, os.O_RDONLY), _new("out"), _new("err")
    for descriptor, file in enumerate((null, out, err)):
        os.dup2(file, descriptor)
        os.close(file)
    ENVIRONMENTS[environment].enter()
    sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
    sys.argv = ["musiczoo", *words]
    from musiczoo.cli import main

    code: Any = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001  # as Python prints it
        traceback.print_exc()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        code = 120  # as Python ends
    os._exit(code)


def _new(name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)


def _stream(descriptor: int, mode: str) -> Any:
    try:
        os.fstat(descriptor)
    except OSError:
        return None
    return open(descriptor, mode, encoding="utf-8", closefd=False)

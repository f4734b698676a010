"""Processes that start warm: forked from one that has imported TensorFlow and musiczoo already.

Those imports take every process up to six seconds. `command` takes the place of ``[sys.executable]``::

    subprocess.run(warm.command("script.py", "--option"), env=..., cwd=...)
    subprocess.run(warm.command("-m", "musiczoo", "--version"))

The process is a new one, with the arguments, environment, working folder and standard streams of its caller. Not for
tests of what imports do: whether they are cheap, quiet or possible.

As a script, this file is the server that imports and forks; `warm_client` is what a command runs.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import multiprocessing.connection
import os
import runpy
import select
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warm_client import SIZE

IMPORTS = (
    *("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "matplotlib.pyplot", "sklearn.linear_model"),
    *("librosa.feature", "soundfile", "soxr"),
    *("musiczoo.cli", "musiczoo.library", "musiczoo.models.trainer", "musiczoo.models.finetuning"),
    *("musiczoo.export.run", "musiczoo.export.publish", "musiczoo.evaluation.benchmark"),
)
"""What the server imports, as far as it is installed."""

GARBAGE = (50_000, 10, 10)
"""Thresholds of the garbage collector: a network has a million objects, and to look for garbage at every 700th new one
takes a quarter of the time to trace it."""


def command(*words: object) -> list[str]:
    """The command of a warm process: a script, or ``-m`` and a module; and its arguments."""
    return [sys.executable, "-IS", str(Path(__file__).with_name("warm_client.py")), _server(), *map(str, words)]


ADDRESS = "MUSICZOO_TESTS_WARM"
"""The variable with the address of the server that several processes share."""

PATIENCE_S = 120


def share() -> None:
    """Let the processes that this one starts share a server, which the first one that needs it starts."""
    os.environ[ADDRESS] = _address()


@functools.cache
def _server() -> str:
    """The address of the server's socket; the server is started if nobody did so before."""
    address = os.environ.get(ADDRESS) or _address()
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.join(os.path.dirname(address), "started"))
        # Not by subprocess: the server may outlive the process that starts it.
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        os.posix_spawn(sys.executable, [sys.executable, __file__, address], os.environ, file_actions=[nothing])
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(address):
        assert time.monotonic() < end, "the server of warm processes did not start"
        time.sleep(0.05)
    return address


def _address() -> str:
    """The address of a server to be that ends with this process."""
    folder = tempfile.mkdtemp(prefix="warm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return os.path.join(folder, str(os.getpid()))


def serve(address: str) -> None:
    """Fork a process for each client, until the process ends whose number is the name of the socket."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in IMPORTS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    call_command_line()
    gc.set_threshold(*GARBAGE)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.new")
        listening.listen()
        os.rename(f"{address}.new", address)  # it exists when it answers
        while _lives(int(os.path.basename(address))):
            if select.select([listening], [], [], 1.0)[0]:
                client, _ = listening.accept()
                with client:
                    multiprocessing.active_children()  # forget those that have ended
                    _fork(attend, client).start()


def call_command_line() -> None:
    """Call commands, for what they import."""
    from typer.testing import CliRunner

    from musiczoo.cli import app

    for words in (["models", "--json"], ["models", "--help"]):
        CliRunner().invoke(app, words)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def _fork(function: Callable[..., object], *arguments: object) -> Any:
    return multiprocessing.get_context("fork").Process(target=function, args=arguments)


def attend(client: socket.socket) -> None:
    """Run the program of a client; tell it the number of the process and how that ended. If it goes away, kill that."""
    data, streams, _, _ = socket.recv_fds(client, SIZE, 3)
    request = b""
    while len(request) < int.from_bytes(data):
        request += client.recv(1 << 16)
    program = _fork(run, client, streams, *json.loads(request))
    program.start()
    for stream in streams:
        os.close(stream)
    client.sendall(program.pid.to_bytes(SIZE))
    if client in multiprocessing.connection.wait([program.sentinel, client]):
        program.kill()
    program.join()
    with contextlib.suppress(OSError):
        client.sendall(program.exitcode.to_bytes(SIZE, signed=True))


def run(client: socket.socket, streams: list[int], words: list[str], folder: str, environment: dict[str, str]) -> None:
    """Become the program."""
    client.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # New ones: the server's know of the files that it was started with, such as whether they can be rewound.
    sys.stdin, sys.stdout = _stream(0, "r"), _stream(1, "w")
    sys.stderr = _stream(2, "w", errors="backslashreplace", buffering=1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
        runpy.run_path(words[0], run_name="__main__")


def _stream(number: int, mode: str, **how: Any) -> Any:
    return open(number, mode, encoding="utf-8", closefd=False, **how)


if __name__ == "__main__":
    serve(sys.argv[1])

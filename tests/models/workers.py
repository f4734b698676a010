"""Scripts in separate processes: one, or several that work together on the loopback interface."""

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import warm

LIMIT_S = 600
"""Of a process; a busy machine is slow, but nothing waits for ever."""


@dataclass(frozen=True)
class Output:
    """What a process left: its exit code, standard output and standard error."""

    code: int
    text: str
    errors: str


def alone(script: str, *arguments: object) -> Output:
    """Run a script to its end."""
    return _wait(_start(script, arguments, {}))


def together(script: str, *arguments: Sequence[object]) -> list[Output]:
    """Run a script as several workers, each with its own arguments, to the end of all; the first is the chief."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in arguments]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    started = []
    for index, own in enumerate(arguments):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        started.append(_start(script, own, {"TF_CONFIG": json.dumps(cluster)}))
    try:
        return [_wait(process) for process in started]
    finally:
        for process in started:
            process.kill()


def _start(script: str, arguments: Sequence[object], variables: dict[str, str]) -> subprocess.Popen[str]:
    command, environment = warm.command(script, *arguments), {**os.environ, **variables}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _wait(process: subprocess.Popen[str]) -> Output:
    try:
        text, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Output(process.returncode, text, errors)

"""Processes that start warm are like any others: arguments, streams, environment, exit codes, signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import warm

pytestmark = [pytest.mark.train, pytest.mark.skipif(os.name != "posix", reason="forks and descriptors are of POSIX")]

PROGRAM = """
import os, sys, time
print(__name__, sys.argv[1:], os.getcwd(), os.environ.get("HELLO"), sys.stdin.read(), flush=True)
print("error", file=sys.stderr)
if sys.argv[1:] == ["raise"]:
    raise ValueError("wrong")
if sys.argv[1:] == ["wait"]:
    time.sleep(100)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


@pytest.mark.parametrize("word", ["0", "7", "raise"])
def test_it_is_what_python_does(word: str, program: Path, tmp_path: Path) -> None:
    settings = {"input": "caf\u00e9", "env": {**os.environ, "HELLO": "world"}, "cwd": tmp_path, "encoding": "utf-8"}
    cold, hot = (
        subprocess.run([*command, word], capture_output=True, check=False, **settings)
        for command in ([sys.executable, str(program)], warm.command(program))
    )
    assert (hot.returncode, hot.stdout) == (cold.returncode, cold.stdout)
    assert hot.stderr.splitlines()[0] == "error"
    assert hot.stderr.splitlines()[-1] == cold.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(number: signal.Signals, program: Path) -> None:
    with subprocess.Popen(warm.command(program, "wait"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.stdout.read() == b""  # it is gone, too: nothing else has the other end
        assert process.wait() == -number

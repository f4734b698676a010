"""`musiczoo serve` as a process."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

PATIENCE_S = 60


class Server:
    """A running server: ``with serving(library) as server:``.

    Attributes:
        url: Its address, without a slash at the end.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        line = self._line()
        found = re.search(r" at (http://\S+)/$", line)
        assert found, f"{line!r}; {self.stop()}"
        self.url = found[1]
        self._wait()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def _wait(self) -> None:
        """The socket listens before the routes answer: the first request waits."""
        assert httpx.get(f"{self.url}/api/v1/health", timeout=PATIENCE_S).status_code == 200

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            _, error = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def command(library: Path, *options: object) -> list[str]:
    """The command that serves a library on a free port."""
    words = [sys.executable, "-m", "musiczoo", "serve", library, "--port", 0, *options]
    return [str(word) for word in words]


def serving(library: Path, *options: object) -> Server:
    """Start a server and wait until it answers."""
    return Server(
        subprocess.Popen(
            command(library, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
    )

"""Work in a fork: of a process that has imported what the work needs and never computed anything."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from musiczoo.errors import MusicZooError

REFUSED = 3
"""Exit code of work that ended with an error made on purpose."""


@dataclass(frozen=True)
class Ended:
    """How a fork ended.

    Attributes:
        code: 0, `REFUSED`, 1 for any other exception, or minus the number of a signal.
        said: The last line that it wrote, such as an exception.
    """

    code: int
    said: str


def fork(work: Callable[[], object], errors: Path, kill_after: float | None = None) -> Ended:
    """Do some work in a fork, to its end or for some seconds.

    Args:
        work: What to do.
        errors: File for what it writes.
        kill_after: Seconds after which it gets SIGKILL.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            out = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            work()
            code = 0
        except MusicZooError:
            code = REFUSED
            raise
        finally:  # on success or error, a fork must not continue as its parent
            if code:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = errors.read_text(encoding="utf-8", errors="replace").splitlines() if errors.exists() else []
    return Ended(code, lines[-1] if lines else "")

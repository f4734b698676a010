"""What the system may run out of while a command works: room, memory, files, threads.

Conventions
-----------
- Calls that know the path and the advice raise a `MusicZooError`. What is here may be raised by any call, of any
  package, and is no bug of any.
"""

import errno
import os
import threading

_ADVICE = {
    errno.EAGAIN: "Raise the limit of processes and threads: ulimit -u, or --pids-limit of a container.",
    errno.EDQUOT: "Make room, then run the same again.",
    errno.EFBIG: "Raise the limit of a file's size: ulimit -f.",
    errno.EIO: "A disk or its connection fails: look there, then run the same again.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n 1024.",
    errno.ENFILE: "Close other programs, then run the same again.",
    errno.ENOMEM: "Close other programs, or raise the limit of memory.",
    errno.ENOSPC: "Make room, then run the same again.",
    errno.ESTALE: "A network disk was exchanged: mount it again, then run the same again.",
}
"""Number of the system's error -> what to do."""


def exhausted(error: BaseException) -> str | None:
    """What the system ran out of and what to do, for people; None if an exception says something else."""
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):  # all that Python says of it
        number = errno.EAGAIN
    elif isinstance(error, OSError) and error.errno in _ADVICE:
        number = error.errno
    else:
        return None
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return f"{where}{os.strerror(number)}. {_ADVICE[number]}"


def adapt() -> None:
    """Let numpy compute without threads of its own where the system gives us none: else its import is an interrupt."""
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    else:
        thread.join()

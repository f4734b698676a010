"""One writer at a time: a lock that the system gives back when its holder dies, however it dies.

Conventions
-----------
- The lock is on ``<library>.lock``, which holds the writer's process id and stays there when nobody writes.
- It is the system's (flock), not the file's existence: nothing has to be cleaned up after a crash.
"""

import os
import sys
from pathlib import Path

from ..errors import LibraryError

_BUSY_BYTE = 1 << 20
"""Where Windows locks: beyond the process id, which others read."""


class WriterLock:
    """The right to write into a library, from its making until `release`."""

    def __init__(self, library: Path, wait: bool = False) -> None:
        """Take the lock.

        Args:
            library: The library's file; it need not exist.
            wait: Wait for another writer to end, instead of raising.

        Raises:
            LibraryError: If another writer has it, saying which; or if its folder cannot be written to.
        """
        path = library.with_name(f"{library.name}.lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise LibraryError(
                f"{library}: expected a folder that can be written to, received {error.strerror}. Name another place."
            ) from error
        try:
            _lock(self._file, wait)
        except OSError as error:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise LibraryError(
                f"{library}: expected to be its only writer, but {who} is writing to it. Wait until it has ended, "
                "or for it (wait=True, --wait)."
            ) from error
        except BaseException:  # Ctrl-C while waiting
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def leave(self) -> None:
        """Let go of it in a fork of its holder, who keeps it."""
        os.close(self._file)

    def release(self) -> None:
        """Give it back."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


if sys.platform == "win32":
    import msvcrt
    import time

    def _lock(file: int, wait: bool) -> None:
        os.lseek(file, _BUSY_BYTE, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                break
            except OSError:
                if not wait:
                    raise
                time.sleep(0.5)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

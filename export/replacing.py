"""Folders that appear whole: what `musiczoo.datasets.prepared.atomic` is for files.

Conventions
-----------
- A folder is filled under another name beside its own, ``.NAME.partial``, and exchanged with the one that was there in
  one step of the system, so that a process that dies leaves the old one or the new one, whenever that happens.
- One process at a time fills a folder: another waits. What a dead one left is removed by the next.
- Where the system or the file system cannot exchange (Windows, some network disks) it takes two steps; a process that
  dies between them leaves the old folder in ``.NAME.partial``, from where the next brings it back.
"""

import ctypes
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from musiczoo.errors import ModelFileError, MusicZooError


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `target` when the block ends, and is removed if it raises.

    Raises:
        ModelFileError: If the system refuses anything inside, for want of room or of rights.
    """
    scratch = target.with_name(f".{target.name}.partial")
    new, old = scratch / "new", scratch / "old"
    try:
        with _alone(scratch):
            try:
                if old.exists() and not target.exists():
                    os.replace(old, target)
                for leftover in (new, old):
                    shutil.rmtree(leftover, ignore_errors=True)
                new.mkdir()
                yield new
                if target.exists():
                    _exchange(new, target, old)
                else:
                    os.replace(new, target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        if isinstance(error, MusicZooError):
            raise
        raise ModelFileError(
            f"{target}: expected a place that can be written to, got {error.strerror or error}. Make room or get "
            "the right to write there, or name another place."
        ) from error


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Put `new` in the place of `target`, which becomes `new` or `old`."""
    names = os.fsencode(new), os.fsencode(target)
    if sys.platform == "linux":
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename and rename(here, names[0], here, names[1], exchange) == 0:
            return
    elif sys.platform == "darwin":
        swap = 2  # RENAME_SWAP
        if ctypes.CDLL(None).renamex_np(*names, swap) == 0:
            return
    os.replace(target, old)
    os.replace(new, target)


if sys.platform == "win32":

    @contextmanager
    def _alone(scratch: Path) -> Iterator[None]:
        """Make the folder; Windows has no locks on folders."""
        scratch.mkdir(parents=True, exist_ok=True)
        yield

else:
    import fcntl

    @contextmanager
    def _alone(scratch: Path) -> Iterator[None]:
        """Make the folder and lock it; the system gives the lock back when its holder dies."""
        while (lock := _locked(scratch)) is None:
            pass  # who held it has ended, and removed it
        try:
            yield
        finally:
            os.close(lock)

    def _locked(scratch: Path) -> int | None:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            lock = os.open(scratch, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except FileExistsError:  # also where it was there for mkdir and not any more for the look at what it is
            with suppress(FileNotFoundError):
                if not stat.S_ISDIR(os.lstat(scratch).st_mode):
                    raise
            return None
        try:
            with suppress(OSError):  # some network disks lock no folders
                fcntl.flock(lock, fcntl.LOCK_EX)
            if scratch.exists() and os.path.samestat(os.fstat(lock), scratch.stat()):
                return lock
        except FileNotFoundError:
            pass
        except BaseException:  # Ctrl-C while waiting
            os.close(lock)
            raise
        os.close(lock)
        return None

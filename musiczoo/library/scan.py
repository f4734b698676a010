"""Folders -> the audio files in them, and what has become of those that a library knows.

Conventions
-----------
- Paths are real paths: links are followed, each file and folder is met once however many ways lead there, and a
  loop of links ends.
- What counts is the name: endings of audio files (see `musiczoo.audio.SUFFIXES`). Hidden files and folders
  (``.x``, and with them the ``._x`` that macOS leaves on foreign disks) are left out.
- A file is unchanged if its size and its time of modification are.
- What cannot be looked into is not gone: nothing below a folder that is missing or cannot be read counts as such.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .._paths import expanded, resolved
from ..audio import SUFFIXES
from ..errors import LibraryError
from .records import Failure, Known

SHEET = ".cue"
"""Of CUE sheets, which say where the tracks of a file begin. They are not used: such a file is one track."""

PASSED_OVER = frozenset(
    (
        *(".aa", ".aa3", ".aax", ".adts", ".alac", ".at3", ".dff", ".dsf", ".dtshd", ".eac3", ".ec3", ".f4a"),
        *(".gsm", ".la", ".m4p", ".m4r", ".mlp", ".mp+", ".mpp", ".ofr", ".ofs", ".oma", ".ra", ".rm", ".shn"),
        *(".sph", ".tak", ".thd", ".voc", ".vqf"),
    )
).difference(SUFFIXES)
"""Endings, in lower case, of audio that neither musiczoo nor an extra of it decodes: such files are counted."""

PASSING = frozenset(
    (
        *("AudioNotFoundError", "FileNotFoundError", "InterruptedError", "MemoryError", "MissingDependencyError"),
        *("OSError", "PermissionError", "TimeoutError"),
    )
)
"""Kinds of failures that may pass without the file's changing: such files are tried each time."""


_HALF = 1 << 63


@dataclass(frozen=True, slots=True)
class Seen:
    """An audio file that is there.

    Attributes:
        path: Its real path.
        size: Its bytes.
        mtime_ns: Its time of modification in nanoseconds since 1970, modulo 2^64 into the range of SQLite's integers:
            times before 1677 and after 2262, which damaged clocks and archives leave, do not fit in.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "Seen":
        """A file with the status that the system gave."""
        return cls(path, status.st_size, (status.st_mtime_ns + _HALF) % (2 * _HALF) - _HALF)


@dataclass(frozen=True)
class Unreadable:
    """A folder that could not be looked into, and why."""

    path: str
    error: OSError


@dataclass
class Scan:
    """What is in some folders.

    Attributes:
        files: Real path -> file, in the order of the walk.
        roots: Real paths of the folders that were given, and of those that links in them lead to.
        unreadable: Folders below them that could not be looked into.
        passed_over: How many files there are with each of the endings in `PASSED_OVER`, and CUE sheets.
    """

    files: dict[str, Seen] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)
    unreadable: list[Unreadable] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def covers(self, path: str) -> bool:
        """Whether a file with this path would have been met if it were there."""
        return _below(path, self.roots) and not _below(path, {folder.path for folder in self.unreadable})


@dataclass(frozen=True)
class Changes:
    """What has become of a library's files.

    Attributes:
        new: Files that it does not know (or could not hear, and may now).
        changed: Files that have another size or time of modification.
        unchanged: How many are as they were.
        failed: How many could not be heard before and have not changed.
        gone: Paths and ids of its tracks that are not there any more (or lie elsewhere).
        settled: Paths of failures that are not there any more.
    """

    new: tuple[Seen, ...]
    changed: tuple[Seen, ...]
    unchanged: int
    failed: int
    gone: Mapping[str, int]
    settled: tuple[str, ...]


def scan(folders: Iterable[str | os.PathLike[str]], forget: bool = False) -> Scan:
    """Walk through folders, in the order of their names.

    Args:
        folders: Where the music is; ``~`` is the user's home.
        forget: Take a folder that does not exist for one that was deleted, not for a disk that is missing.

    Raises:
        LibraryError: If one does not exist, is a file, or cannot be read.
    """
    found = Scan()
    pending: list[str] = []
    for folder in folders:
        root = str(resolved(expanded(folder)))
        found.roots.add(root)
        if os.path.lexists(root) or not forget:
            check_folder(folder)
            pending.append(root)
    visited: set[str] = set()
    pending.reverse()
    while pending:
        folder = pending.pop()
        if folder not in visited:
            visited.add(folder)
            pending += reversed(_look(folder, found))
    return found


def compare(found: Scan, known: Mapping[str, Known], failures: Iterable[Failure], rescan: bool = False) -> Changes:
    """Changes to the files that a library knows; with `rescan`, none counts as unchanged."""
    failed = {failure.path: failure for failure in failures}
    new: list[Seen] = []
    changed: list[Seen] = []
    still_failed = 0
    for seen in found.files.values():
        before = known.get(seen.path) or failed.get(seen.path)
        same = not rescan and before is not None and (before.size, before.mtime_ns) == (seen.size, seen.mtime_ns)
        if isinstance(before, Known):
            if not same:
                changed.append(seen)
        elif isinstance(before, Failure) and same and before.kind not in PASSING:
            still_failed += 1
        else:
            new.append(seen)
    gone = {path: row.id for path, row in known.items() if path not in found.files and found.covers(path)}
    there = found.files.keys() | {folder.path for folder in found.unreadable}
    settled = tuple(path for path in failed if path not in there and found.covers(path))
    unchanged = len(found.files) - len(new) - len(changed) - still_failed
    return Changes(tuple(new), tuple(changed), unchanged, still_failed, gone, settled)


def is_gone(path: str) -> bool:
    """Whether there is no file at the path; never of tracks that were imported and lie elsewhere, as at a URL."""
    return os.path.isabs(path) and not os.path.exists(path)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse what is no folder that can be read.

    Raises:
        LibraryError: Saying why.
    """
    try:
        os.scandir(expanded(folder)).close()
    except FileNotFoundError as error:
        raise LibraryError(
            f"{os.fspath(folder)}: expected a folder with music, received a path with nothing there. Is its disk "
            "mounted? If it was deleted on purpose, say so: forget=True, --forget."
        ) from error
    except OSError as error:
        raise LibraryError(
            f"{os.fspath(folder)}: expected a folder that can be read, received {error.strerror}. Name another."
        ) from error


def check_not_empty(found: Scan, gone: Iterable[str]) -> None:
    """Refuse a folder with nothing at all in it where a library knows tracks: it is likely an unmounted disk.

    Raises:
        LibraryError: Naming the folder.
    """
    empty = {root for root in found.roots if os.path.isdir(root) and not os.listdir(root)}
    for path in gone if empty else ():
        if _below(path, empty):
            raise LibraryError(
                f"Expected music in {', '.join(sorted(empty))}, such as {path}, received an empty folder. Is its disk "
                "mounted? If it was emptied on purpose, say so: forget=True, --forget."
            )


def _look(folder: str, found: Scan) -> list[str]:
    """Note the files of one folder; return the folders in it."""
    folders: list[str] = []
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        found.unreadable.append(Unreadable(folder, error))
        return folders
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            path = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if entry.is_dir():
                folders.append(path)
                if entry.is_symlink():
                    found.roots.add(path)
                continue
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix in SUFFIXES and entry.is_file():
                found.files[path] = Seen.of(path, entry.stat())
            elif suffix == SHEET or suffix in PASSED_OVER:
                found.passed_over[suffix] += 1
        except OSError:  # it went away while we looked, or is a link to itself
            continue
    return folders


def _below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of the folders or lies in one."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)

"""Find the audio files in folders, and compare them with those that a library knows.

Conventions
-----------
- Paths are real paths: links are followed, each file and folder is visited once however many links lead to it, and a
  loop of links ends.
- Files are chosen by name: by the endings of audio files (see `musiczoo.audio.SUFFIXES`). Hidden files and folders
  (``.x``, including the ``._x`` that macOS leaves on foreign disks) are skipped.
- A file is unchanged if its size and its time of modification are the same.
- Nothing below a folder that is missing or cannot be read counts as gone.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .._paths import expanded, resolved
from ..audio import SUFFIXES
from ..errors import LibraryError
from .records import Failure, KnownTrack

SHEET = ".cue"
"""Ending of CUE sheets, which list the tracks of a file. They are not used: such a file is one track."""

PASSED_OVER = frozenset(
    (
        *(".aa", ".aa3", ".aax", ".adts", ".alac", ".at3", ".dff", ".dsf", ".dtshd", ".eac3", ".ec3", ".f4a"),
        *(".gsm", ".la", ".m4p", ".m4r", ".mlp", ".mp+", ".mpp", ".ofr", ".ofs", ".oma", ".ra", ".rm", ".shn"),
        *(".sph", ".tak", ".thd", ".voc", ".vqf"),
    )
).difference(SUFFIXES)
"""Endings, in lower case, of audio that neither musiczoo nor its extras decode. Such files are only counted."""

PASSING = frozenset(
    (
        *("AudioNotFoundError", "FileNotFoundError", "InterruptedError", "MemoryError", "MissingDependencyError"),
        *("OSError", "PermissionError", "TimeoutError"),
    )
)
"""Errors that may go away although the file has not changed: such files are tried again each time."""


_HALF = 1 << 63


@dataclass(frozen=True, slots=True)
class FoundFile:
    """An audio file that exists.

    Attributes:
        path: Its real path.
        size: Its size in bytes.
        mtime_ns: Its time of modification in nanoseconds since 1970, modulo 2^64 into the range of SQLite's integers:
            times before 1677 and after 2262, which wrong clocks and archives leave, do not fit.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> "FoundFile":
        """Return a file with the status of `os.stat`."""
        return cls(path, status.st_size, (status.st_mtime_ns + _HALF) % (2 * _HALF) - _HALF)


@dataclass(frozen=True)
class Unreadable:
    """A folder, or a file that was asked for by its path, that could not be read, and the error."""

    path: str
    error: OSError


@dataclass
class Scan:
    """The contents of some folders.

    Attributes:
        files: Real path -> file, in the order of the walk.
        roots: Real paths of the folders given, and of those that links in them lead to.
        unreadable: Folders below them, and given files, that could not be read.
        passed_over: Number of files with each of the endings in `PASSED_OVER`, and of CUE sheets.
    """

    files: dict[str, FoundFile] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)
    unreadable: list[Unreadable] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def covers(self, path: str) -> bool:
        """Return whether the scan would have found a file of this path if it existed."""
        return _below(path, self.roots) and not _below(path, {folder.path for folder in self.unreadable})


@dataclass(frozen=True)
class Changes:
    """The changes to a library's files.

    Attributes:
        new: Files that are not in the library, or that failed and are tried again.
        changed: Files with another size or time of modification.
        unchanged: Number of unchanged files.
        failed: Number of unchanged files that failed before.
        gone: Path -> id of tracks whose files are gone (or moved).
        settled: Paths of failures whose files are gone.
    """

    new: tuple[FoundFile, ...]
    changed: tuple[FoundFile, ...]
    unchanged: int
    failed: int
    gone: Mapping[str, int]
    settled: tuple[str, ...]


def scan(
    folders: Iterable[str | os.PathLike[str]], forget: bool = False, files: Iterable[str | os.PathLike[str]] = ()
) -> Scan:
    """Walk through folders, in the order of their names.

    Args:
        folders: Folders with music; ``~`` is the user's home.
        forget: Treat a folder that does not exist as deleted, not as a disk that is not mounted.
        files: Files to add, whatever their endings.

    Raises:
        LibraryError: If a folder does not exist, is a file, or cannot be read.
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
            pending += reversed(_scan_folder(folder, found))
    for path in (str(resolved(expanded(file))) for file in files):
        try:
            found.files[path] = FoundFile.of(path, os.stat(path))
        except OSError as error:
            found.unreadable.append(Unreadable(path, error))
    return found


def compare(found: Scan, known: Mapping[str, KnownTrack], failures: Iterable[Failure], rescan: bool = False) -> Changes:
    """Return the changes to the files of a library; with `rescan`, no file counts as unchanged."""
    failed = {failure.path: failure for failure in failures}
    new: list[FoundFile] = []
    changed: list[FoundFile] = []
    still_failed = 0
    for file in found.files.values():
        before = known.get(file.path) or failed.get(file.path)
        same = not rescan and before is not None and (before.size, before.mtime_ns) == (file.size, file.mtime_ns)
        if isinstance(before, KnownTrack):
            if not same:
                changed.append(file)
        elif isinstance(before, Failure) and same and before.kind not in PASSING:
            still_failed += 1
        else:
            new.append(file)
    gone = {path: row.id for path, row in known.items() if path not in found.files and found.covers(path)}
    there = found.files.keys() | {folder.path for folder in found.unreadable}
    settled = tuple(path for path in failed if path not in there and found.covers(path))
    unchanged = len(found.files) - len(new) - len(changed) - still_failed
    return Changes(tuple(new), tuple(changed), unchanged, still_failed, gone, settled)


def is_gone(path: str) -> bool:
    """Return whether a track's file is gone; never for imported tracks with a URL in place of a path."""
    return os.path.isabs(path) and not os.path.exists(path)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse a path that is not a readable folder.

    Raises:
        LibraryError: With the reason.
    """
    try:
        os.scandir(expanded(folder)).close()
    except FileNotFoundError as error:
        raise LibraryError(
            f"No such folder: {os.fspath(folder)}. Is its disk mounted? If you deleted it, pass forget=True (--forget)."
        ) from error
    except OSError as error:
        raise LibraryError(f"Cannot read the folder {os.fspath(folder)}: {error.strerror}. Choose another.") from error


def check_not_empty(found: Scan, gone: Iterable[str]) -> None:
    """Refuse an empty folder of which the library has tracks: its disk is probably not mounted.

    Raises:
        LibraryError: With the name of the folder.
    """
    empty = {root for root in found.roots if os.path.isdir(root) and not os.listdir(root)}
    for path in gone if empty else ():
        if _below(path, empty):
            raise LibraryError(
                f"No files in {', '.join(sorted(empty))}, but the library has tracks there, such as {path}. Is its "
                "disk mounted? If you emptied it, pass forget=True (--forget)."
            )


def _scan_folder(folder: str, found: Scan) -> list[str]:
    """Add the files of one folder to the scan, and return the folders in it."""
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
                found.files[path] = FoundFile.of(path, entry.stat())
            elif suffix == SHEET or suffix in PASSED_OVER:
                found.passed_over[suffix] += 1
        except OSError:  # removed meanwhile, or a link to itself
            continue
    return folders


def _below(path: str, folders: Iterable[str]) -> bool:
    """Return whether a path is one of the folders or below one."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)

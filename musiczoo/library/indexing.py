"""Bring a library up to date with folders: decoding and inference overlap, and each track is one transaction.

Conventions
-----------
- Several threads each take a file through reading, decoding and inference, all of which release Python's lock, so that
  one file's inference runs beside another's decoding. The caller's thread writes the results. Only a few excerpts of
  each file and only a few files are in memory at a time, however long or many they are.
- A record depends only on the file's bytes and the model: not on the number of threads, the order in which they finish,
  or earlier contents of the library. So an interrupted run and the next one leave what one uninterrupted run leaves.
- A file whose bytes are known is not analyzed again. If the file that they are known from is gone, its row is moved.
  Each such file takes one look-up, so that thousands of copies take thousands of look-ups, not millions.
- Rows of files that are gone are removed last, after all moved files have been found.

Files that crash the decoder
----------------------------
- The table ``underway`` has a row for each file in progress: the file, with its size and time of modification, and how
  many times it was started. Writing a track or a failure removes the row (by triggers: see `sqlite.script`), and a run
  that ends in an orderly way, if only by Ctrl-C, takes its starts back. So the rows that a run finds are of files that
  were in progress when other processes died: one of them may have crashed the decoder.
- Such files are analyzed last, one by one, in a worker process if possible (see `worker`). A file that crashes that,
  too, becomes a failure, the others become tracks. Without a worker process, a file that was in progress when `DEATHS`
  processes died becomes a failure.
"""

import dataclasses
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from time import monotonic

from .._parallel import completed, thread_count
from .._paths import as_text
from ..audio import AudioWarning
from ..errors import LibraryError
from ..model import Model
from . import metadata
from .database import Database
from .records import Entry, Failure, decode_path, encode_path
from .scan import Changes, FoundFile, Scan, check_not_empty, compare, is_gone, scan
from .worker import (
    FILE_ERRORS,
    DecoderDied,
    Job,
    Worker,
    analyze_file,
    check_unchanged,
    content_hash,
    failure_of,
    stat_file,
)

DEATHS = 3
"""Processes that may die while a file is in progress, before it becomes a failure."""

Analyze = Callable[[FoundFile, str], Entry | Failure]
"""A file and its hash -> its record."""


class MetadataWarning(UserWarning):
    """Titles, artists and the like cannot be read, since mutagen is not installed."""


@dataclass(frozen=True)
class IndexReport:
    """The results of a run.

    Attributes:
        added: Files that were not in the library.
        changed: Files with other contents than before; in a rescan, also with other metadata.
        moved: Files known from a path where they are not any more.
        removed: Tracks whose files are gone.
        failed: Files that cannot be analyzed, tried now or before, and folders that cannot be read: see
            `Library.failures`.
        unchanged: Files that have not changed.
        seconds: Duration of the run.
        warned: Tracks analyzed now with warnings about their audio: see `Library.warnings`.
        passed_over: Ending -> number of files with it that were skipped, since nothing decodes them (or, for ``.cue``,
            since sheets are not used).
    """

    added: int
    changed: int
    moved: int
    removed: int
    failed: int
    unchanged: int
    seconds: float
    warned: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)


def index(
    database: Database,
    model: Model,
    folders: Iterable[str | os.PathLike[str]],
    workers: int | None = None,
    forget: bool = False,
    progress: bool = True,
    isolated: Job | None = None,
    rescan: bool = False,
    files: Iterable[str | os.PathLike[str]] = (),
    again: bool = False,
) -> IndexReport:
    """Bring a library up to date with folders; tracks of other folders are kept.

    Args:
        database: The library's file, opened for writing.
        model: A model of the library's space.
        folders: Folders with music.
        workers: Number of files analyzed at a time, and of cores used; by default all that this process may use.
        forget: Treat a folder that is missing or empty as deleted or emptied, not as a disk that is not mounted.
        progress: Show a progress bar, and why files failed, on standard error.
        isolated: How a worker process analyzes files that may have crashed the decoder; by default this process does.
        rescan: Read also files of unchanged size and time: decode those with other contents, and read the metadata of
            the others again.
        files: Files to add or to bring up to date, beside those of the folders.
        again: Analyze all files, also unchanged ones.

    Raises:
        LibraryError: If a folder is missing or cannot be read, or the library cannot be written.
        InputError: If `workers` is not a positive whole number.

    Warns:
        MetadataWarning: If mutagen is not installed.
    """
    started = monotonic()
    threads = thread_count(workers, "workers")
    if not metadata.available():
        warnings.warn(
            'Titles, artists, albums, genres and years are not read. Install mutagen: pip install "musiczoo[library]"',
            MetadataWarning,
            stacklevel=2,
        )
    found = scan(folders, forget, files)
    known = database.known()
    changes = compare(found, known, database.failures(), rescan or again)
    if not forget:
        check_not_empty(found, changes.gone)
    hashes = set() if again else {row.hash for row in known.values()}
    run = _Run(database, model, hashes, {file.path for file in changes.changed}, rescan)
    todo = sorted((*changes.new, *changes.changed), key=lambda file: file.path)
    waiting = set(todo)
    crashed = {file: deaths for file, deaths in files_in_progress(database).items() if file in waiting}
    with _without_audio_warnings(), _progress_bar(len(todo), progress) as step:
        run.analyze_all((file for file in todo if file not in crashed), threads, step)
        run.analyze_crashed(crashed, isolated, step)
    removed = _remove_gone(database, found, changes)
    done = run.counts
    return IndexReport(
        added=done["added"],
        changed=done["changed"],
        moved=done["moved"],
        removed=removed,
        failed=done["failed"] + changes.failed + len(found.unreadable),
        unchanged=done["unchanged"] + changes.unchanged,
        seconds=monotonic() - started,
        warned=done["warned"],
        passed_over=dict(sorted(found.passed_over.items())),
    )


@contextmanager
def update_file(database: Database, path: str) -> Iterator[None]:
    """Wrap a change to a file that leaves its audio as it is: its track is not analyzed again.

    Nothing is noted if the track was out of date before, or the block raises.
    """
    entry = database.find(path)
    current = entry is not None and stat_file(path) == FoundFile(path, entry.size, entry.mtime_ns)
    yield
    if entry is not None and current:
        file = stat_file(path)
        if file != FoundFile(path, entry.size, entry.mtime_ns):
            same = dataclasses.replace(entry, size=file.size, mtime_ns=file.mtime_ns, hash=content_hash(path))
            tags = metadata.read(path)._asdict() if metadata.available() else {}
            database.add(dataclasses.replace(same, **tags))


# === Files in progress ===

_SAME = "path = ? AND size = ? AND mtime_ns = ?"


def files_in_progress(database: Database) -> dict[FoundFile, int]:
    """Return file -> number of processes that died while it was in progress, the fewest first, then by path."""
    rows = database.rows("SELECT path, size, mtime_ns, begun FROM underway ORDER BY begun, path")
    return {FoundFile(decode_path(row[0]), *row[1:3]): row[3] for row in rows}


def start_file(database: Database, file: FoundFile) -> None:
    """Record that the analysis of a file starts."""
    sql = "INSERT INTO underway VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET begun = begun + 1"
    database.write(sql, _key(file))


def stop_files(database: Database, files: Iterable[FoundFile]) -> None:
    """Record that the analysis of files ended in an orderly way, whether they have a record now or not."""
    # A full disk, which may be the reason for the end, refuses this, too. The next run then only takes more time.
    with suppress(LibraryError), database.transaction():
        for file in files:
            database.write(f"UPDATE underway SET begun = begun - 1 WHERE {_SAME}", _key(file))
        database.write("DELETE FROM underway WHERE begun < 1")


def clear_files(database: Database, scanned: Callable[[str], bool]) -> None:
    """Remove the files in progress whose paths a complete run has scanned: they are gone, or changed back."""
    for file in files_in_progress(database):
        if scanned(file.path):
            database.write(f"DELETE FROM underway WHERE {_SAME}", _key(file))


def _key(file: FoundFile) -> tuple[str | bytes, int, int]:
    return encode_path(file.path), file.size, file.mtime_ns


# === A run ===


class _Run:
    """One run over the files that are new or changed."""

    def __init__(
        self, database: Database, model: Model, hashes: set[str], changed: set[str], rescan: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._database = database
        self._model = model
        self._hashes = hashes  # of all tracks; a track may have been overwritten since
        self._changed = changed
        self._rescan = rescan
        self._gone: dict[str, deque[tuple[int, str]]] = {}  # hash -> id and path of tracks whose files are gone

    def analyze_all(self, files: Iterable[FoundFile], threads: int, step: Callable[[str | None], None]) -> None:
        """Analyze files in several threads, and write their records."""
        todo, started = list(files), set[FoundFile]()

        def start() -> Iterator[FoundFile]:
            for file in todo:
                started.add(file)
                yield file

        try:
            while todo:
                again = []
                with closing(completed(lambda file: self._record(file, self._analyze), start(), threads)) as results:
                    for file, result in results:
                        if not self._finish(file, result, step):
                            again.append(file)
                        started.discard(file)
                todo = again
        finally:
            stop_files(self._database, started)

    def analyze_crashed(
        self, files: Mapping[FoundFile, int], isolated: Job | None, step: Callable[[str | None], None]
    ) -> None:
        """Analyze one by one the files that were in progress when processes died, and write their records."""
        with Worker(isolated) if files and isolated else nullcontext() as worker:

            def analyze(file: FoundFile, digest: str) -> Entry | Failure:
                if files[file] >= DEATHS:
                    deaths = f"{files[file]} processes died while they decoded it"
                    return failure_of(file, DecoderDied(f"Cannot decode {file.path}: {deaths}. Remove the file."))
                return worker.analyze(file.path) if worker else self._analyze(file, digest)

            for file in files:
                try:
                    while not self._finish(file, self._record(file, analyze), step):
                        pass
                finally:
                    stop_files(self._database, (file,))

    def _record(self, file: FoundFile, analyze: Analyze) -> Entry | Failure | str:
        """Return, in any thread, the record of a file, or only its hash if that is known."""
        try:
            digest = content_hash(file.path)
            if digest in self._hashes:
                result: Entry | Failure | str = digest
            else:
                start_file(self._database, file)
                result = analyze(file, digest)
            check_unchanged(file)
        except LibraryError:  # of the library, not of the file
            raise
        except FILE_ERRORS as error:
            return failure_of(file, error)
        return result

    def _analyze(self, file: FoundFile, digest: str) -> Entry:
        return analyze_file(self._model, self._database.config, file, digest)

    def _finish(self, file: FoundFile, result: Entry | Failure | str, step: Callable[[str | None], None]) -> bool:
        """Write a record and count it; return False if the file has to be analyzed after all."""
        outcome = self._write(file, result)
        if outcome is None:
            return False
        self.counts[outcome] += 1
        step(result.reason if isinstance(result, Failure) else None)
        return True

    def _write(self, file: FoundFile, result: Entry | Failure | str) -> str | None:
        """Write a record; return the count to raise, or None if the file has to be analyzed after all."""
        if isinstance(result, Failure):
            self._database.add_failure(result)
            return "failed"
        if isinstance(result, str):
            return self._write_known(file, result)
        self._database.add(result)
        self._hashes.add(result.hash)
        self.counts["warned"] += bool(result.warnings)
        return self._kind(file)

    def _write_known(self, file: FoundFile, digest: str) -> str | None:
        """Write the record of a file from that of a file with the same bytes."""
        # Each look-up takes one row from an index: each of thousands of identical files has thousands of such rows.
        key = (encode_path(file.path), digest)
        rows = self._database.rows("SELECT id FROM tracks WHERE path = ? AND hash = ?", key)
        if rows:
            return self._write_same(file, rows[0][0])
        if (number := self._next_gone(digest)) is not None:
            self._database.move(number, file.path, file.mtime_ns)
            return "moved"
        number = self._database.rows("SELECT min(id) FROM tracks WHERE hash = ?", (digest,))[0][0]
        same = next(self._database.entries([] if number is None else [number]), None)
        if same is None:  # it was overwritten meanwhile
            self._hashes.discard(digest)
            return None
        self._database.add(dataclasses.replace(same, path=file.path, mtime_ns=file.mtime_ns))
        return self._kind(file)

    def _write_same(self, file: FoundFile, number: int) -> str:
        """Write the record of a file whose bytes have not changed."""
        if not self._rescan:
            self._database.move(number, file.path, file.mtime_ns)
            return "unchanged"
        before = next(self._database.entries([number]))
        tags = metadata.read(file.path)._asdict() if metadata.available() else {}
        changed = any(getattr(before, name) != value for name, value in tags.items())
        if changed or before.mtime_ns != file.mtime_ns:
            self._database.add(dataclasses.replace(before, mtime_ns=file.mtime_ns, **tags))
        return "changed" if changed else "unchanged"

    def _next_gone(self, digest: str) -> int | None:
        """Return a track with these bytes whose file is gone, so that its row can be moved; each track once."""
        if digest not in self._gone:
            rows = self._database.rows("SELECT id, path FROM tracks WHERE hash = ? ORDER BY id", (digest,))
            tracks = ((number, decode_path(path)) for number, path in rows)
            self._gone[digest] = deque((number, path) for number, path in tracks if is_gone(path))
        while self._gone[digest]:
            number, path = self._gone[digest].popleft()
            key = (number, encode_path(path), digest)
            if is_gone(path) and self._database.select_ids("id = ? AND path = ? AND hash = ?", key).size:
                return number
        return None

    def _kind(self, file: FoundFile) -> str:
        return "changed" if file.path in self._changed else "added"


def _remove_gone(database: Database, found: Scan, changes: Changes) -> int:
    """Remove the rows of files that are gone, and return the number of tracks removed.

    Folders that cannot be read become failures.
    """
    there = {row.id: path for path, row in database.known().items()} if changes.gone else {}
    gone = [number for path, number in changes.gone.items() if there.get(number) == path]
    with database.transaction():
        for number in gone:
            database.remove(number)
        for path in changes.settled:
            database.remove_failure(path)
        clear_files(database, found.covers)
        for folder in found.unreadable:
            database.add_failure(failure_of(FoundFile(folder.path, 0, 0), folder.error))
    return len(gone)


@contextmanager
def _without_audio_warnings() -> Iterator[None]:
    """Suppress warnings about audio, which many files of a large library cause: they are stored with the tracks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        yield


@contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Callable[[str | None], None]]:
    """Show a progress bar on standard error, if that is a terminal.

    Yields:
        A function to call after each file, with the reason if it failed, which is printed.
    """
    if not shown:
        yield lambda reason: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("Indexing"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("", total=total, rate="")

        def step(reason: str | None) -> None:
            if reason is not None:
                text = as_text(reason)
                bar.console.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f} tracks/s" if speed else "")

        yield step

"""Folders -> rows of a library: decoding and inference overlapped, a commit a track.

Conventions
-----------
- Some threads each take a file through reading, decoding and inference, all of which leave Python to others, so that
  one's inference runs beside another's decoding; one thread, the caller's, writes what they return. A file is held
  as a few excerpts at a time and only a few files are under way, so memory does not grow with either.
- A row depends on its file's bytes and the model alone: not on the number of threads, on the order in which they
  end, nor on what was there before. So a run that was killed, and one after it, leave what an undisturbed one does.
- A file that kills its decoder kills this process. The next run finds it among those that were under way, its
  suspects, and hears these last, one by one, in a process of their own (see `child`) if it is told how: the killer
  becomes a failure, the others tracks. If this process dies of it all the same, again and again, it gives it up.
- A file whose bytes are known is not heard again. If the one that it is known from is gone, its row is moved. Each such
  file takes one look-up, so that thousands of copies take thousands of look-ups, not millions.
- What is gone is forgotten last, when all that was moved has been found.
"""

import dataclasses
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from time import monotonic

from .._parallel import completed, thread_count
from .._paths import as_text
from ..audio import AudioWarning
from ..errors import LibraryError
from ..model import Model
from . import metadata, underway
from .connection import restored, stored
from .database import Database
from .hearing import UNHEARABLE, check_same, content_hash, failure, hear
from .records import Entry, Failure
from .scan import Changes, Scan, Seen, check_not_empty, compare, is_gone, scan
from .worker import Child, DecoderDied, Job

DEATHS = 3
"""Processes like this one that a file may cost."""

Listen = Callable[[Seen, str], Entry | Failure]
"""A file and its hash -> its row."""


class MetadataWarning(UserWarning):
    """Titles, artists and the like cannot be read, since mutagen is missing."""


@dataclass(frozen=True)
class IndexReport:
    """What a run found and did.

    Attributes:
        added: Files that the library did not know.
        changed: Files with other contents than before; in a rescan, also with other metadata.
        moved: Files known from a place where they are not any more.
        removed: Tracks whose files are gone.
        failed: Files that cannot be heard, tried now or known to be so, and folders that cannot be looked into: see
            `Library.failures`.
        unchanged: Files that are as they were.
        seconds: How long it took.
        warned: Tracks, among those that were decoded, whose audio is not as their owner may expect: see
            `Library.warnings`.
        passed_over: Ending -> how many files with it were not looked at, since nothing decodes them (or, for
            ``.cue``, since sheets are not used).
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
    alone: Job | None = None,
    rescan: bool = False,
) -> IndexReport:
    """Bring a library up to date with folders; what it knows of other folders stays.

    Args:
        database: The library's file, opened for writing.
        model: A model of the library's space.
        folders: Where the music is.
        workers: Files analyzed at a time, and cores used; by default all that this process may use.
        forget: Take a folder that is missing or empty for one that was deleted or emptied, and not for a disk that
            is not there.
        progress: Show a bar, and why files failed, on standard error.
        alone: How another process listens to suspects; by default this one does.
        rescan: Take no file for unchanged for its size and time: read all, decode those with other contents, and read
            the metadata of the others again.

    Raises:
        LibraryError: If a folder is missing or cannot be read, or the library cannot be written.
        InputError: If `workers` is not a positive whole number.

    Warns:
        MetadataWarning: If mutagen is missing.
    """
    started = monotonic()
    threads = thread_count(workers, "workers")
    if not metadata.available():
        warnings.warn(
            'Titles, artists, albums, genres and years are left out: they need pip install "musiczoo[library]"',
            MetadataWarning,
            stacklevel=2,
        )
    found = scan(folders, forget)
    known = database.known()
    changes = compare(found, known, database.failures(), rescan)
    if not forget:
        check_not_empty(found, changes.gone)
    run = _Run(database, model, {row.hash for row in known.values()}, {seen.path for seen in changes.changed}, rescan)
    todo = sorted((*changes.new, *changes.changed), key=lambda seen: seen.path)
    waiting = set(todo)
    suspects = {seen: deaths for seen, deaths in underway.suspects(database).items() if seen in waiting}
    with _quiet(), _bar(len(todo), progress) as step:
        run.all((seen for seen in todo if seen not in suspects), threads, step)
        run.suspects(suspects, alone, step)
    removed = _forget(database, found, changes)
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


class _Run:
    """One run over the files that are new or changed."""

    def __init__(
        self, database: Database, model: Model, hashes: set[str], changed: set[str], rescan: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._database = database
        self._model = model
        self._hashes = hashes  # of all tracks; one that was overwritten may still be among them
        self._changed = changed
        self._rescan = rescan
        self._gone: dict[str, deque[tuple[int, str]]] = {}  # hash -> id and path of tracks whose files are gone

    def all(self, files: Iterable[Seen], threads: int, step: Callable[[str | None], None]) -> None:
        """Hear and write them all, with so many threads."""
        todo, begun = list(files), set[Seen]()

        def begin() -> Iterator[Seen]:
            for seen in todo:
                begun.add(seen)
                yield seen

        try:
            while todo:
                again = []
                with closing(completed(lambda seen: self._hear(seen, self._listen), begin(), threads)) as results:
                    for seen, result in results:
                        if not self._settle(seen, result, step):
                            again.append(seen)
                        begun.discard(seen)
                todo = again
        finally:
            underway.withdraw(self._database, begun)

    def suspects(self, files: Mapping[Seen, int], alone: Job | None, step: Callable[[str | None], None]) -> None:
        """Hear those during which so many processes died, one by one, and write them."""
        with Child(alone) if files and alone else nullcontext() as child:

            def listen(seen: Seen, digest: str) -> Entry | Failure:
                if files[seen] >= DEATHS:
                    died = f"{seen.path}: {files[seen]} processes died while it was decoded. Leave it out."
                    return failure(seen, DecoderDied(died))
                return child.hear(seen.path) if child else self._listen(seen, digest)

            for seen in files:
                try:
                    while not self._settle(seen, self._hear(seen, listen), step):
                        pass
                finally:
                    underway.withdraw(self._database, (seen,))

    def _hear(self, seen: Seen, listen: Listen) -> Entry | Failure | str:
        """In any thread: the row of a file, or only its hash if that is known."""
        try:
            digest = content_hash(seen.path)
            if digest in self._hashes:
                result: Entry | Failure | str = digest
            else:
                underway.begin(self._database, seen)
                result = listen(seen, digest)
            check_same(seen)
        except LibraryError:  # ours, not the file's
            raise
        except UNHEARABLE as error:
            return failure(seen, error)
        return result

    def _listen(self, seen: Seen, digest: str) -> Entry:
        return hear(self._model, self._database.facts, seen, digest)

    def _settle(self, seen: Seen, result: Entry | Failure | str, step: Callable[[str | None], None]) -> bool:
        """Write a row and count it; False if the file has to be heard after all."""
        outcome = self._write(seen, result)
        if outcome is None:
            return False
        self.counts[outcome] += 1
        step(result.reason if isinstance(result, Failure) else None)
        return True

    def _write(self, seen: Seen, result: Entry | Failure | str) -> str | None:
        """Write a row; the count to raise, or None if the file has to be heard after all."""
        if isinstance(result, Failure):
            self._database.fail(result)
            return "failed"
        if isinstance(result, str):
            return self._write_known(seen, result)
        self._database.add(result)
        self._hashes.add(result.hash)
        self.counts["warned"] += bool(result.warnings)
        return self._kind(seen)

    def _write_known(self, seen: Seen, digest: str) -> str | None:
        """Write the row of a file from that of one with the same bytes."""
        # Each look-up takes one row from an index: of thousands of identical files, each has thousands of such rows.
        rows = self._database.rows("SELECT id FROM tracks WHERE path = ? AND hash = ?", (stored(seen.path), digest))
        if rows:
            return self._write_again(seen, rows[0][0])
        if (number := self._next_gone(digest)) is not None:
            self._database.move(number, seen.path, seen.mtime_ns)
            return "moved"
        number = self._database.rows("SELECT min(id) FROM tracks WHERE hash = ?", (digest,))[0][0]
        same = next(self._database.entries([] if number is None else [number]), None)
        if same is None:  # it was overwritten in the meantime
            self._hashes.discard(digest)
            return None
        self._database.add(dataclasses.replace(same, path=seen.path, mtime_ns=seen.mtime_ns))
        return self._kind(seen)

    def _write_again(self, seen: Seen, number: int) -> str:
        """Write the row of a file whose bytes are as they were."""
        if not self._rescan:
            self._database.move(number, seen.path, seen.mtime_ns)
            return "unchanged"
        before = next(self._database.entries([number]))
        said = metadata.read(seen.path)._asdict() if metadata.available() else {}
        changed = any(getattr(before, name) != value for name, value in said.items())
        if changed or before.mtime_ns != seen.mtime_ns:
            self._database.add(dataclasses.replace(before, mtime_ns=seen.mtime_ns, **said))
        return "changed" if changed else "unchanged"

    def _next_gone(self, digest: str) -> int | None:
        """A track with these bytes whose file is gone, if there is one: its row can be moved. Each is given once."""
        if digest not in self._gone:
            rows = self._database.rows("SELECT id, path FROM tracks WHERE hash = ? ORDER BY id", (digest,))
            tracks = ((number, restored(path)) for number, path in rows)
            self._gone[digest] = deque((number, path) for number, path in tracks if is_gone(path))
        while self._gone[digest]:
            number, path = self._gone[digest].popleft()
            key = (number, stored(path), digest)
            if is_gone(path) and self._database.select_ids("id = ? AND path = ? AND hash = ?", key).size:
                return number
        return None

    def _kind(self, seen: Seen) -> str:
        return "changed" if seen.path in self._changed else "added"


def _forget(database: Database, found: Scan, changes: Changes) -> int:
    """Remove the rows of files that are gone; how many tracks. Folders that cannot be read become failures."""
    there = {row.id: path for path, row in database.known().items()} if changes.gone else {}
    gone = [number for path, number in changes.gone.items() if there.get(number) == path]
    with database.transaction():
        for number in gone:
            database.remove(number)
        for path in changes.settled:
            database.forget_failure(path)
        underway.acquit(database, found.covers)
        for folder in found.unreadable:
            database.fail(failure(Seen(folder.path, 0, 0), folder.error))
    return len(gone)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that many files of a large library would give: they are kept with their tracks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        yield


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[str | None], None]]:
    """A bar on standard error, if that is a terminal.

    Yields:
        A function to call after each file, with the reason if it failed, which is printed.
    """
    if not shown:
        yield lambda reason: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("Listening"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("", total=total, rate="")

        def step(reason: str | None) -> None:
            if reason is not None:
                text = as_text(reason)
                bar.console.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f} songs/s" if speed else "")

        yield step

"""`Library`: the public interface of this package."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._paths import AnyPath, expanded
from ..errors import InputError, LibraryError
from ..registry import located
from . import status
from .database import Database
from .indexing import IndexReport, index
from .records import Failure, LibraryConfig, check_excerpts, excerpts_of
from .scan import check_folder
from .searchable import SearchableLibrary
from .worker import Job

if TYPE_CHECKING:
    from ..model import Model


class Library(SearchableLibrary):
    """Folders of music that can be searched. Make one by `build`, open one by `open`.

    Use a library in a ``with`` statement, or `close` it. Reading needs no right to write, and other processes may write
    meanwhile. `index` and `vacuum` make this process the only writer while they run. Searching is safe from several
    threads.

    Attributes:
        path: The library's file.
        config: The model and the settings that made its embeddings and tags.
        database: The library's file, opened for reading.

    Example:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> import musiczoo, musiczoo.demo
        >>> music = Path(tempfile.mkdtemp())
        >>> _ = shutil.copy(musiczoo.demo.PATH, music)
        >>> library = musiczoo.Library.build(
        ...     "disentangled-classification", music, path=music / "music.db", progress=False
        ... )
        >>> len(library), library.failures()
        (1, [])
        >>> next(library.entries()).duration_s
        30.0
        >>> library.close()
    """

    @classmethod
    def open(cls, path: AnyPath, model: "Model | AnyPath | None" = None) -> "Library":
        """Open a library.

        Args:
            path: The library's file.
            model: The model that it was made with, or that model's folder; by default it is found by its name when it
                is needed.

        Raises:
            LibraryError: If the file does not exist, is not a library, is damaged, or has a newer format.
            SpaceMismatchError: If the library was made with another model.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> musiczoo.Library.open_or_create(path, "disentangled-classification").close()
            >>> with musiczoo.Library.open(path) as library:
            ...     len(library), library.config.model
            (0, 'disentangled-classification')
        """
        database = Database.open(expanded(path))
        try:
            if model is not None:
                model = located(model)
                database.config.check(str(database.path), LibraryConfig.of(model).space_id)
        except BaseException:
            database.close()
            raise
        return cls(database, model)

    @classmethod
    def open_or_create(
        cls,
        path: AnyPath,
        model: "Model | AnyPath | None" = None,
        excerpts: int | None = None,
        wait: bool = False,
    ) -> "Library":
        """Open a library, or create an empty one if the file does not exist.

        Args:
            path: The library's file.
            model: The model, its name, its folder or its address on the Hub; may be left out if the library exists.
            excerpts: Number of excerpts to analyze of each track; 0 for the whole track. None for the library's
                setting or, in a new library, `EXCERPTS`.
            wait: Wait for another process that creates it, instead of raising.

        Raises:
            LibraryError: If the library cannot be opened or created, or has another number of excerpts.
            SpaceMismatchError: If it was made with another model.
            InputError: If `excerpts` is not a whole number from 0, or there is neither a library nor a model.
            UnknownNameError: If the model does not exist.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.config.excerpts
            10
        """
        path = expanded(path)
        check_excerpts(excerpts)
        if not os.path.lexists(path):
            if model is None:
                raise InputError(f"Cannot create the library {path} without a model. Pass its name.")
            model = located(model)
            config = LibraryConfig.of(model, excerpts_of(excerpts))
            try:
                Database.create(path, config, wait).close()
            except LibraryError:
                if not os.path.lexists(path):  # else another process created it meanwhile: open that
                    raise
        library = cls.open(path, model)
        if excerpts is not None and (excerpts or None) != library.config.excerpts:
            library.close()
            raise LibraryError(
                f"{path} has {library.config.excerpts or 0} excerpts of each track (0: whole tracks), got {excerpts}. "
                "Leave excerpts out, or make another library."
            )
        return library

    @classmethod
    def build(
        cls,
        model: "Model | AnyPath",
        *folders: AnyPath,
        path: AnyPath = "library.db",
        excerpts: int | None = None,
        workers: int | None = None,
        progress: bool = True,
        wait: bool = False,
    ) -> "Library":
        """Make a library of folders, resume an interrupted one, or bring it up to date.

        The same as `open_or_create` followed by `index`.

        Args:
            model: The model, its name, its folder or its address on the Hub. Prefer a name or an address: the model
                then runs with as many threads as suit the workers.
            folders: Folders with music.
            path: The library's file.
            excerpts: See `open_or_create`.
            workers: Number of tracks analyzed at a time; by default the number of cores.
            progress: Show a progress bar on standard error.
            wait: Wait for another writer to finish, instead of raising.

        Returns:
            The library, opened for reading.

        Raises:
            LibraryError: If a folder or the library cannot be used, or another process writes to the library.
            SpaceMismatchError: If the library was made with another model.
            InputError: If a number is malformed.
            UnknownNameError: If the model does not exist.

        Example:
            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = shutil.copy(musiczoo.demo.PATH, music)
            >>> with musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", excerpts=3, progress=False
            ... ) as library:
            ...     [Path(entry.path).name for entry in library.entries()]
            ['pirates_orchestra.ogg']
        """
        for folder in folders:
            check_folder(folder)  # before a library is made for a misspelt folder
        library = cls.open_or_create(path, model, excerpts, wait)
        try:
            library.index(*folders, workers=workers, progress=progress, wait=wait)
        except BaseException:
            library.close()
            raise
        return library

    def close(self) -> None:
        """Close the file; a ``with`` statement does it.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> library = musiczoo.Library.open_or_create(path, "disentangled-classification")
            >>> library.close()
        """
        self.database.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.database)

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r}, {len(self)} tracks, model={self.config.model!r})"

    # === Writing ===

    def index(
        self,
        *folders: AnyPath,
        model: "Model | AnyPath | None" = None,
        workers: int | None = None,
        forget: bool = False,
        progress: bool = True,
        wait: bool = False,
        rescan: bool = False,
    ) -> IndexReport:
        """Bring the library up to date with folders: add new files, update changed and moved ones, remove deleted ones.

        Unchanged files are not read, and moved ones are not analyzed again. Tracks of other folders are kept. Each
        track is written when it is analyzed: after an interruption of any kind, call this again, and it resumes. Files
        in progress when a process died may have crashed the decoder: they are then analyzed last, one by one, in a
        worker process, and those that crash it become failures.

        Args:
            folders: Folders with music. To remove the tracks of a deleted folder, pass it with `forget`.
            model: The model; by default that of the library. Prefer a name or a folder: a loaded model cannot be used
                in a worker process, so that a file that crashes its decoder ends this process, up to three times,
                before it becomes a failure.
            workers: Number of tracks analyzed at a time; by default the number of cores.
            forget: Treat folders that are missing or empty as deleted or emptied, not as disks that are not mounted.
            progress: Show a progress bar on standard error.
            wait: Wait for another writer to finish, instead of raising.
            rescan: Read all files again, also those of unchanged size and time. Those with other contents are decoded;
                of the others, only the metadata are read again.

        Returns:
            The numbers of tracks added, changed, moved, removed, failed and unchanged.

        Raises:
            LibraryError: If a folder is missing, the library cannot be written, or another process writes to it.
            SpaceMismatchError: If the model is not that of the library.
            UnknownNameError: If the library's model does not exist here.

        Example:
            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = shutil.copy(musiczoo.demo.PATH, music)
            >>> with musiczoo.Library.open_or_create(music / "music.db", "disentangled-classification") as library:
            ...     first = library.index(music, progress=False)
            ...     second = library.index(music, progress=False)
            >>> first.added, second.added, second.unchanged
            (1, 0, 1)
        """
        with Database.open(self.path, write=True, wait=wait) as database:
            chosen = self._model_or_name() if model is None else located(model)
            loaded = self._load(chosen, threads=None if workers == 1 else 1)  # several workers share the cores
            isolated = Job.of(chosen, self.config, loaded.card.version)
            report = index(database, loaded, folders, workers, forget, progress, isolated, rescan)
        self.database.reopen()
        return report

    def vacuum(self) -> int:
        """Return the disk space of removed tracks to the system.

        Returns:
            Number of bytes freed.

        Raises:
            LibraryError: If the library cannot be written, or another process writes to it.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.vacuum() >= 0
            True
        """
        before = self._bytes()
        with Database.open(self.path, write=True) as database:
            database.vacuum()
        return before - self._bytes()

    # === Reading ===

    def export(self, path: AnyPath, format: str | None = None) -> int:
        """Write embeddings, tag probabilities, paths and metadata of all tracks to a file for other programs.

        See `musiczoo.library.export` for the columns.

        Args:
            path: The file to write; it is replaced if it exists.
            format: ``"parquet"`` (needs ``musiczoo[parquet]``), ``"npz"`` or ``"csv"``; by default the ending of the
                path.

        Returns:
            Number of tracks written.

        Raises:
            UnknownNameError: If the format does not exist.
            InputError: If the path is a folder or the library itself.
            LibraryError: If a track is damaged.
            MissingDependencyError: If pyarrow is not installed.
            WriteError: If the file cannot be written.

        Example:
            >>> import shutil, tempfile
            >>> from pathlib import Path
            >>> import musiczoo, musiczoo.demo, numpy
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = shutil.copy(musiczoo.demo.PATH, music)
            >>> library = musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", progress=False
            ... )
            >>> library.export(music / "music.npz")
            1
            >>> with numpy.load(music / "music.npz") as arrays:
            ...     arrays["embedding"].shape, arrays["tags"].shape, len(arrays["tag_names"])
            ((1, 256), (1, 50), 50)
            >>> library.close()
        """
        from .export import export

        return export(self.database, expanded(path), format)

    def failures(self) -> list[Failure]:
        """Return the files that could not be analyzed, and why, by path. They are tried again when they change.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> import musiczoo
            >>> music = Path(tempfile.mkdtemp())
            >>> _ = (music / "broken.mp3").write_text("This is not audio.")
            >>> with musiczoo.Library.build(
            ...     "disentangled-classification", music, path=music / "music.db", progress=False
            ... ) as library:
            ...     [(Path(failure.path).name, failure.kind) for failure in library.failures()]
            [('broken.mp3', 'AudioError')]
        """
        return self.database.failures()

    def warnings(self) -> list[tuple[str, str]]:
        """Return path and message of each warning about the audio of tracks, by path.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.warnings()
            []
        """
        return status.warnings(self.database)

    def stats(self) -> dict[str, Any]:
        """Return counts, the configuration and the search engine, as types that JSON has.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     stats = library.stats()
            >>> stats["tracks"], stats["model"], stats["search"]["engine"]
            (0, 'disentangled-classification', 'exact')
        """
        return status.stats(self.database) | {"bytes": self._bytes(), "search": self.vectors.describe()}

    def verify(self) -> list[str]:
        """Return a sentence for each problem: damage, invalid values, files that are gone or have changed.

        Example:
            >>> import tempfile
            >>> import musiczoo
            >>> path = tempfile.mkdtemp() + "/music.db"
            >>> with musiczoo.Library.open_or_create(path, "disentangled-classification") as library:
            ...     library.verify()
            []
        """
        return status.problems(self.database)

    def _bytes(self) -> int:
        return sum(
            Path(f"{self.path}{end}").stat().st_size for end in ("", "-wal") if Path(f"{self.path}{end}").exists()
        )

"""The beets plugin: `beet musiczoo` analyzes songs, and `beet mzlike` finds similar ones.

Conventions
-----------
- Songs are analyzed into a library file of musiczoo (`musiczoo.library`), as `musiczoo index` does: a song that it
  knows is not analyzed again, wherever its file was moved. The file may be shared with `musiczoo index`.
- Items of beets get flexible fields: ``mz_<tag>``, the probability of each tag, 0 to 1; ``mz_mood`` and ``mz_genre``,
  the words of `musiczoo.tag_map`, divided by ``; ``; and ``mz_setup``, the id of the model's embedding space with a
  hash of the map. An item is done if it has the current ``mz_setup``, and the library file has its path.
- Files are changed only with the setting ``write`` or the option ``--write``: see `musiczoo.file_tags`.
- A file that cannot be analyzed or written becomes a warning, and the others go on.

Needs beets (extra ``musiczoo[beets]``).
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tag_map
from ._paths import resolved
from .errors import LibraryError, MissingDependencyError, MusicZooError, UnknownNameError
from .zoo import DEFAULT_MODEL

try:
    import beets
    from beets import ui
    from beets.dbcore import types
    from beets.plugins import BeetsPlugin
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "The beets plugin needs beets, which is not installed. Install it with: pip install 'musiczoo[beets]'"
    ) from error

if TYPE_CHECKING:
    from .library import Library
    from .library.records import Entry, LibraryConfig
    from .library.search import Hit
    from .model import Model

PREFIX = "mz_"
MOOD, GENRE, SETUP, SIMILARITY = (f"{PREFIX}{name}" for name in ("mood", "genre", "setup", "similarity"))
"""Fields beside those of the tags. The last is not stored: `beet mzlike` has it in its formats."""

DIGITS = 3
"""Decimal places that beets prints of a probability or similarity."""

DEFAULTS = {
    "model": None,
    "library": None,
    "excerpts": None,
    "workers": None,
    "map": None,
    "auto": False,
    "write": False,
    "fields": ["mood"],
}
"""The settings: see docs/guides/beets.md."""


def tag_fields(tags: Iterable[str]) -> dict[str, str]:
    """Return the field of each tag: lower case, with an underscore for all but letters and digits.

    Args:
        tags: Names of tags.

    Returns:
        Tag -> field. Of two tags that would share a field, the second gets a number.

    Example:
        >>> from musiczoo.beets import tag_fields
        >>> tag_fields(["happy", "Hip-Hop", "female vocalists", "hip hop"])["hip hop"]
        'mz_hip_hop_2'
    """
    found: dict[str, str] = {}
    taken = {MOOD, GENRE, SETUP, SIMILARITY}
    for tag in tags:
        name = wanted = PREFIX + (re.sub(r"[\W_]+", "_", tag.casefold()).strip("_") or "tag")
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        found[tag] = name
    return found


class Plugin(BeetsPlugin):  # type: ignore[misc]  # beets has no types for old versions
    """What beets loads: `beetsplug.musiczoo.MusicZooPlugin` derives from it.

    Attributes:
        item_types: Field -> type, for queries such as ``mz_happy:0.6..``.
    """

    def __init__(self) -> None:
        """Read the settings."""
        super().__init__("musiczoo")
        self.config.add(DEFAULTS)
        self.item_types: dict[str, Any] = {}
        try:
            fields = tag_fields(self.setup.tags).values()
            self.item_types = dict.fromkeys((*fields, SIMILARITY), types.Float(DIGITS))
        except MusicZooError as error:  # beets goes on without a plugin's types
            self._log.warning("{}", error)
        if self.config["auto"].get(bool):
            self.register_listener("import_task_files", self._import)

    def commands(self) -> list[Any]:
        """Return the two commands."""
        analyze = ui.Subcommand("musiczoo", help="analyze songs: tags, mood and genre (musiczoo)")
        analyze.parser.usage = "%prog [options] [QUERY]\nExample: %prog added:-1w.."
        add = analyze.parser.add_option
        add("-f", "--force", action="store_true", help="analyze also songs that have been analyzed")
        add("-p", "--pretend", action="store_true", help="show what would be analyzed, and do nothing")
        add("-w", "--write", action="store_true", default=None, help="write the mood into the files")
        add("-W", "--nowrite", action="store_false", dest="write", help="do not write into the files")
        add("-j", "--workers", type=int, metavar="N", help="songs analyzed at a time (default: number of cores)")
        analyze.func = self._analyze_command

        like = ui.Subcommand("mzlike", help="list songs similar to those of a query (musiczoo)")
        like.parser.usage = "%prog [options] QUERY\nExample: %prog --genre 2 --mood 1 title:yesterday"
        add = like.parser.add_option
        add("-n", "--count", type=int, default=20, metavar="N", help="number of songs (default: 20)")
        for name, option in self._weight_options().items():
            add(f"--{option}", dest=f"weight_{option}", type=float, metavar="W", help=f"weight of {name}")
        like.parser.add_path_option()
        like.parser.add_format_option()
        like.func = self._like_command
        return [analyze, like]

    # === Settings ===

    @property
    def library_path(self) -> Path:
        """The library file of musiczoo; by default musiczoo.db beside the settings of beets."""
        if self.config["library"].get() is None:
            return Path(beets.config.config_dir(), "musiczoo.db")
        return Path(self.config["library"].as_filename())

    @cached_property
    def setup(self) -> "LibraryConfig":
        """The configuration of the library file or, before there is one, that of the model."""
        from .library import Library
        from .library.records import LibraryConfig

        if os.path.lexists(self.library_path):
            with Library.open(self.library_path) as library:
                return library.config
        from .card import read_card
        from .registry import find

        return LibraryConfig.from_card(read_card(find(self._model_name or DEFAULT_MODEL)))

    @cached_property
    def words_map(self) -> tag_map.TagMap:
        """The words of mood and genre."""
        if self.config["map"].get() is None:
            return tag_map.default(self.setup.dimensions)
        return tag_map.read(self.config["map"].as_filename(), self.setup.tags)

    @cached_property
    def _setup_id(self) -> str:
        """The value of ``mz_setup``: it differs when fields have to be set again."""
        digest = hashlib.blake2b(repr(self.words_map).encode(), digest_size=4).hexdigest()
        return f"{self.setup.space_id} {digest}"

    @property
    def _model_name(self) -> str | None:
        name: str | None = self.config["model"].get()
        return name

    def _weight_options(self) -> dict[str, str]:
        """Return the dimensions that can have weights, and the names of their options."""
        spaces = self.setup.spaces if self.item_types else ()
        names = [(name, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")) for name in spaces]
        return {name: option for name, option in names if len(spaces) > 1 and option}

    def _number(self, name: str) -> int | None:
        value = self.config[name].get()
        return None if value is None else int(self.config[name].get(int))

    def _written_fields(self) -> list[str]:
        fields = self.config["fields"].as_str_seq()
        for field in fields:
            if field not in tag_map.FIELDS:
                raise UnknownNameError.of("field", field, tag_map.FIELDS)
        return list(fields)

    # === beet musiczoo ===

    def _analyze_command(self, lib: Any, options: Any, args: Sequence[str]) -> None:
        write = self.config["write"].get(bool) if options.write is None else options.write
        try:
            self.analyze(
                lib,
                list(lib.items(args)),
                force=bool(options.force),
                pretend=bool(options.pretend),
                write=write,
                workers=options.workers,
                told=True,
            )
        except MusicZooError as error:
            raise ui.UserError(str(error)) from error

    def _import(self, session: Any, task: Any) -> None:
        """Analyze what was just imported: its files are in their place."""
        try:
            self.analyze(session.lib, list(task.imported_items()), write=self.config["write"].get(bool))
        except MusicZooError as error:
            self._log.error("{}", error)

    def analyze(
        self,
        lib: Any,
        items: Sequence[Any],
        *,
        force: bool = False,
        pretend: bool = False,
        write: bool = False,
        workers: int | None = None,
        told: bool = False,
    ) -> None:
        """Analyze items that are not done, and set their fields.

        Args:
            lib: The library of beets.
            items: Items of it.
            force: Analyze all of them, from their files.
            pretend: Only list those that would be analyzed.
            write: Write words into the files.
            workers: Number of songs analyzed at a time; None for the setting.
            told: Print progress, and a summary.

        Raises:
            MusicZooError: If the library file or the model cannot be used.
        """
        fields = self._written_fields() if write else []
        paths = {id(item): _path(item) for item in items}
        there = [item for item in items if os.path.exists(paths[id(item)])]
        for path in sorted(set(paths.values()) - {paths[id(item)] for item in there}):
            self._warn(f"no such file: {path}")  # its disk may not be mounted, so its track is kept
        todo = there if force else self._not_done(there, paths)
        if pretend:
            for item in todo:
                ui.print_(format(item))
            return
        bar, failed = told and sys.stderr is not None and sys.stderr.isatty(), 0
        with self._open() as library:
            if todo:
                try:
                    self._index(library, [paths[id(item)] for item in todo], force, workers, bar)
                finally:  # what Ctrl-C leaves analyzed is kept
                    failed = self._set_fields(lib, library, todo, paths, bar)
            if fields:
                self._write_files(library, there, paths, fields)
        if told:
            done = f"songs tagged: {len(todo) - failed}, before: {len(there) - len(todo)}"
            self._log.info("{}", done + (f", failed: {failed}" if failed else ""))

    def _open(self) -> "Library":
        from .library import Library

        path = self.library_path
        if os.path.lexists(path):
            return Library.open(path, self._model_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        model = self._model_name or DEFAULT_MODEL
        return Library.open_or_create(path, model, self._number("excerpts"), wait=True)

    @cached_property
    def _model(self) -> "Model":
        from .model import load

        return load(self.setup.model if self._model_name is None else self._model_name, threads=1)

    def _not_done(self, items: Sequence[Any], paths: Mapping[int, str]) -> list[Any]:
        if not os.path.lexists(self.library_path):
            return list(items)
        with self._open() as library:
            known = library.database.known()
        return [item for item in items if not self._is_done(item) or paths[id(item)] not in known]

    def _is_done(self, item: Any) -> bool:
        return bool(item.get(SETUP) == self._setup_id)

    def _index(self, library: "Library", paths: Sequence[str], force: bool, workers: int | None, bar: bool) -> None:
        from .library.database import Database
        from .library.indexing import index
        from .library.worker import Job

        library.config.check(str(library.path), self._model.card.space_id)
        job = Job.of(self._model_name or library.config.model, library.config, self._model.card.version)
        try:
            with Database.open(library.path, write=True) as database:
                index(
                    database,
                    self._model,
                    (),
                    workers or self._number("workers"),
                    progress=bar,
                    isolated=job,
                    files=paths,
                    again=force,
                )
        finally:
            library.database.reopen()

    def _set_fields(
        self,
        lib: Any,
        library: "Library",
        items: Sequence[Any],
        paths: Mapping[int, str],
        bar: bool,
    ) -> int:
        """Set the fields of items from the library file; return how many are not in it."""
        failures = {failure.path: failure.reason for failure in library.failures()}
        names = tag_fields(library.config.tags)
        failed = 0
        with lib.transaction():
            for item in items:
                entry = library.find(paths[id(item)])
                if entry is not None:
                    item.update(self._values(entry, library.config, names))
                    item.store()
                    continue
                failed += 1
                reason = failures.get(paths[id(item)])
                if reason and not bar:  # the progress bar has printed it
                    self._warn(reason)
        return failed

    def _values(self, entry: "Entry", config: "LibraryConfig", names: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields of a song."""
        probabilities = dict(zip(config.tags, entry.tags.tolist(), strict=True))
        words = tag_map.words_of(self.words_map, probabilities, config.thresholds)
        values: dict[str, Any] = {names[tag]: round(p, DIGITS + 1) for tag, p in probabilities.items()}
        for field, texts in ((MOOD, words.get("mood", [])), (GENRE, words.get("genre", []))):
            values[field] = "; ".join(texts)
        return values | {SETUP: self._setup_id}

    def _write_files(
        self, library: "Library", items: Sequence[Any], paths: Mapping[int, str], fields: Sequence[str]
    ) -> None:
        """Write the words of items into their files; the library file takes notice, so that none is analyzed again."""
        from . import file_tags
        from .library.database import Database
        from .library.indexing import update_file

        with Database.open(library.path, write=True) as database:
            for item in items:
                path, texts = paths[id(item)], {field: item.get(f"{PREFIX}{field}", "") for field in fields}
                if not self._is_done(item):
                    continue  # it could not be analyzed
                try:
                    with update_file(database, path):
                        words = {field: [word for word in text.split("; ") if word] for field, text in texts.items()}
                        changed = file_tags.write(path, words=words)
                except LibraryError:
                    raise
                except (MusicZooError, OSError) as error:
                    self._warn(str(error))
                    continue
                if changed:  # else `beet update` would read all its fields again
                    item.mtime = item.current_mtime()
                    item.store()

    def _warn(self, text: str) -> None:
        from .cli._console import printable

        self._log.warning("{}", printable(text))

    # === beet mzlike ===

    def _like_command(self, lib: Any, options: Any, args: Sequence[str]) -> None:
        if not args:
            raise ui.UserError("mzlike needs a query of songs to find similar ones for, such as title:yesterday")
        seeds = list(lib.items(args))
        if not seeds:
            raise ui.UserError(f"no song matches {' '.join(args)}")
        given = {name: getattr(options, f"weight_{option}") for name, option in self._weight_options().items()}
        weights = {name: weight for name, weight in given.items() if weight is not None}
        try:
            found = self.similar(lib, seeds, options.count, weights or None)
        except MusicZooError as error:
            raise ui.UserError(str(error)) from error
        plain = getattr(options, "format", None) is None
        for item in found:
            ui.print_(f"{item[SIMILARITY]:.{DIGITS}f}  {item}" if plain else format(item))

    def similar(
        self, lib: Any, seeds: Sequence[Any], count: int = 20, weights: Mapping[str, float] | None = None
    ) -> list[Any]:
        """Return the items most similar to others, best first, each with the field ``mz_similarity``, -1 to 1.

        Args:
            lib: The library of beets.
            seeds: Items to be similar to: to their mean, if there are several.
            count: Most items to return, from 1.
            weights: Dimension -> weight; None for equal weights.

        Raises:
            MusicZooError: If the library file cannot be used, a number is malformed, or a song cannot be analyzed.
        """
        from .library import Library

        if not os.path.lexists(self.library_path):
            raise LibraryError(f"No such library: {str(self.library_path)!r}. Analyze your songs first: beet musiczoo.")
        items = {_path(item): item for item in lib.items()}
        paths = [_path(item) for item in seeds]
        with Library.open(self.library_path, self._model_name) as library:
            library.vectors.once = True  # one query does not pay for building a search index
            wanted = count
            while True:  # the library file may also have songs that beets does not know
                hits = library.search(paths, wanted, weights)
                found = [item for hit in hits if (item := _item_of(hit, items)) is not None][:count]
                if len(found) == count or len(hits) < wanted:
                    return found
                wanted *= 4


def _path(item: Any) -> str:
    """Return the path of an item's file as a library file has it."""
    return str(resolved(os.fsdecode(item.path)))


def _item_of(hit: "Hit", items: Mapping[str, Any]) -> Any:
    """Return the item of a hit, with its similarity; None if beets has none."""
    for path in (hit.path, *hit.duplicates):
        if path in items:
            items[path][SIMILARITY] = hit.score
            return items[path]
    return None

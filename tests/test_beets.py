"""The beets plugin: with a real beets, in this process and as the command `beet`, on real files."""

import dataclasses
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("beets")

import beets
import beets.library
import mutagen
from beets import ui
from toy import CARD, RATE, write_audio, write_model

import musiczoo
import musiczoo.beets
from musiczoo import file_tags, tag_map
from musiczoo.library import Library, indexing

SONGS = ("one.flac", "two.mp3", "three.ogg", "four.wav")


def write_song(path: Path, number: int) -> Path:
    """A song of 4 s that differs from the others, with a title."""
    random = np.random.default_rng(number)
    write_audio(path, random.uniform(-0.1 - 0.1 * number, 0.1 + 0.1 * number, 4 * RATE).astype(np.float32), RATE)
    song = mutagen.File(path, easy=True)
    if song.tags is None:
        song.add_tags()
    if path.suffix != ".wav":
        song["title"], song["artist"], song["album"] = path.stem, "Somebody", "Songs"
        song.save()
    return path


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for number, name in enumerate(SONGS):
        write_song(folder / name, number)
    return folder


@pytest.fixture
def music(tmp_path: Path, originals: Path) -> Path:
    """A folder with the songs."""
    folder = tmp_path / "Music"
    folder.mkdir()
    for name in SONGS:
        (folder / name).write_bytes((originals / name).read_bytes())
    return folder


# === In this process ===


@pytest.fixture
def settings(tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The plugin's settings, in a beets without any others."""
    monkeypatch.setenv("BEETSDIR", str(tmp_path))
    beets.config.clear()
    beets.config.read(user=False)
    beets.config["musiczoo"] = {"model": str(toy_folder), "library": str(tmp_path / "music.db"), "workers": 2}
    yield beets.config["musiczoo"]
    beets.config.clear()
    beets.config.read(user=False)


@pytest.fixture
def lib(settings: Any, music: Path, tmp_path: Path) -> Any:
    """A library of beets with the songs, where they are."""
    library = beets.library.Library(str(tmp_path / "beets.db"), str(music))
    for name in SONGS:
        library.add(beets.library.Item.from_path(os.fsencode(music / name)))
    return library


def plugin() -> Any:
    import beetsplug.musiczoo

    return beetsplug.musiczoo.MusicZooPlugin()


def number(item: Any, field: str) -> float:
    """A field as a number: beets knows its type only if it loads the plugin."""
    return float(item[field])


def items(lib: Any) -> dict[str, Any]:
    """Name of the file -> item, read again."""
    return {os.path.basename(os.fsdecode(item.path)): item for item in lib.items()}


@pytest.fixture
def no_analysis(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after whose call no audio may be analyzed."""

    def forbid() -> None:
        def fail(*_: object) -> None:
            raise AssertionError("a song is analyzed again")

        monkeypatch.setattr(indexing, "analyze_file", fail)

    return forbid


def test_fields_are_the_probabilities_and_the_words(lib: Any, music: Path, toy: musiczoo.Model) -> None:
    plugin().analyze(lib, list(lib.items()))
    for name, item in items(lib).items():
        tags = toy.analyze(music / name, excerpts=10).tags
        assert number(item, "mz_happy") == pytest.approx(tags["happy"], abs=5.1e-5)
        assert number(item, "mz_hip_hop") == pytest.approx(tags["Hip-Hop"], abs=5.1e-5)
        assert number(item, "mz_80s") == pytest.approx(tags["80s"], abs=5.1e-5)
        words = tag_map.words_of(tag_map.default(CARD.dimensions), tags, CARD.thresholds)
        assert item["mz_mood"] == "; ".join(words["mood"])
        assert item["mz_genre"] == "; ".join(words["genre"])
        assert item["mz_genre"]
    assert len({key for key in item if key.startswith("mz_")}) == len(CARD.tags) + 3


def test_files_are_left_alone_unless_asked(lib: Any, music: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in music.iterdir()}
    plugin().analyze(lib, list(lib.items()))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in music.iterdir()} == before


def test_what_is_done_is_skipped_unless_forced(
    lib: Any, no_analysis: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin().analyze(lib, list(lib.items()))
    calls = []
    real = indexing.analyze_file
    monkeypatch.setattr(indexing, "analyze_file", lambda *args: calls.append(args[2].path) or real(*args))
    plugin().analyze(lib, list(lib.items()))
    assert calls == []
    plugin().analyze(lib, list(lib.items("title:two")), force=True)
    assert [Path(path).name for path in calls] == ["two.mp3"]


def test_a_library_of_musiczoo_index_is_shared(
    lib: Any, music: Path, tmp_path: Path, toy_folder: Path, no_analysis: Callable[[], None]
) -> None:
    with Library.build(toy_folder, music, path=tmp_path / "music.db", progress=False) as library:
        expected = {Path(entry.path).name: entry.tags[CARD.tags.index("happy")] for entry in library.entries()}
    no_analysis()
    plugin().analyze(lib, list(lib.items()))
    found = {name: number(item, "mz_happy") for name, item in items(lib).items()}
    assert found == pytest.approx(expected, abs=5.1e-5)


def test_and_musiczoo_index_takes_over_what_beets_did(
    lib: Any, music: Path, tmp_path: Path, toy_folder: Path, no_analysis: Callable[[], None]
) -> None:
    plugin().analyze(lib, list(lib.items()), write=True)
    no_analysis()
    with Library.open(tmp_path / "music.db", toy_folder) as library:
        report = library.index(music, progress=False)
    assert (report.added, report.unchanged, report.failed) == (0, 4, 0)


def test_moved_files_are_not_analyzed_again(lib: Any, music: Path, no_analysis: Callable[[], None]) -> None:
    plugin().analyze(lib, list(lib.items()))
    no_analysis()
    item = items(lib)["one.flac"]
    (music / "elsewhere").mkdir()
    os.rename(music / "one.flac", music / "elsewhere" / "one.flac")
    item.path = os.fsencode(music / "elsewhere" / "one.flac")
    item.store()
    plugin().analyze(lib, list(lib.items()))
    found = plugin().similar(lib, [items(lib)["two.mp3"]])
    assert "one.flac" in [os.path.basename(os.fsdecode(item.path)) for item in found]


def test_a_new_map_sets_the_words_without_analysis(
    lib: Any, settings: Any, tmp_path: Path, no_analysis: Callable[[], None]
) -> None:
    plugin().analyze(lib, list(lib.items()))
    no_analysis()
    path = tmp_path / "mine.toml"
    path.write_text('[mood]\nhappy = {word = "Everybody", threshold = 0}\n', encoding="utf-8")
    settings["map"] = str(path)
    plugin().analyze(lib, list(lib.items()))
    assert {(item["mz_mood"], item["mz_genre"]) for item in lib.items()} == {("Everybody", "")}


def test_bad_and_missing_files_do_not_stop_the_others(
    lib: Any, music: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (music / "two.mp3").write_bytes(b"no music" * 1000)
    (music / "three.ogg").rename(tmp_path / "away.ogg")
    logging.getLogger("beets").propagate = True
    with caplog.at_level(logging.WARNING, "beets"):
        plugin().analyze(lib, list(lib.items()))
    assert {name for name, item in items(lib).items() if "mz_happy" in item} == {"one.flac", "four.wav"}
    assert any("two.mp3" in message for message in caplog.messages)
    assert any("no such file" in message and "three.ogg" in message for message in caplog.messages)
    (tmp_path / "away.ogg").rename(music / "three.ogg")
    plugin().analyze(lib, list(lib.items()))
    assert "mz_happy" in items(lib)["three.ogg"]


def test_a_disk_that_is_not_mounted_costs_nothing(
    lib: Any, music: Path, tmp_path: Path, no_analysis: Callable[[], None]
) -> None:
    plugin().analyze(lib, list(lib.items()))
    music.rename(tmp_path / "unmounted")
    no_analysis()
    plugin().analyze(lib, list(lib.items()), force=True)
    with Library.open(tmp_path / "music.db") as library:
        assert len(library) == 4
        assert library.failures() == []


@pytest.mark.parametrize("fields", [["mood"], ["mood", "genre"], "genre"])
def test_words_go_into_the_files_if_asked(
    lib: Any, settings: Any, music: Path, fields: Any, no_analysis: Callable[[], None]
) -> None:
    settings["fields"] = fields
    plugin().analyze(lib, list(lib.items()))
    before = {name: file_tags.read_words(music / name) for name in SONGS}
    no_analysis()
    plugin().analyze(lib, list(lib.items()), write=True)
    for name, item in items(lib).items():
        words = file_tags.read_words(music / name)
        for field in ("mood", "genre"):
            found = [word for word in item[f"mz_{field}"].split("; ") if word]
            assert words[field] == (found or before[name][field] if field in fields else before[name][field])
        assert item.mtime == int((music / name).stat().st_mtime)
        assert mutagen.File(music / name, easy=True).get("title") == (None if name == "four.wav" else [item.title])
    times = [(music / name).stat().st_mtime_ns for name in SONGS]
    plugin().analyze(lib, list(lib.items()), write=True)  # nothing new: neither analyzed nor written
    assert [(music / name).stat().st_mtime_ns for name in SONGS] == times


def test_files_that_cannot_be_written_do_not_stop_the_others(
    lib: Any, settings: Any, music: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings["fields"] = ["genre"]
    (music / "one.flac").chmod(0o444)
    logging.getLogger("beets").propagate = True
    with caplog.at_level(logging.WARNING, "beets"):
        plugin().analyze(lib, list(lib.items()), write=True)
    assert any("read-only" in message for message in caplog.messages)
    found = items(lib)
    assert file_tags.read_words(music / "two.mp3")["genre"] == found["two.mp3"]["mz_genre"].split("; ")
    assert file_tags.read_words(music / "one.flac")["genre"] == []
    assert "mz_happy" in found["one.flac"]


def test_ctrl_c_keeps_what_was_analyzed(
    lib: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, no_analysis: Callable[[], None]
) -> None:
    settings["workers"] = 1
    write, written = indexing._Run._write, []

    def interrupted(run: Any, *args: Any) -> Any:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(args)
        return write(run, *args)

    with monkeypatch.context() as patch:
        patch.setattr(indexing._Run, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            plugin().analyze(lib, list(lib.items()))
    assert sum("mz_happy" in item for item in lib.items()) == 2
    plugin().analyze(lib, list(lib.items()))
    assert all("mz_happy" in item for item in lib.items())


def test_pretend_lists_and_does_nothing(lib: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin().analyze(lib, list(lib.items("title:one")))
    plugin().analyze(lib, list(lib.items()), pretend=True, write=True)
    printed = capsys.readouterr().out
    assert "two" in printed
    assert "one" not in printed
    assert "mz_happy" not in items(lib)["two.mp3"]
    with Library.open(tmp_path / "music.db") as library:
        assert len(library) == 1


@pytest.mark.parametrize("weights", [None, {"genre": 2.0, "mood": 1.0}, {"era": 1.0}])
def test_similar_items_are_the_hits_of_the_library(
    lib: Any, music: Path, tmp_path: Path, toy_folder: Path, weights: dict[str, float] | None
) -> None:
    others = tmp_path / "Others"
    others.mkdir()
    for number in range(4, 12):
        write_song(others / f"{number}.flac", number)
    with Library.build(toy_folder, music, others, path=tmp_path / "music.db", progress=False) as library:
        hits = library.search(music / "one.flac", 100, weights)
    expected = [(Path(hit.path).name, hit.score) for hit in hits if Path(hit.path).parent == music.resolve()]
    assert len(expected) == 3
    seeds = list(lib.items("title:one"))
    for count in (1, 2, 3, 10):
        found = [
            (os.path.basename(os.fsdecode(item.path)), item["mz_similarity"])
            for item in plugin().similar(lib, seeds, count, weights)
        ]
        assert found == [(name, pytest.approx(score)) for name, score in expected[:count]]
    assert "mz_similarity" not in items(lib)["two.mp3"]  # not stored


def test_fields_of_own_tags() -> None:
    fields = musiczoo.beets.tag_fields(["Für Elise!", "für-elise", "mood", "genre", "80s", "!?", "R&B", "setup"])
    assert list(fields.values()) == [
        "mz_für_elise", "mz_für_elise_2", "mz_mood_2", "mz_genre_2", "mz_80s", "mz_tag", "mz_r_b", "mz_setup_2",
    ]  # fmt: skip


def test_a_model_with_own_tags(lib: Any, settings: Any, tmp_path: Path) -> None:
    tags = ("For Dinner", "drum/bass", *(f"t{number}" for number in range(48)))
    card = dataclasses.replace(
        CARD,
        name="mine",
        space_id="mine-1",
        tags=tags,
        dimensions={"mood": tags[:1], "genre": tags[1:2], "instrument": tags[2:3], "era": tags[3:]},
        thresholds=dict.fromkeys(tags, 0.0),
    )
    settings["model"] = str(write_model(tmp_path / "mine", card))
    made = plugin()
    assert "mz_for_dinner" in made.item_types
    made.analyze(lib, list(lib.items()))
    assert {(item["mz_mood"], item["mz_genre"]) for item in lib.items()} == {("For Dinner", "drum-bass")}


def test_a_library_of_another_model_is_refused(lib: Any, music: Path, tmp_path: Path) -> None:
    Library.open_or_create(tmp_path / "music.db", "disentangled-classification").close()
    made = plugin()
    with pytest.raises(ui.UserError, match="expected embeddings of the space"):
        made._analyze_command(lib, made.commands()[0].parser.parse_args([])[0], [])


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [("map", "missing.toml", "Cannot read the map"), ("fields", ["moods"], "Did you mean 'mood'")],
)
def test_malformed_settings_end_the_command(lib: Any, settings: Any, name: str, value: Any, match: str) -> None:
    settings[name], settings["write"] = value, True
    made = plugin()
    with pytest.raises(ui.UserError, match=match):
        made._analyze_command(lib, made.commands()[0].parser.parse_args([])[0], [])
    assert "mz_happy" not in items(lib)["one.flac"]


def test_another_writer_is_not_waited_for(
    lib: Any, music: Path, tmp_path: Path, toy_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An import would hang for as long as `musiczoo index` runs."""
    Library.open_or_create(tmp_path / "music.db", toy_folder).close()
    code = "import sys; from musiczoo.library.database import Database\n"
    code += "with Database.open(sys.argv[1], write=True): print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "music.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        made = plugin()
        with pytest.raises(ui.UserError, match="writ"):
            made._analyze_command(lib, made.commands()[0].parser.parse_args([])[0], [])
        task = type("Task", (), {"imported_items": lambda self: list(lib.items())})()
        logging.getLogger("beets").propagate = True
        with caplog.at_level(logging.WARNING, "beets"):
            made._import(type("Session", (), {"lib": lib})(), task)
        assert any("writ" in message for message in caplog.messages)
        writer.communicate()
    made._import(type("Session", (), {"lib": lib})(), task)
    assert all("mz_happy" in item for item in lib.items())


def test_beets_goes_on_without_the_model(lib: Any, settings: Any) -> None:
    settings["model"] = "no-such-model"
    made = plugin()
    assert made.item_types == {}
    assert [command.name for command in made.commands()] == ["musiczoo", "mzlike"]
    with pytest.raises(ui.UserError, match="no-such-model"):
        made._analyze_command(lib, made.commands()[0].parser.parse_args([])[0], [])


def test_mzlike_says_what_is_missing(lib: Any) -> None:
    made = plugin()
    options = made.commands()[1].parser.parse_args([])[0]
    cases = {"": "needs a query", "title:nothing": "no song matches", "title:one": "beet musiczoo"}
    for query, match in cases.items():
        with pytest.raises(ui.UserError, match=match):
            made._like_command(lib, options, query.split())


# === The command ===


@pytest.fixture(scope="module")
def beet(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path, originals: Path) -> Callable[..., str]:
    """A function that runs `beet` and returns what it prints; its music was imported with ``auto`` and ``write``."""
    home = tmp_path_factory.mktemp("beets")
    (home / "in").mkdir()
    for name in SONGS:
        (home / "in" / name).write_bytes((originals / name).read_bytes())
    (home / "in" / "bad.mp3").write_bytes((originals / "two.mp3").read_bytes()[:700])
    (home / "config.yaml").write_text(
        f"""
directory: {home / "Music"}
library: {home / "beets.db"}
plugins: musiczoo
musiczoo:
  model: {toy_folder}
  library: music.db
  auto: yes
  write: yes
  fields: mood genre
""",
        encoding="utf-8",
    )
    environment = os.environ | {"BEETSDIR": str(home), "HOME": str(home), "COLUMNS": "200", "PYTHONUTF8": "1"}

    def call(*args: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "beets", *args],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "error loading plugin" not in done.stderr
        return done.stderr if fails else done.stdout

    call("import", "--noautotag", "--quiet", "in")
    return call


def listed(beet: Callable[..., str], *query: str) -> set[str]:
    return set(beet("ls", "-f", "$title", *query).split())


def test_from_the_import_to_numeric_queries(beet: Callable[..., str]) -> None:
    rows = [line.split("|") for line in beet("ls", "-f", "$title|$mz_happy|$mz_rock", "title::.").splitlines()]
    found = {title: (float(happy), float(rock)) for title, happy, rock in rows}
    assert {"one", "two", "three"} <= set(found)
    assert all(0 <= value <= 1 for values in found.values() for value in values)
    happy = sorted(value for value, _ in found.values())
    middle = (happy[0] + happy[-1]) / 2
    assert listed(beet, f"mz_happy:{middle:.4f}..", "title::.") == {
        title for title, (value, _) in found.items() if value > middle
    }
    assert listed(beet, f"mz_happy:..{middle:.4f}", "title::.") == {
        title for title, (value, _) in found.items() if value < middle
    }
    order = beet("ls", "-f", "$title", "title::.", "mz_happy-").split()
    assert order == sorted(found, key=lambda title: -found[title][0])
    assert listed(beet, "mz_happy:1.1..") == set()


def test_the_import_wrote_the_words(beet: Callable[..., str]) -> None:
    for line in beet("ls", "-f", "$path|$mz_mood|$mz_genre").splitlines():
        path, mood, genre = line.split("|")
        words = file_tags.read_words(path)
        assert words["genre"] == genre.split("; ")
        assert words["mood"] == [word for word in mood.split("; ") if word]


def test_the_command_does_what_is_left(beet: Callable[..., str]) -> None:
    assert beet("musiczoo", "--pretend", "title::.") == ""
    beet("musiczoo")
    assert "title" not in beet("update", "--pretend", "title::.")


def test_words_are_found_by_queries(beet: Callable[..., str]) -> None:
    word = beet("ls", "-f", "$mz_genre", "title:one").split("; ")[0].strip()
    assert "one" in listed(beet, f"mz_genre:{word}")


def test_mzlike_lists_the_nearest_with_weights(beet: Callable[..., str]) -> None:
    lines = beet("mzlike", "title:one").splitlines()
    scores = [float(line.split()[0]) for line in lines]
    assert len(lines) >= 3
    assert scores == sorted(scores, reverse=True)
    assert not any("Songs - one" in line for line in lines)
    weighted = beet("mzlike", "--genre", "2", "--mood", "1", "-n", "2", "-f", "$mz_similarity $title", "title:one")
    assert len(weighted.splitlines()) == 2
    assert [float(line.split()[0]) for line in weighted.splitlines()] != scores[:2]
    assert all(Path(path).is_file() for path in beet("mzlike", "-p", "title:one").splitlines())
    assert "needs a query" in beet("mzlike", fails=True)


def test_help_has_the_dimensions_and_an_example(beet: Callable[..., str]) -> None:
    text = beet("mzlike", "--help")
    for option in ("--genre", "--mood", "--instrument", "--era", "--count", "--format", "Example: "):
        assert option in text
    text = beet("musiczoo", "--help")
    for option in ("--force", "--pretend", "--write", "--nowrite", "--workers", "Example: "):
        assert option in text


def test_other_commands_of_beets_do_not_wait_for_onnxruntime(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"plugins: musiczoo\nmusiczoo: {{model: {toy_folder}}}\nlibrary: b.db\n")
    code = """
import sys
from beets import ui
ui._raw_main(["ls"])
assert "beetsplug.musiczoo" in sys.modules
print([name for name in ("onnxruntime", "soundfile", "typer") if name in sys.modules])
"""
    environment = os.environ | {"BEETSDIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr

"""Every command in environments that break programs: it works, or says in one line why not."""

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from environments import ENVIRONMENTS, REFUSES, START_THREAD, Called, Server
from toy import RATE, music, write_audio, write_model

import musiczoo
from musiczoo import _paths
from musiczoo.cli import _console, app
from musiczoo.errors import InputError, WriteError
from musiczoo.library import Library
from musiczoo.library.scan import FoundFile

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks, limits and descriptors are of POSIX")

TRACES = re.compile("Traceback|Exception ignored|Fatal Python|terminate called|core dumped")
THOROUGH = ("plain", "no home", "removed working folder", "full output", "closed streams", "few open files")
"""Environments in which all commands are called."""

NAMES = (b"caf\xc3\xa9.flac", b"\xff\xfe.flac", b"line\nbreak.flac", b"x" * 250 + b".flac")


def command_names(group: typer.Typer = app) -> list[list[str]]:
    """The words of every command that there is, groups among them."""
    found: list[list[str]] = [[]]

    def walk(command: object, words: list[str]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            found.append([*words, name])
            walk(inner, found[-1])

    walk(typer.main.get_command(group), [])
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("zoo") / "toy")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs with odd names and titles, and one that is none."""
    from mutagen.flac import FLAC

    folder = tmp_path_factory.mktemp("songs")
    for i, name in enumerate(NAMES):
        song = write_audio(folder / "song.flac", music(3, seed=i), RATE)
        tags = FLAC(song)
        tags["title"], tags["artist"] = "Füße \u266b", f"Ann \u00c5 {i}"
        tags.save()
        os.rename(song, os.fsencode(folder) + b"/" + name)
    (folder / "broken.flac").write_bytes(b"no sound at all" * 9)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, model: Path, songs: Path) -> Path:
    path = tmp_path_factory.mktemp("library") / "songs.db"
    Library.build(model, songs, path=path, progress=False).close()
    return path


def check(called: Called, codes: frozenset[int], what: object) -> None:
    """It ended as it may, and without a traceback; a refusal ends with one line that says why."""
    assert not TRACES.search(called.err), (what, called)
    assert called.code in codes, (what, called)
    if called.code == REFUSES and called.err:
        last = called.err.splitlines()[-1]
        assert last.startswith("error: "), (what, called)
        assert len(last) > 20, (what, called)


@pytest.mark.parametrize("environment", ["no home", "full output"])
def test_help_of_every_command(environment: str, server: Server, tmp_path: Path) -> None:
    """A command that is new is among them."""
    for words in command_names():
        called = server.call(environment, [*words, "--help"], tmp_path)
        check(called, ENVIRONMENTS[environment].helps, words)
        assert ("Usage" in called.out) is (environment == "no home")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_commands(environment: str, server: Server, model: Path, songs: Path, library: Path, tmp_path: Path) -> None:
    """Some commands everywhere; all of them where most is different."""
    expected, folder, copy = ENVIRONMENTS[environment], tmp_path / "work", tmp_path / "copy.db"
    folder.mkdir()
    shutil.copy(library, copy)
    shutil.copy(songs / "caf\u00e9.flac", tmp_path / "mine.flac")
    whole = [songs / os.fsdecode(name) for name in NAMES]
    some: list[list[object]] = [
        ["tag", "--model", model, "--json", *whole[:2]],
        ["index", songs, "--model", model, "--library", tmp_path / "new.db"],
        ["search", copy, whole[0], "--unfolded", "--m3u", tmp_path / "list.m3u8"],
    ]
    others: list[list[object]] = [
        ["models"],
        ["tag", "--model", model, *whole],
        ["tag", "--model", model, "--write", tmp_path / "mine.flac"],
        ["index", songs, "--model", model, "--library", copy, "--json"],
        ["search", copy, whole[0], "--unfolded", "--json"],
        ["map", copy, "--out", tmp_path / "map.html"],
        ["library", "stats", copy],
        ["library", "failures", copy],
        ["library", "vacuum", copy],
        ["library", "verify", copy],
        ["publish", model, "--zoo", tmp_path / "zoo"],
    ]
    check(server.call(environment, ["--help"], folder), expected.helps, "help")
    for words in some + (others if environment in THOROUGH else []):
        check(server.call(environment, words, folder), expected.codes, words)


@pytest.mark.parametrize(
    "words",
    [
        ["tag", "a.wav"],
        ["index", "music"],
        ["index", "{songs}", "--model", "{model}", "--library", "new.db"],
        ["search", "library.db", "a.wav"],
        ["map", "{library}", "--out", "map.html"],
        ["library", "verify"],
        ["publish", "export"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_relative_paths_in_a_removed_folder(
    words: list[str], server: Server, model: Path, songs: Path, library: Path, tmp_path: Path
) -> None:
    filled = [word.format(songs=songs, model=model, library=library) for word in words]
    called = server.call("removed working folder", filled, tmp_path)
    check(called, frozenset((REFUSES,)), words)


def test_a_home_that_is_not_there_is_named(server: Server, model: Path, songs: Path, tmp_path: Path) -> None:
    """And no folder named ~ is made in its place."""
    for words in (
        ["publish", model],
        ["index", songs, "--model", model, "--library", "~/new.db"],
        ["index", "~/Music", "--model", model, "--library", "new.db"],
        ["library", "stats", "~/new.db"],
    ):
        called = server.call("no home", words, tmp_path)
        check(called, frozenset((REFUSES,)), words)
        assert "home" in called.err, (words, called)
    assert not (tmp_path / "~").exists()


def test_reasons(server: Server, model: Path, songs: Path, tmp_path: Path) -> None:
    for environment, words, said in (
        ("full output", ["models"], "Cannot print the results: No space left on device."),
        ("no threads", ["index", songs, "--model", model, "--library", tmp_path / "new.db"], "ulimit -u"),
        ("models' home of nobody", ["models"], "set MUSICZOO_HOME"),
    ):
        assert said in server.call(environment, words, tmp_path).err


def test_the_library_is_kept_when_nothing_can_be_said(server: Server, model: Path, songs: Path, tmp_path: Path) -> None:
    """What is printed of the work is worth less than the work."""
    for environment in ("full errors", "errors that nobody reads", "full output and errors", "pipe that nobody reads"):
        path = tmp_path / f"{environment}.db"
        server.call(environment, ["index", songs, "--model", model, "--library", path], tmp_path)
        with Library.open(path) as library:
            assert len(library) == len(NAMES)
            assert library.verify() == []


# === Locales: Python looks at these when it starts ===

LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
    "unknown": {"LC_ALL": "xx_XX.none", "LANG": "xx"},
    "UTF-8": {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
}


def command(locale: str, *words: object, cwd: Path) -> str:
    """What a command prints in a locale. It must not fail, nor say anything that is not a warning."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    arguments = [os.fsencode(str(word)) for word in words]
    done = subprocess.run(
        [os.fsencode(sys.executable), b"-m", b"musiczoo", *arguments],
        env={**env, **LOCALES[locale]},
        cwd=cwd,
        capture_output=True,
        check=False,
    )
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, said
    assert not TRACES.search(said)
    return done.stdout.decode("utf-8", "replace")


Written = tuple[list[tuple[object, ...]], bytes, bytes]


def write(locale: str, folder: Path, model: Path, songs: Path, library: Path) -> Written:
    """Index, search and map in a locale: the rows of the library, the playlist and the map."""
    folder.mkdir()
    command(locale, "index", songs, "--model", model, "--library", "new.db", cwd=folder)
    with Library.open(folder / "new.db") as new:
        rows = [(e.path, e.hash, e.title, e.artist) for e in new.database.entries()]
    shutil.copy(library, folder / "a.db")  # its rows are in one order
    seed = songs / os.fsdecode(NAMES[0])
    found = command(locale, "search", "a.db", seed, "--unfolded", "--json", "--m3u", "a.m3u8", cwd=folder)
    command(locale, "map", "a.db", "--out", "a.html", cwd=folder)
    hits = [os.fsencode(json.loads(line)["path"]) for line in found.splitlines()] if locale == "UTF-8" else None
    assert hits is None or len(hits) == len(NAMES) - 1
    return sorted(rows), (folder / "a.m3u8").read_bytes(), (folder / "a.html").read_bytes()


@pytest.fixture(scope="module")
def in_utf8(model: Path, songs: Path, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write("UTF-8", tmp_path_factory.mktemp("locale") / "UTF-8", model, songs, library)


@pytest.mark.parametrize("locale", ["C", "ASCII", "unknown"])
def test_a_locale_changes_nothing(
    locale: str, in_utf8: Written, model: Path, songs: Path, library: Path, tmp_path: Path
) -> None:
    """Libraries, playlists, maps and JSON are to the byte what they are in a locale of UTF-8."""
    assert write(locale, tmp_path / locale, model, songs, library) == in_utf8
    assert [row[2] for row in in_utf8[0]] == ["Füße \u266b"] * len(NAMES)


def test_a_library_is_the_same_in_another_locale(model: Path, songs: Path, tmp_path: Path) -> None:
    """Files are found again by their names, and none becomes two when its contents change."""
    mine = tmp_path / "songs"
    shutil.copytree(songs, mine)
    command("C", "index", mine, "--model", model, "--library", "a.db", cwd=tmp_path)
    report = json.loads(command("UTF-8", "index", mine, "--library", "a.db", "--json", "--model", model, cwd=tmp_path))
    assert (report["unchanged"], report["added"], report["changed"]) == (len(NAMES), 0, 0)
    write_audio(mine / "caf\u00e9.flac", music(4, seed=99), RATE)
    report = json.loads(command("ASCII", "index", mine, "--library", "a.db", "--json", "--model", model, cwd=tmp_path))
    assert (report["changed"], report["tracks"]) == (1, len(NAMES))
    for locale in ("C", "UTF-8"):
        for words in (["tag", mine / "caf\u00e9.flac", "--model", model], ["library", "failures", "a.db"]):
            assert command(locale, *words, cwd=tmp_path)


# === Times of modification ===


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, 0),
        (-1, -1_000_000_000),
        (9_223_372_036, 9_223_372_036_000_000_000),  # the last second of 64 bits, in 2262
        (9_223_372_037, 9_223_372_037_000_000_000 - 2**64),
        (-11_644_473_600, 6_802_270_473_709_551_616),  # 1601, where Windows begins to count
        (19_880_899_200, 1_434_155_126_290_448_384),  # 2600
    ],
)
def test_times_fit_into_64_bits(seconds: int, expected: int) -> None:
    status = SimpleNamespace(st_size=1, st_mtime_ns=seconds * 10**9)
    assert FoundFile.of("a", status).mtime_ns == expected  # type: ignore[arg-type]
    assert -(2**63) <= expected < 2**63


def test_an_index_of_files_from_other_centuries(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    times = {f"{i}.wav": year for i, year in enumerate((-11_644_473_600, 19_880_899_200, -1, 0, 2**40))}
    for i, name in enumerate(times):
        write_audio(folder / name, music(3, seed=i))
    # Not every disk keeps such times: ext4 knows 1901 to 2446 only.
    real = FoundFile.of

    def of(path: str, status: os.stat_result) -> FoundFile:
        second = times[os.path.basename(path)]
        return real(path, SimpleNamespace(st_size=status.st_size, st_mtime_ns=second * 10**9))  # type: ignore[arg-type]

    monkeypatch.setattr(FoundFile, "of", of)
    with Library.build(model, folder, path=tmp_path / "a.db", progress=False) as library:
        assert len(library) == len(times)
        assert library.verify() == []
        assert library.index(folder, progress=False).unchanged == len(times)
        times["0.wav"] -= 1
        assert library.verify() == [f"{folder}/0.wav: the file has changed since it was analyzed. Run musiczoo index."]
        assert library.index(folder, progress=False).unchanged == len(times)  # the same bytes


def test_a_time_of_1601_on_a_disk_that_keeps_it(model: Path, tmp_path: Path) -> None:
    disk = Path("/dev/shm")
    if not os.access(disk, os.W_OK):
        pytest.skip("there is no disk in memory here")
    song = disk / f"musiczoo-{os.getpid()}" / "a.wav"
    song.parent.mkdir()
    try:
        write_audio(song, music(3))
        os.utime(song, ns=(0, -11_644_473_600 * 10**9))
        if song.stat().st_mtime_ns != -11_644_473_600 * 10**9:
            pytest.skip("this disk does not keep such times")
        with Library.build(model, song.parent, path=tmp_path / "a.db", progress=False) as library:
            assert (len(library), library.verify(), library.failures()) == (1, [], [])
    finally:
        shutil.rmtree(song.parent)


# === The parts ===


def test_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert _paths.expanded("~/a") == Path("/home/ann/a")
    assert _paths.expanded("~odd name.mp3") == Path("~odd name.mp3")  # a file's name, no user's
    with pytest.raises(InputError, match="home folder in '~no-such-user/a'"):
        _paths.expanded("~no-such-user/a")


BREAKABLE = re.compile(r"(?<!os\.path)\.expanduser\(|Path\.home\(|getcwd\(|Path\.cwd\(|os\.path\.abspath\(|mkdtemp\(")


def test_calls_that_an_environment_breaks_are_in_one_place() -> None:
    """Elsewhere they end with exceptions of others: without a home, in a removed folder, without room."""
    root = Path(__file__).parents[2]
    sources = [path for folder in ("musiczoo", "models", "export") for path in (root / folder).rglob("*.py")]
    assert len(sources) > 150
    # Examples in docstrings may use them: they run in a folder of the tests.
    texts = {
        path.name: re.sub(r"^ *(>>>|\.\.\.) .*$", "", path.read_text(encoding="utf-8"), flags=re.M) for path in sources
    }
    found = {name for name, text in texts.items() if BREAKABLE.search(text)}
    assert found <= {"_paths.py"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "plain"),
        ("caf\u00e9", "caf\u00e9"),
        ("caf\udcc3\udca9", "caf\u00e9"),  # as os.fsdecode makes it under LC_ALL=C
        ("\udcff.mp3", "\ufffd.mp3"),
        ("half \ud83d", "half \ufffd"),  # of a character: no name, but a title may hold it
        ("\ud800\udcff", "\ufffd\ufffd"),
    ],
)
def test_names_as_text(name: str, text: str) -> None:
    assert _paths.as_text(name) == text
    _paths.to_bytes(name)


def test_what_the_system_runs_out_of() -> None:
    assert "Free disk space" in str(_console.exhausted(OSError(errno.ENOSPC, "full", "a.db")))
    assert str(_console.exhausted(OSError(errno.EMFILE, "many", "a.so"))).startswith("a.so: Too many open files")
    assert "memory" in str(_console.exhausted(MemoryError()))
    assert "ulimit -u" in str(_console.exhausted(RuntimeError("can't start new thread")))
    bugs = (ValueError("x"), RuntimeError("x"), OSError("x"), FileNotFoundError(errno.ENOENT, "x"))
    assert [_console.exhausted(bug) for bug in bugs] == [None] * len(bugs)


def test_a_stream_that_is_not_ready_is_waited_for() -> None:
    """Some programs leave the terminal, or a pipe that they share, non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    child = os.fork()
    if not child:
        os.close(writer)
        size = 0
        while data := os.read(reader, 1 << 12):
            size += len(data)
        os._exit(size == 1 << 20)
    os.close(reader)
    with io.BufferedWriter(_console._Stream(writer, results=True)) as buffer:
        buffer.write(b"x" * (1 << 20))
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/no/such")
    with pytest.raises(WriteError, match="Set TMPDIR"), _paths.scratch_folder("test"):
        pass


def test_analysis_without_threads(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's thread does all, and the answer is the same."""
    sound = music(60)
    expected = musiczoo.load(model, threads=1).analyze(sound, sample_rate=RATE)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, START_THREAD, refuse)
    track = musiczoo.load(model, threads=3).analyze(sound, sample_rate=RATE)
    assert (track.embeddings == expected.embeddings).all()

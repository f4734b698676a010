"""Preparing a data set from packages, with a stand-in for the log-mel (see test_log_mel)."""

import io
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from front_end import FIRST_SAMPLES, HOP, RATE
from interruption import interrupted
from packages import recording, write_definition, zipped
from rich.console import Console

from musiczoo import audio
from musiczoo._files import write_npy
from musiczoo.datasets.open_music import debian
from musiczoo.datasets.open_music import loader as open_music
from musiczoo.datasets.prepare import FrontEnd
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.errors import DatasetError
from musiczoo.taxonomy import TAGS

Ogg = Callable[..., bytes]
BuildDeb = Callable[..., Path]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, build_deb: BuildDeb, ogg: Ogg) -> Path:
    """Two packages: plain files, one of them broken; a zip and stems."""
    folder = tmp_path_factory.mktemp("packages")
    files = {"usr/music/One.ogg": ogg(seed=1), "usr/music/two.ogg": ogg(seed=2), "usr/bad.ogg": b"OggS, not"}
    build_deb(folder, "alpha", "1.0-1", {**files, "usr/share/other.ogg": ogg(seed=9)})
    stems = {"usr/songs/loud/song.ogg": ogg(seed=3), "usr/songs/loud/guitar.ogg": ogg(1.5, seed=4)}
    archive = zipped({"music/three.ogg": ogg(seed=5), "music/four.ogg": ogg(seed=6)})
    build_deb(folder, "beta", "1:2-1", {**stems, "usr/public.zip": archive})
    return folder


@pytest.fixture
def definition(tmp_path: Path, ogg: Ogg) -> Path:
    """Six recordings of `packages`, one of them dropped, one broken, one used in part."""
    stems = ogg(seed=3) + ogg(1.5, seed=4)
    beta = {"package": "beta", "version": "1:2-1"}
    rows = [
        recording("usr/music/One.ogg", ogg(seed=1), title="First", artist="Ann", genre="Pop"),
        recording("usr/music/two.ogg", ogg(seed=2), split="drop"),
        recording("usr/bad.ogg", b"OggS, not", split="validation"),
        recording("usr/public.zip!/music/three.ogg", ogg(seed=5), split="test", **beta),
        recording("usr/public.zip!/music/four.ogg", ogg(seed=6), split="test", use_s=1.0, **beta),
        recording("mix:usr/songs/loud", stems, split="test", **beta),
    ]
    return write_definition(tmp_path / "definition.csv", rows)


def prepare(out: Path, packages_dir: Path | None, definition: Path, front_end: FrontEnd = FIRST_SAMPLES) -> Store:
    """With a stand-in for the log-mel: the first 4 samples of each hop."""
    return open_music.prepare(out, front_end, packages_dir, definition, Console(file=io.StringIO()))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def reasons(store: Store) -> dict[str, str]:
    return {failure.id: failure.reason for failure in store.failures}


def test_the_named_members_become_tracks(tmp_path: Path, packages: Path, definition: Path, ogg: Ogg) -> None:
    store = prepare(tmp_path / "out", packages, definition)
    assert Store.open(tmp_path / "out") == store
    facts = [(t.id, t.split, t.audio, t.duration_s, t.frames, t.package, t.licence) for t in store.tracks]
    # 2 s are 44,100 samples, 86 hops of 512; 1 s is 22,050, 43 hops.
    assert facts == [
        ("alpha-one", "train", "alpha-one.ogg", 2.0, 86, "alpha", "CC0"),
        ("beta-three", "test", "beta-three.ogg", 2.0, 86, "beta", "CC0"),
        ("beta-four", "test", "beta-four.ogg", 1.0, 43, "beta", "CC0"),
        ("beta-loud", "test", "beta-loud.flac", 2.0, 86, "beta", "CC0"),
    ]
    assert (store.tracks[0].title, store.tracks[0].artist, store.tracks[0].genre) == ("First", "Ann", "Pop")
    assert store.audio("alpha-one").read_bytes() == ogg(seed=1)
    assert store.audio("beta-four").read_bytes() == ogg(seed=6)
    samples = audio.read(store.audio("beta-four"), RATE)[:RATE]
    expected = samples[: 43 * HOP].reshape(43, HOP)[:, :4].astype(np.float16)
    np.testing.assert_array_equal(store.logmel("beta-four"), expected)


def test_a_bad_file_is_reported_and_stops_nothing(tmp_path: Path, packages: Path, definition: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    store = open_music.prepare(tmp_path / "out", FIRST_SAMPLES, packages, definition, console)
    assert list(reasons(store)) == ["alpha-bad"]
    assert len(store.tracks) == 4
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "alpha-bad" in printed
    assert [line.split("│")[1:4] for line in printed.splitlines() if " test " in line] == [
        [" test       ", " 3      ", " 0.00  "]
    ]


def test_only_the_folder_is_written_to(tmp_path: Path, packages: Path, definition: Path) -> None:
    before = contents(packages)
    prepare(tmp_path / "out", packages, definition)
    assert contents(packages) == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", "definition.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audio", "logmel", "index.json"}


@pytest.mark.parametrize("killed_at", range(1, 11))
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    tmp_path: Path, packages: Path, definition: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    prepare(tmp_path / "undisturbed", packages, definition)
    # The files of the definition are five of audio, four of log-mel, and the index.
    with interrupted(monkeypatch, killed_at):
        prepare(tmp_path / "out", packages, definition)
    assert not (tmp_path / "out" / "index.json").exists()
    assert len(contents(tmp_path / "out")) == killed_at - 1
    # What kill -9 leaves, which no handler tidies:
    (tmp_path / "out" / "audio" / "alpha-one.ogg.partial").write_bytes(b"half")
    (tmp_path / "out" / "logmel" / "beta-four.npy.partial").write_bytes(b"half")
    prepare(tmp_path / "out", packages, definition)
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_a_second_run_reads_no_package_and_changes_nothing(
    tmp_path: Path, packages: Path, definition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / "out", packages, definition)
    before = contents(tmp_path / "out")
    monkeypatch.setattr(debian, "members", None)
    prepare(tmp_path / "out", packages, definition)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("damage", [b"", b"not an array"])
def test_an_unreadable_log_mel_is_made_again(tmp_path: Path, packages: Path, definition: Path, damage: bytes) -> None:
    prepare(tmp_path / "out", packages, definition)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "logmel" / "alpha-one.npy").write_bytes(damage)
    prepare(tmp_path / "out", packages, definition)
    assert contents(tmp_path / "out") == before


def test_a_file_that_differs_from_the_definition_is_left_out(tmp_path: Path, packages: Path, ogg: Ogg) -> None:
    rows = [recording("usr/music/One.ogg", b"another"), recording("usr/music/two.ogg", ogg(seed=2))]
    store = prepare(tmp_path / "out", packages, write_definition(tmp_path / "a.csv", rows))
    assert [track.id for track in store.tracks] == ["alpha-two"]
    assert rows[0].sha256 in reasons(store)["alpha-one"]
    assert not (tmp_path / "out" / "audio" / "alpha-one.ogg").exists()


def test_a_newer_package_is_a_warning(tmp_path: Path, packages: Path, ogg: Ogg) -> None:
    rows = [recording("usr/music/One.ogg", ogg(seed=1), version="0.9-1")]
    definition = write_definition(tmp_path / "a.csv", rows)
    with pytest.warns(UserWarning, match=r"alpha 0\.9-1, got alpha_1\.0-1_all\.deb"):
        store = prepare(tmp_path / "out", packages, definition)
    assert [track.id for track in store.tracks] == ["alpha-one"]


def test_what_the_packages_lack_is_reported(tmp_path: Path, packages: Path, ogg: Ogg) -> None:
    rows = [
        recording("usr/music/One.ogg", ogg(seed=1)),
        recording("usr/music/none.ogg", b""),
        recording("usr/none.zip!/zipped.ogg", b""),
        recording("usr/public.zip!/nothing.ogg", b"", package="beta", version="1:2-1"),
        recording("usr/x.ogg", b"", package="gamma"),
    ]
    store = prepare(tmp_path / "out", packages, write_definition(tmp_path / "a.csv", rows))
    assert [track.id for track in store.tracks] == ["alpha-one"]
    found = reasons(store)
    assert list(found) == ["alpha-none", "alpha-zipped", "beta-nothing", "gamma-x"]
    assert "expected it in alpha 1.0-1" in found["alpha-none"]
    assert "apt-get download gamma" in found["gamma-x"]


def test_a_damaged_package_is_reported(tmp_path: Path, packages: Path, ogg: Ogg) -> None:
    (tmp_path / "debs").mkdir()
    whole = (packages / "alpha_1.0-1_all.deb").read_bytes()
    (tmp_path / "debs" / "alpha_1.0-1_all.deb").write_bytes(whole[: len(whole) // 2])
    rows = [recording("usr/share/other.ogg", ogg(seed=9))]
    store = prepare(tmp_path / "out", tmp_path / "debs", write_definition(tmp_path / "a.csv", rows))
    assert "damaged" in reasons(store)["alpha-other"]
    assert store.tracks == ()


def test_a_damaged_zip_is_reported(tmp_path: Path, build_deb: BuildDeb) -> None:
    build_deb(tmp_path, "alpha", "1.0-1", {"usr/a.zip": b"PK, not"})
    rows = [recording("usr/a.zip!/x.ogg", b"")]
    store = prepare(tmp_path / "out", tmp_path, write_definition(tmp_path / "a.csv", rows))
    assert "damaged" in reasons(store)["alpha-x"]


def test_another_front_end_is_refused(tmp_path: Path, packages: Path, definition: Path) -> None:
    prepare(tmp_path / "out", packages, definition)
    other = FIRST_SAMPLES._replace(settings={**FIRST_SAMPLES.settings, "hop": 256})
    with pytest.raises(DatasetError, match="another front end"):
        prepare(tmp_path / "out", packages, definition, other)


def test_missing_commands_and_folders_are_named(
    tmp_path: Path, packages: Path, definition: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetError, match=r"--packages-dir, got .*none"):
        prepare(tmp_path / "out", tmp_path / "none", definition)
    monkeypatch.setattr(debian.shutil, "which", lambda name: None if name == "apt-get" else f"/bin/{name}")
    with pytest.raises(DatasetError, match=r"apt-get.*--packages-dir"):
        prepare(tmp_path / "out", None, definition)
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(DatasetError, match="dpkg-deb"):
        prepare(tmp_path / "out", packages, definition)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def archive(tmp_path: Path, packages: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for apt-get that serves `packages`, knows no version 0.9-1, and notes what it was asked."""
    script = tmp_path / "bin" / "apt-get"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f'case "$2" in *=0.9-1|delta*) echo "E: no $2" >&2; exit 100;; esac\n'
        f'cp {packages}/"${{2%%=*}}"_*.deb .\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "asked"


def test_packages_are_fetched_once(tmp_path: Path, archive: Path, definition: Path) -> None:
    store = prepare(tmp_path / "out", None, definition)
    assert len(store.tracks) == 4
    assert archive.read_text().splitlines() == ["download alpha=1.0-1", "download beta=1:2-1"]
    kept = sorted(path.name for path in (tmp_path / "out" / "packages").iterdir())
    assert kept == ["alpha_1.0-1_all.deb", "beta_1%3a2-1_all.deb"]
    (tmp_path / "out" / "audio" / "alpha-one.ogg").unlink()
    prepare(tmp_path / "out", None, definition)
    assert len(archive.read_text().splitlines()) == 2


def test_the_current_version_is_fetched_where_the_named_one_is_gone(tmp_path: Path, archive: Path, ogg: Ogg) -> None:
    rows = [
        recording("usr/music/One.ogg", ogg(seed=1), version="0.9-1"),
        recording("usr/y.ogg", b"", package="delta"),
    ]
    definition = write_definition(tmp_path / "a.csv", rows)
    with pytest.warns(UserWarning, match=r"0\.9-1"):
        store = prepare(tmp_path / "out", None, definition)
    assert [track.id for track in store.tracks] == ["alpha-one"]
    assert "E: no delta" in reasons(store)["delta-y"]
    assert archive.read_text().splitlines()[:2] == ["download alpha=0.9-1", "download alpha"]


def test_a_definition_of_nothing_but_drops_is_empty(tmp_path: Path, packages: Path) -> None:
    definition = write_definition(tmp_path / "a.csv", [recording("usr/x.ogg", b"", split="drop")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare(tmp_path / "out", packages, definition).tracks == ()


def test_a_prepared_folder_is_a_data_set_like_any_other(tmp_path: Path, packages: Path, definition: Path) -> None:
    store = prepare(tmp_path / "out", packages, definition)
    dataset = open_music.load(store.root)
    assert [item.id for item in dataset.items] == ["alpha-one", "beta-three", "beta-four", "beta-loud"]
    assert (dataset.items[0].title, dataset.items[0].tags, dataset.tags) == ("First", (), TAGS)
    assert dataset.audio("beta-loud") == store.audio("beta-loud")
    for track in store.tracks:
        labels = np.zeros((track.excerpts, 50), np.float32)
        labels[:, [0, 49]] = 1
        write_npy(store.root / "labels" / ANNOTATIONS / f"{track.id}.npy", labels)
    assert {item.tags for item in open_music.load(store.root, [ANNOTATIONS]).items} == {("rock", "happy")}


def test_check_looks_at_what_was_prepared(tmp_path: Path, packages: Path, definition: Path) -> None:
    store = prepare(tmp_path / "out", packages, definition)
    (problem,) = open_music.check(store.root).problems
    assert problem.examples[0].startswith("alpha-bad: ")
    (store.root / "logmel/alpha-one.npy").unlink()
    store.audio("beta-four").unlink()
    found = {problem.what: problem.examples[0] for problem in open_music.check(store.root).problems}
    assert "beta-four.ogg" in found["a file for each track"]
    assert "alpha-one.npy" in found["all log-mels"]
    assert open_music.check(tmp_path).counts == {}

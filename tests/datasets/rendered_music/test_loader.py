"""A few tracks, from packages to a prepared data set."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from front_end import FIRST_SAMPLES
from needs import missing
from rich.console import Console
from test_voices import vowel

from musiczoo.datasets import rendered_music
from musiczoo.datasets.prepared import Store
from musiczoo.datasets.rendered_music import loader, plan, sources, voices
from musiczoo.errors import DatasetError, MissingDependencyError

pytest.importorskip("pyworld", reason="the [render] extra", exc_type=ImportError)
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def packages(build_deb: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the sources, with one small soundfont and a vowel for each speaker."""
    for program in ("mma", "fluidsynth"):
        if shutil.which(program) is None:
            missing(program)
    if not SOUNDFONT.exists():
        missing(str(SOUNDFONT))
    folder = tmp_path_factory.mktemp("packages")
    (folder / "tree").mkdir(exist_ok=True)
    files: dict[tuple[str, str], dict[str, bytes]] = {}
    for font in sources.soundfonts():
        needed = "train" in font.splits  # the few jobs are of that split
        files.setdefault((font.package, font.version), {})[font.member] = SOUNDFONT.read_bytes() if needed else b""
    for number, speaker in enumerate(sources.speakers()):
        recording = vowel(folder / "vowel.wav", 110 + 10 * number)
        members = files.setdefault((speaker.package, speaker.version), {})
        members[f"{speaker.folder}a/one.wav"] = recording.read_bytes()
        members[f"{speaker.folder}silence/1.wav"] = b"not audio"
    for (package, version), content in files.items():
        build_deb(folder, package, version, content)
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[plan.Job]:
    """Only some jobs: an instrumental, a backing and its song, a mixture and a damaged track."""
    jobs = [job for job in plan.plan() if job.groove == "SoftRock"][:3]
    first, backing = jobs[0], jobs[0]
    backing = next(job for job in plan.plan() if job.groove == "SoftRock" and job.kind == plan.BACKING)
    sung = next(job for job in plan.plan() if job.id == backing.id.replace("backing", "sung"))
    mixture = plan.Job("mixture-1", "train", plan.MIXTURE, 1, sources=(first.id, sung.id))
    damaged = [
        plan.Job(f"damaged-{way}", "train", plan.DAMAGED, 1, way=way, sources=(first.id,)) for way in plan.DAMAGES
    ]
    chosen = [first, backing, sung, mixture, *damaged]
    monkeypatch.setattr(loader, "plan", lambda *_: tuple(chosen))
    monkeypatch.setattr(loader, "SECONDS", 4.0)
    return chosen


def test_tracks_are_rendered_once_and_differ_as_they_should(
    packages: Path, few: list[plan.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = rendered_music.prepare(tmp_path, FIRST_SAMPLES, packages, workers=1, console=QUIET)
    assert store.failures == ()
    assert [track.id for track in store.tracks] == [job.id for job in few]
    audio = {track.id: soundfile.read(store.audio(track.id))[0] for track in store.tracks}
    assert all(np.abs(samples).max() > 0.01 for samples in audio.values())
    assert {track.licence for track in store.tracks if "sung" in track.id} == {"MIT and GPL-2+"} or any(
        "and" in track.licence for track in store.tracks
    )
    backing, sung = (audio[job.id] for job in few[1:3])
    assert len(backing) == len(sung)
    assert not np.allclose(backing, sung, atol=0.01)
    # Nothing is rendered or fetched a second time.
    monkeypatch.setattr(loader, "make", lambda *_: pytest.fail("rendered again"))
    before = (tmp_path / "index.json").read_bytes()
    rendered_music.prepare(tmp_path, FIRST_SAMPLES, tmp_path / "nothing", workers=1, console=QUIET)
    assert (tmp_path / "index.json").read_bytes() == before
    assert Store.open(tmp_path).dataset == "rendered_music"


def test_a_track_that_fails_is_listed_and_stops_nothing(packages: Path, few: list[plan.Job], tmp_path: Path) -> None:
    few[0] = replace(few[0], groove="NoSuchGroove")
    store = rendered_music.prepare(tmp_path, FIRST_SAMPLES, packages, workers=1, console=QUIET)
    failed = {failure.id for failure in store.failures}
    assert failed == {job.id for job in few if job is few[0] or few[0].id in job.sources}
    assert {track.id for track in store.tracks} == {job.id for job in few} - failed


def test_processes_give_the_same_tracks(packages: Path, tmp_path: Path) -> None:
    jobs = [replace(job, seed=1) for job in plan.plan() if job.groove == "Folk" and job.kind == plan.STYLE][:2]
    written = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        fonts = {jobs[0].soundfont: SOUNDFONT, jobs[1].soundfont: SOUNDFONT}
        list(loader._render(jobs, loader.Resources(fonts, {}, folder), workers))
        written.append([(folder / f"{job.id}.flac").read_bytes() for job in jobs])
    assert written[0] == written[1]


def test_missing_packages_and_recordings_are_named(
    packages: Path, tmp_path: Path, build_deb: Callable[..., Path]
) -> None:
    speaker = sources.speakers()[0]
    with pytest.raises(DatasetError, match="apt-get download klettres-data"):
        sources.fetch_recordings(speaker, tmp_path, tmp_path)
    (tmp_path / "debs").mkdir()
    build_deb(tmp_path / "debs", speaker.package, speaker.version, {"usr/share/a": b"b"})
    with pytest.raises(DatasetError, match="no recordings in"):
        sources.fetch_recordings(speaker, tmp_path, tmp_path / "debs")


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get install mma fluidsynth"):
        rendered_music.prepare(tmp_path, FIRST_SAMPLES, console=QUIET)


def test_missing_pyworld_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyworld", None)
    with pytest.raises(MissingDependencyError, match=r"musiczoo\[render\]"):
        voices.find_pyworld()

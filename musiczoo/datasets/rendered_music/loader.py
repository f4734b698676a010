"""rendered_music: short tracks in many styles, songs with singers, mixtures and damage, rendered from free packages.

Nothing of it was published as music: it widens what a model learns, and its labels come from teachers. The tracks are
30 s, mono, 22,050 Hz.
"""

import os
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import soxr
from rich.console import Console
from rich.progress import Progress

from ..._files import atomic_file
from ...errors import DatasetError, MusicZooError
from ..dataset import Item
from ..prepare import FrontEnd, analyse, entry, finish, open_folder
from ..prepared import Failure, Store
from . import effects, sources, styles, voices
from .effects import Audio
from .plan import BACKING, DAMAGED, MIXTURE, SEPARATOR, STYLE, Job, plan

NAME = "rendered_music"

RATE = 22050
"""Hz of the files."""

SECONDS = 30.0
"""Approximate length of a track."""

_FAMILIES = {family.name: family for family in styles.families()}


@dataclass(frozen=True)
class Resources:
    """Files that jobs read.

    Attributes:
        soundfonts: Package -> file.
        recordings: Speaker -> recordings.
        audio: Folder of the rendered tracks.
    """

    soundfonts: Mapping[str, Path]
    recordings: Mapping[str, tuple[Path, ...]]
    audio: Path


def prepare(
    out: Path | str,
    front_end: FrontEnd,
    packages_dir: Path | str | None = None,
    seed: int = 0,
    takes: int = 3,
    songs: int = 3,
    workers: int | None = None,
    console: Console | None = None,
) -> Store:
    """Render the music into a folder that training can read.

    Only missing tracks are rendered, so run it again to resume after an interruption. A track that fails is listed in
    the index and does not stop the others.

    Args:
        out: Folder to fill; see `musiczoo.datasets.prepared`. Soundfonts and recordings go to ``out/sources``.
        front_end: Computes the log-mels; `musiczoo.models.frontend.data_front_end` makes that of the models.
        packages_dir: Folder with the .deb files; by default apt-get downloads them.
        seed: The same seed and the same versions of all packages and programs give the same tracks.
        takes: Instrumental tracks for each groove.
        songs: Pairs of a backing and a song for each groove.
        workers: Number of processes; None is one for each core.
        console: Console for progress and the summary; standard error by default.

    Returns:
        The prepared data set. It has no annotations: label it with `musiczoo.datasets.label`.

    Raises:
        DatasetError: If a package cannot be fetched, or `out` was prepared with another front end or contains another
            data set.
        MissingDependencyError: If MMA, fluidsynth or pyworld is not installed.
    """
    out, console = Path(out), console or Console(stderr=True)
    _check_programs()
    open_folder(out, NAME, front_end)
    jobs = plan(seed, takes, songs)
    resources = _fetch(jobs, out, packages_dir, console)
    failures: dict[str, str] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("render ", total=len(jobs))
        # Mixtures and damaged tracks read tracks of the first round.
        for first_round in (True, False):
            group = [job for job in jobs if (not job.sources) is first_round]
            for job, reason in _render(group, resources, workers):
                progress.advance(task)
                if reason:
                    failures[job.id] = reason
        tracks = [entry(_item(job, out), f"{job.id}.flac") for job in jobs if job.id not in failures]
        entries = analyse(tracks, out, front_end, failures, progress)
    store = Store(
        root=out,
        dataset=NAME,
        front_end=front_end.settings,
        tracks=tuple(entries[job.id] for job in jobs if job.id in entries),
        failures=tuple(Failure(job.id, failures[job.id]) for job in jobs if job.id in failures),
    )
    finish(store, console)
    return store


def _check_programs() -> None:
    """Refuse at once what would fail at every track."""
    for program in ("mma", "fluidsynth"):
        styles.find_program(program)
    voices.find_pyworld()


def _item(job: Job, out: Path) -> Item:
    return Item(
        id=job.id,
        split=job.split,
        audio=out / "audio" / f"{job.id}.flac",
        tags=(),
        title=f"{job.groove} {job.kind} {job.way}".strip(),
        artist=SEPARATOR.join(job.speakers),
        genre=job.family,
        licence=_licence(job),
        package=job.package,
    )


def _fetch(jobs: tuple[Job, ...], out: Path, packages_dir: Path | str | None, console: Console) -> Resources:
    folder, fonts = out / "sources", {job.soundfont for job in jobs}
    singers = {name for job in jobs for name in job.speakers}
    with console.status("Extracting soundfonts and recordings"):
        return Resources(
            {
                font.package: sources.fetch_soundfont(font, folder, packages_dir)
                for font in sources.soundfonts()
                if font.package in fonts
            },
            {
                speaker.name: tuple(sources.fetch_recordings(speaker, folder, packages_dir))
                for speaker in sources.speakers()
                if speaker.name in singers
            },
            out / "audio",
        )


def _render(jobs: list[Job], resources: Resources, workers: int | None) -> Iterator[tuple[Job, str]]:
    waiting = [job for job in jobs if not (resources.audio / f"{job.id}.flac").exists()]
    yield from ((job, "") for job in jobs if job not in waiting)
    # A backing and its song follow each other and have one seed: one process renders both, the music once.
    groups = [list(group) for _, group in groupby(waiting, key=lambda job: job.seed)]
    count = min(workers or os.cpu_count() or 1, max(len(groups), 1))
    if count == 1:
        yield from ((job, _write(job, resources)) for job in waiting)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        results = pool.map(_write_all, groups, [resources] * len(groups))
        for group, reasons in zip(groups, results, strict=True):
            yield from zip(group, reasons, strict=True)


def _write_all(jobs: list[Job], resources: Resources) -> list[str]:
    return [_write(job, resources) for job in jobs]


def _write(job: Job, resources: Resources) -> str:
    """Render a track into its file; return why that failed, or an empty string."""
    try:
        samples = make(job, resources)
        if not np.isfinite(samples).all():
            raise DatasetError(f"{job.id} was rendered with samples that are not finite. Choose another seed.")
        converted = soxr.resample(samples, styles.RATE, RATE)
        with atomic_file(resources.audio / f"{job.id}.flac") as file:
            soundfile.write(file, np.clip(converted, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    except (MusicZooError, soundfile.SoundFileError, OSError) as error:
        return str(error)
    return ""


def make(job: Job, resources: Resources) -> Audio:
    """Render one track.

    Args:
        job: What to render.
        resources: Files that it is made of.

    Returns:
        Mono samples ``[frames]`` at `musiczoo.datasets.rendered_music.styles.RATE`.

    Raises:
        DatasetError: If a program fails.
        MissingDependencyError: If a program or package is not installed.
    """
    if job.kind == MIXTURE:
        return _mixture(job, resources)
    if job.kind == DAMAGED:
        return _damaged(job, resources)
    dice = np.random.default_rng(job.seed)
    score, music = _music(job.family, job.groove, job.seed, job.kind != STYLE, resources.soundfonts[job.soundfont])
    master = _Master.of(dice)
    if job.kind in (STYLE, BACKING):
        return master.apply(music)
    voice = _voice(job, score, resources, len(music))
    ratio = float(dice.uniform(-4, 8))
    voice = effects.compress(effects.reverb(voice, float(dice.uniform(0.4, 2.2)), float(dice.uniform(0.05, 0.3)), dice))
    return master.apply(effects.mix(voice, music, ratio))


@lru_cache(maxsize=1)
def _music(family: str, groove: str, seed: int, sung: bool, soundfont: Path) -> tuple[styles.Score, Audio]:
    """Compose and render a track; the last one is kept, because a song follows its backing."""
    score = styles.compose(_FAMILIES[family], groove, seed, SECONDS, sung=sung)
    return score, styles.render(score, soundfont)


@dataclass(frozen=True)
class _Master:
    """Mastering: gains of bass, middle and treble in dB, and drive. A backing and its song have the same."""

    gains_db: tuple[float, float, float]
    drive: float

    @classmethod
    def of(cls, dice: np.random.Generator) -> "_Master":
        low, middle, high = (float(gain) for gain in dice.uniform(-4, 4, size=3))
        return cls((low, middle, high), float(dice.uniform(0.8, 2.5)))

    def apply(self, music: Audio) -> Audio:
        return effects.level(effects.saturate(effects.level(effects.equalise(music, self.gains_db)), self.drive))


def _voice(job: Job, score: styles.Score, resources: Resources, frames: int) -> Audio:
    """Sing a score in the way of a job."""
    dice = random.Random(job.seed)
    octave, factor = {"high": (1, 1.15), "low": (-1, 0.85)}.get(job.way, (0, 1.0))
    manner = voices.Manner(
        formants=factor * dice.uniform(0.85, 1.2),
        octave=octave,
        vibrato_cents=dice.uniform(10, 60),
        vibrato_hz=dice.uniform(4.8, 6.5),
        glide_s=dice.uniform(0.02, 0.12),
        breath=dice.uniform(0.0, 0.15),
        spoken=job.way == "rap",
    )
    doubled = [replace(manner, delay_s=0.025, detune_cents=12)] if job.way == "doubled" else []
    singers = [_syllables(resources.recordings[name]) for name in job.speakers]
    voice = np.zeros(frames, np.float32)
    for number, syllables in enumerate(singers):
        for each in [manner, *doubled]:
            sung = voices.sing(score.melody, score.tempo, syllables, each, job.seed + number, frames)
            voice += effects.level(sung)
    return effects.level(voice)


@lru_cache(maxsize=16)
def _syllables(recordings: tuple[Path, ...]) -> list[voices.Syllable]:
    """Analyze a speaker's recordings, 16 at most: enough for a song."""
    step = max(1, len(recordings) // 16)
    found = (voices.analyze(path) for path in recordings[::step][:16])
    return [syllable for syllable in found if syllable is not None]


def _source(name: str, resources: Resources) -> Audio:
    samples, rate = soundfile.read(resources.audio / f"{name}.flac", dtype="float32")
    return np.asarray(soxr.resample(samples, rate, styles.RATE), np.float32)


def _mixture(job: Job, resources: Resources) -> Audio:
    one, other = (_source(name, resources) for name in job.sources)
    frames = min(len(one), len(other))
    return effects.mix(one[:frames], other[:frames], float(np.random.default_rng(job.seed).uniform(-6, 6)))


def _damaged(job: Job, resources: Resources) -> Audio:
    dice, music = np.random.default_rng(job.seed), _source(job.sources[0], resources)
    match job.way:
        case "pitch":
            return effects.pitch_and_tempo(music, float(dice.uniform(-4, 4)), 1.0)
        case "tempo":
            return effects.pitch_and_tempo(music, 0.0, float(dice.uniform(0.8, 1.2)))
        case "equaliser":
            low, middle, high = (float(gain) for gain in dice.uniform(-12, 12, size=3))
            return effects.level(effects.equalise(music, (low, middle, high)))
        case "telephone":
            return effects.level(effects.band(music, 300, 3400))
        case "mp3":
            return effects.mp3(music)
        case "vinyl":
            return effects.vinyl(music, dice)
        case "reverb":
            return effects.level(effects.reverb(music, float(dice.uniform(1, 4)), float(dice.uniform(0.2, 0.5)), dice))
        case "clipping":
            return effects.clip(music, float(dice.uniform(3, 12)))
        case "quiet":
            return effects.clip(music, float(dice.uniform(-30, -6)))
        case "loud":
            return effects.clip(music, float(dice.uniform(0, 12)))
    raise ValueError(f"Expected one of the ways to damage a track, got {job.way!r}.")


def _licence(job: Job) -> str:
    """Return the licences of what a track is made of."""
    fonts = {font.package: font.licence for font in sources.soundfonts()}
    singers = {speaker.name: speaker.licence for speaker in sources.speakers()}
    found = [fonts[job.soundfont]] if job.soundfont else []
    found += [singers[name] for name in job.speakers]
    return " and ".join(dict.fromkeys(found)) or "as its sources"

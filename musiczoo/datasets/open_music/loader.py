"""Prepare, load and check open_music: free music from Debian packages, split by package.

The definition, ``open_music.csv`` beside this file, names every recording with its licence and, where published, its
title, artist and genre. ATTRIBUTION.md names the authors.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from ..._files import atomic_file
from ...errors import AudioError, DatasetError
from ..check import Report, check_dataset, problem
from ..dataset import Dataset, Item
from ..hard_tags import of_split
from ..prepare import FrontEnd, analyse, entry, finish, open_folder
from ..prepared import FIRST, SPLITS, Failure, Store
from . import debian
from .definition import DEFINITION, DROP, Recording, read_definition

NAME = "open_music"


def prepare(
    out: Path | str,
    front_end: FrontEnd,
    packages_dir: Path | str | None = None,
    definition: Path = DEFINITION,
    console: Console | None = None,
) -> Store:
    """Download, unpack and analyse the music into a folder that training can read.

    Only missing files are written, so run it again to resume after an interruption. Validation and test come first,
    then train. A recording that fails is listed in the index and does not stop the others.

    Args:
        out: Folder to fill; see `musiczoo.datasets.prepared`. Nothing is written elsewhere.
        front_end: Computes the log-mels; `musiczoo.models.frontend.data_front_end` makes that of the models.
        packages_dir: Folder with the .deb files; by default apt-get downloads them into ``out/packages``.
        definition: The CSV.
        console: Console for progress and the summary; standard error by default.

    Returns:
        The prepared data set.

    Raises:
        DatasetError: If the definition is malformed, a Debian command or `packages_dir` is missing, or `out` was
            prepared with another front end or contains another data set.

    Example:
        A definition of one recording, which was unpacked by an earlier call:

        >>> import shutil
        >>> columns = "split,package,version,member,sha256,duration_s,use_s,licence,title,artist,genre,note"
        >>> row = f"train,game,1.0,usr/share/song.ogg,{64 * '0'},18,12,CC0,Title,Artist,,"
        >>> _ = Path("definition.csv").write_text(f"{columns}\\n{row}\\n")
        >>> Path("game/audio").mkdir(parents=True)
        >>> _ = shutil.copy("song.ogg", "game/audio/game-song.ogg")
        >>> levels = FrontEnd({"sample_rate": 22_050}, lambda samples: samples[::512, None].astype(np.float16))
        >>> store = prepare("game", levels, packages_dir=".", definition=Path("definition.csv"))
        >>> [(track.id, track.split, track.duration_s) for track in store.tracks]
        [('game-song', 'train', 12.0)]
    """
    out, console = Path(out), console or Console(stderr=True)
    recordings = [r for r in read_definition(definition) if r.split != DROP]
    ordered = sorted(recordings, key=lambda r: FIRST.index(r.split))
    _check_sources(packages_dir)
    open_folder(out, NAME, front_end)
    failures: dict[str, str] = {}
    with Progress(console=console) as progress:
        for recording, reason in progress.track(
            extract(ordered, out, packages_dir), total=len(ordered), description="audio  "
        ):
            if reason:
                failures[recording.id] = reason
        items = [(r, r.item(out / "audio")) for r in ordered if r.id not in failures]
        tracks = [entry(item, r.audio, r.limit_s) for r, item in items]
        entries = analyse(tracks, out, front_end, failures, progress)
    store = Store(
        root=out,
        dataset=NAME,
        front_end=front_end.settings,
        tracks=tuple(entries[r.id] for r in recordings if r.id in entries),
        failures=tuple(Failure(r.id, failures[r.id]) for r in recordings if r.id in failures),
    )
    finish(store, console)
    return store


def load(root: Path | str, teachers: Sequence[str] = ()) -> Dataset:
    """Load a prepared folder as a data set.

    Args:
        root: The folder.
        teachers: Names of the teachers whose labels give the tags of the tracks, by the rule of
            `musiczoo.datasets.hard_tags`; by default tracks have no tags.

    Raises:
        DatasetError: If it is not a prepared folder, or a label is missing.

    Example:
        >>> from musiczoo.datasets.prepared import TrackEntry
        >>> track = TrackEntry("game-song", "test", "game-song.ogg", 18.0, 775, "Title", "Artist", "", "CC0", "game")
        >>> Store(Path("data"), NAME, {"n_mels": 128}, (track,)).save()
        >>> [(item.id, item.split, item.artist) for item in load("data").items]
        [('game-song', 'test', 'Artist')]
    """
    store = Store.open(root)
    items: list[Item] = []
    for split in SPLITS:
        tracks = store.split(split)
        rows = of_split(store, split, teachers) if teachers and tracks else np.zeros((len(tracks), len(store.tags)))
        items += [
            Item(
                id=track.id,
                split=split,
                audio=store.audio(track.id),
                tags=tuple(store.tags[column] for column in np.flatnonzero(row)),
                title=track.title,
                artist=track.artist,
                genre=track.genre,
                licence=track.licence,
                package=track.package,
            )
            for track, row in zip(tracks, rows, strict=True)
        ]
    return Dataset(store.dataset, store.root, store.tags, store.dimensions, tuple(items))


def check(root: Path | str, quick: bool = False, console: Console | None = None) -> Report:
    """Report missing and damaged files of a prepared folder, including log-mels.

    Args:
        root: The folder.
        quick: Only check that audio files exist, not that they can be decoded.
        console: Console for progress; standard error by default.

    Example:
        >>> from musiczoo.datasets.prepared import TrackEntry
        >>> track = TrackEntry("game-song", "test", "game-song.ogg", 18.0, 775, "Title", "Artist", "", "CC0", "game")
        >>> Store(Path("data"), NAME, {"n_mels": 128}, (track,)).save()
        >>> [(found.what, found.count) for found in check("data").problems]  # there is only an index
        [('a file for each track', 1), ('all log-mels', 1)]
    """
    remedy = f"Run: musiczoo data prepare {NAME} --out {root}"
    report = check_dataset(NAME, Path(root), lambda: load(root), {}, remedy, quick, console)
    if not report.counts:
        return report
    store = Store.open(root)
    absent = [f"{failure.id}: {failure.reason}" for failure in store.failures]
    damaged = []
    for track in store.tracks:
        try:
            store.logmel(track.id)
        except DatasetError as error:
            damaged.append(str(error))
    found = problem("every recording of the definition", absent, remedy) + problem("all log-mels", damaged, remedy)
    return replace(report, problems=report.problems + tuple(found))


def _check_sources(packages_dir: Path | str | None) -> None:
    """Check the commands and folders before anything is written."""
    debian.require_tool("dpkg-deb")
    if packages_dir is None:
        debian.require_tool("apt-get")
    elif not os.path.isdir(packages_dir):
        raise DatasetError(f"Expected a folder with .deb files as --packages-dir, got {packages_dir}.")


def extract(
    recordings: Sequence[Recording], out: Path, packages_dir: Path | str | None
) -> Iterator[tuple[Recording, str]]:
    """Write the audio of each recording into the folder; yield it with the reason if that failed, else with ''.

    Args:
        recordings: The recordings.
        out: Folder of the data set; audio that exists in it is kept.
        packages_dir: Folder with the .deb files; None to download them with apt-get into ``out/packages``.

    Example:
        >>> recording = next(r for r in read_definition() if r.package == "pushover-data")
        >>> [reason for _, reason in extract([recording], Path("data"), packages_dir=".")]
        ['Expected pushover-data_*.deb among the packages, found none. Download it with: ...']
    """
    pending: dict[tuple[str, str], list[Recording]] = {}
    for recording in recordings:
        if (out / "audio" / recording.audio).exists():
            yield recording, ""
        else:
            pending.setdefault((recording.package, recording.version), []).append(recording)
    for (package, version), group in pending.items():
        waiting = {r.id: r for r in group}
        reason = ""
        try:
            for recording, reason in _unpack(group, _package(package, version, out, packages_dir), out):
                yield waiting.pop(recording.id), reason
            reason = f"expected it in {package} {version}, but the package does not contain it"
        except DatasetError as error:
            reason = str(error)
        yield from ((recording, reason) for recording in waiting.values())


def _package(package: str, version: str, out: Path, packages_dir: Path | str | None) -> Path:
    deb = debian.obtain(package, version, out, packages_dir)
    if debian.version_of(deb) != version:
        warnings.warn(
            f"{NAME} was defined with {package} {version}, got {deb.name}: recordings that differ are left out.",
            stacklevel=2,
        )
    return deb


def _unpack(recordings: Iterable[Recording], deb: Path, out: Path) -> Iterator[tuple[Recording, str]]:
    owner = {source: recording for recording in recordings for source in recording.sources}
    held: dict[str, dict[str, bytes]] = {}
    for name, data in debian.members(deb, owner, spool=out):
        recording = owner[name]
        parts = held.setdefault(recording.id, {})
        parts[name] = data
        if len(parts) == len(recording.sources):
            yield recording, _write_audio(recording, [parts[source] for source in recording.sources], out)
            del held[recording.id]


def _write_audio(recording: Recording, parts: Sequence[bytes], out: Path) -> str:
    found = hashlib.sha256(b"".join(parts)).hexdigest()
    if found != recording.sha256:
        return f"expected sha256 {recording.sha256}, got {found}: the file differs from the definition's"
    try:
        with atomic_file(out / "audio" / recording.audio) as file:
            if len(parts) == 1:
                file.write(parts[0])
            else:
                mixed, rate = mix(parts)
                soundfile.write(file, mixed, rate, format="FLAC", subtype="PCM_16")
    except AudioError as error:
        return str(error)
    return ""


def mix(stems: Sequence[bytes]) -> tuple[NDArray[np.float32], int]:
    """Mix encoded stems: their sum, scaled down if it would clip.

    Args:
        stems: Contents of audio files; shorter ones are padded with silence.

    Returns:
        ``[samples, channels]`` float32 in [-1, 1], and the sample rate in Hz.

    Raises:
        AudioError: If a stem cannot be decoded, or their rates or channels differ.

    Example:
        >>> stem = Path("song.ogg").read_bytes()
        >>> mixed, rate = mix([stem, stem])
        >>> mixed.shape == soundfile.read("song.ogg")[0].shape, float(np.abs(mixed).max()) <= 1
        (True, True)
    """
    try:
        decoded = [soundfile.read(io.BytesIO(stem), dtype="float32", always_2d=True) for stem in stems]
    except soundfile.LibsndfileError as error:
        raise AudioError(f"Cannot decode a stem with libsndfile: {error}") from error
    forms = [(samples.shape[1], rate) for samples, rate in decoded]
    if len(set(forms)) != 1:
        raise AudioError(f"Expected stems of equal channels and rate, got (channels, Hz) {forms}.")
    total = np.zeros((max(len(samples) for samples, _ in decoded), forms[0][0]), np.float32)
    for samples, _ in decoded:
        total[: len(samples)] += samples
    total /= max(1.0, float(np.abs(total).max(initial=0)))
    return total, forms[0][1]

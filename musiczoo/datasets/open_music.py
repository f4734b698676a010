"""open_music: free music out of Debian packages, split by package.

The definition, ``open_music.csv`` beside this file, names every recording, its licence and, where published,
its title, artist and genre. ATTRIBUTION.md says whose it is.
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .. import audio
from ..errors import AudioError, DatasetError, MissingDependencyError
from . import debian
from .definition import DEFINITION, DROP, Recording, read_definition
from .store import (
    INDEX_FILE,
    PARTIAL,
    SPLITS,
    Failure,
    Store,
    TrackEntry,
    atomic,
    read_array,
    write_array,
)

NAME = "open_music"

FIRST = ("validation", "test", "train")
"""Splits in the order of preparation: what measures a model comes first."""

_BLOCK_FRAMES = 2048
"""Frames of log-mel computed at once: bounds the memory, changes nothing in the result."""

LogMelFunction = Callable[[NDArray[np.float32]], NDArray[np.float16]]


def prepare(
    out: Path | str,
    packages_dir: Path | str | None = None,
    definition: Path = DEFINITION,
    console: Console | None = None,
) -> Store:
    """Fetch, unpack and analyse the music into a folder that training can read.

    Does only what is missing, so an interrupted run is resumed by running it again. Validation and test come
    first, then train. A recording that fails is reported in the index and does not stop the others.

    Args:
        out: Folder to fill; see `musiczoo.datasets.store`. Nothing is written elsewhere.
        packages_dir: Folder with the .deb files; by default apt-get fetches them into ``out/packages``.
        definition: The CSV.
        console: Where progress and the summary go; standard error by default.

    Returns:
        The prepared data set.

    Raises:
        DatasetError: If the definition is malformed, a Debian command or `packages_dir` is missing, or `out`
            was prepared with another front end.
        MissingDependencyError: If the [train] extra is not installed.
    """
    out, console = Path(out), console or Console(stderr=True)
    recordings = [r for r in read_definition(definition) if r.split != DROP]
    ordered = sorted(recordings, key=lambda r: FIRST.index(r.split))
    settings, log_mel = _front_end()
    _check_folder(out, settings, packages_dir)
    failures: dict[str, str] = {}
    with Progress(console=console) as progress:
        for recording, reason in progress.track(
            _extract(ordered, out, packages_dir), total=len(ordered), description="audio  "
        ):
            if reason:
                failures[recording.id] = reason
        entries: dict[str, TrackEntry] = {}
        for recording in progress.track(ordered, description="log-mel"):
            if recording.id in failures:
                continue
            try:
                entries[recording.id] = _analyse(recording, out, int(settings["sample_rate"]), log_mel)
            except AudioError as error:
                failures[recording.id] = str(error).replace(f"{out / 'audio'}/", "")
    store = Store(
        root=out,
        dataset=NAME,
        front_end=settings,
        tracks=tuple(entries[r.id] for r in recordings if r.id in entries),
        failures=tuple(Failure(r.id, failures[r.id]) for r in recordings if r.id in failures),
    )
    store.save()
    console.print(summary(store))
    for failure in store.failures:
        console.print(f"left out: {failure.id}: {failure.reason}", style="yellow", markup=False, highlight=False)
    return store


def summary(store: Store) -> Table:
    """Tracks and hours of each split, and the failures."""
    table = Table("split", "tracks", "hours", title=f"{store.dataset} in {store.root}")
    for name, tracks in [*((name, store.split(name)) for name in SPLITS), ("all", store.tracks)]:
        table.add_row(name, str(len(tracks)), f"{sum(t.duration_s for t in tracks) / 3600:.2f}")
    table.add_row("failed", str(len(store.failures)), "")
    return table


def _check_folder(out: Path, settings: Mapping[str, Any], packages_dir: Path | str | None) -> None:
    """Refuse what cannot work before hours are spent on it, and clear what a killed run left."""
    debian.require_tool("dpkg-deb")
    if packages_dir is None:
        debian.require_tool("apt-get")
    elif not Path(packages_dir).is_dir():
        raise DatasetError(f"Expected a folder with .deb files as --packages-dir, received {packages_dir}.")
    if (out / INDEX_FILE).exists() and Store.open(out).front_end != settings:
        raise DatasetError(
            f"{out} holds log-mels of another front end: expected {dict(settings)}, received "
            f"{dict(Store.open(out).front_end)}. Choose another folder, or delete {out / INDEX_FILE} and "
            f"{out / 'logmel'}."
        )
    for folder in ("audio", "logmel"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for leftover in (out / folder).glob("*" + PARTIAL):
            leftover.unlink()


def _extract(
    recordings: Sequence[Recording], out: Path, packages_dir: Path | str | None
) -> Iterator[tuple[Recording, str]]:
    """Bring each recording's audio into the folder; yields it with the reason if that failed, else ''."""
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
            reason = f"{package} {version} was expected to hold it, and the package at hand does not"
        except DatasetError as error:
            reason = str(error)
        yield from ((recording, reason) for recording in waiting.values())


def _package(package: str, version: str, out: Path, packages_dir: Path | str | None) -> Path:
    folder = out / "packages" if packages_dir is None else Path(packages_dir)
    deb = debian.find(folder, package, version)
    if deb is None and packages_dir is None:
        deb = debian.fetch(package, version, folder)
    if deb is None:
        raise DatasetError(
            f"Expected {package}_*.deb among the packages, found none. Fetch it: apt-get download {package}"
        )
    if debian.version_of(deb) != version:
        warnings.warn(
            f"{NAME} was defined with {package} {version}, received {deb.name}: "
            "recordings that have changed since are left out.",
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
    received = hashlib.sha256(b"".join(parts)).hexdigest()
    if received != recording.sha256:
        return f"expected sha256 {recording.sha256}, received {received}: the file differs from the definition's"
    try:
        with atomic(out / "audio" / recording.audio) as file:
            if len(parts) == 1:
                file.write(parts[0])
            else:
                mixed, rate = mix(parts)
                soundfile.write(file, mixed, rate, format="FLAC", subtype="PCM_16")
    except AudioError as error:
        return str(error)
    return ""


def mix(stems: Sequence[bytes]) -> tuple[NDArray[np.float32], int]:
    """The sum of encoded stems, scaled down where it would clip.

    Args:
        stems: Audio files; where one is shorter, silence follows.

    Returns:
        ``[samples, channels]`` float32 in [-1, 1], and the sample rate in Hz.

    Raises:
        AudioError: If a stem cannot be decoded, or their rates or channels differ.
    """
    try:
        decoded = [soundfile.read(io.BytesIO(stem), dtype="float32", always_2d=True) for stem in stems]
    except soundfile.LibsndfileError as error:
        raise AudioError(f"Expected stems that libsndfile decodes, received one that it does not: {error}") from error
    forms = [(samples.shape[1], rate) for samples, rate in decoded]
    if len(set(forms)) != 1:
        raise AudioError(f"Expected stems of equal channels and rate, received (channels, Hz) {forms}.")
    total = np.zeros((max(len(samples) for samples, _ in decoded), forms[0][0]), np.float32)
    for samples, _ in decoded:
        total[: len(samples)] += samples
    total /= max(1.0, float(np.abs(total).max(initial=0)))
    return total, forms[0][1]


def _analyse(recording: Recording, out: Path, sample_rate: int, log_mel: LogMelFunction) -> TrackEntry:
    source, target = out / "audio" / recording.audio, out / "logmel" / f"{recording.id}.npy"
    values: NDArray[Any] | None = read_array(target)
    if values is None:
        values = log_mel(audio.read(source, sample_rate, recording.limit_s))
        write_array(target, values)
    length = audio.probe(source).duration_s
    return TrackEntry(
        id=recording.id,
        split=recording.split,
        audio=recording.audio,
        duration_s=round(length if recording.limit_s is None else min(length, recording.limit_s), 3),
        frames=len(values),
        title=recording.title,
        artist=recording.artist,
        genre=recording.genre,
        licence=recording.licence,
        package=recording.package,
    )


def _front_end() -> tuple[dict[str, float], LogMelFunction]:
    """The settings that go into the index, and the function from a waveform to a float16 log-mel."""
    try:
        from ..models.frontend import FRONT_END, SAMPLE_RATE, STORED, LogMel
    except ImportError as error:
        raise MissingDependencyError(
            f"Preparing data needs what training needs, and {error.name} is missing: "
            "pip install 'musiczoo[train-cpu]' (or 'musiczoo[train]' for GPUs)"
        ) from error
    layer = LogMel(replace(FRONT_END, mean=0.0, std=1.0), SAMPLE_RATE)
    hop: int = layer.hop

    def log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float16]:
        """``[samples] -> [samples // hop, n_mels]``, block by block."""
        frames = len(waveform) // hop
        if frames == 0:
            raise AudioError(f"Expected {hop} samples or more, received {len(waveform)}.")
        result = np.empty((frames, FRONT_END.n_mels), np.float16)
        # A frame sees one hop before its centre: each block starts one hop early and drops its first frame.
        padded = np.zeros((1 + -(-frames // _BLOCK_FRAMES) * _BLOCK_FRAMES) * hop, np.float32)
        padded[hop : hop + frames * hop] = waveform[: frames * hop]
        for start in range(0, frames, _BLOCK_FRAMES):
            block = padded[start * hop : (start + _BLOCK_FRAMES + 1) * hop]
            values = np.asarray(layer(block[None]))[0, 1:]
            result[start : start + _BLOCK_FRAMES] = values[: frames - start]
        return result

    return STORED, log_mel

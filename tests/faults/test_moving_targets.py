"""Songs that vanish, shrink, grow or become something else while they are analyzed."""

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from moving_target import Lines
from toy import encoded, music, write_audio

import musiczoo
from musiczoo.errors import AudioError, AudioNotFoundError
from musiczoo.library.records import Entry, Failure, LibraryConfig
from musiczoo.library.worker import analyze_path

MOMENTS = int(os.environ.get("MOMENTS", "3"))
"""Of each way and each format: spread over all lines that are executed. More take longer: MOMENTS=40 pytest ..."""


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def garble(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))


def exchange(path: Path) -> None:
    """Another song comes in its place, as downloads do."""
    other = write_audio(path.with_name("other.wav"), music(7, seed=5))
    os.replace(other, path)


WAYS: dict[str, Callable[[Path], object]] = {
    "vanish": os.unlink,
    "cut": cut,
    "empty": lambda path: os.truncate(path, 0),
    "garble": garble,
    "exchange": exchange,
    "folder": lambda path: (os.unlink(path), path.mkdir()),
    "locked": lambda path: (os.unlink(path), path.symlink_to(path)),  # a link to itself: nobody can open it
}


def fresh(song: Path, original: Path) -> None:
    """Put the song back, replacing what is there now."""
    if song.is_dir():
        song.rmdir()
    song.unlink(missing_ok=True)
    shutil.copyfile(original, song)


@pytest.fixture(params=["wav", "flac", "ogg", "mp3", "m4a"])
def original(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"original.{request.param}"
    if request.param != "m4a":
        path.write_bytes(encoded(path.suffix, 12))
        return path
    av = pytest.importorskip("av")
    samples = (music(12) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=22050)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = 22050
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("excerpts", [None, 3])
def test_a_song_changes_while_it_is_heard(
    way: str, excerpts: int | None, original: Path, toy_folder: Path, tmp_path: Path
) -> None:
    """There is a Track, or one of our errors; a library gets the song's row or a failure, never another song's row."""
    model = musiczoo.load(toy_folder, threads=1)
    config = LibraryConfig.from_card(model.card, excerpts)
    song = tmp_path / f"song{original.suffix}"
    warnings.simplefilter("ignore", UserWarning)

    def analyzed(when: int) -> tuple[int, Entry | Failure]:
        fresh(song, original)
        with Lines(when, lambda: WAYS[way](song)) as lines:
            row = analyze_path(model, config, str(song))
        return lines.count, row

    total, expected = analyzed(0)
    assert isinstance(expected, Entry)
    for when in np.unique(np.linspace(1, total, MOMENTS).round().astype(int)):
        _, row = analyzed(int(when))
        if isinstance(row, Entry):
            assert row.embedding.tobytes() == expected.embedding.tobytes()
            assert row.hash == expected.hash
        else:
            assert row.path == str(song)
            assert row.reason


@pytest.mark.parametrize("way", WAYS)
def test_analysing_it_alone_gives_a_track_or_our_error(
    way: str, original: Path, toy_folder: Path, tmp_path: Path
) -> None:
    model = musiczoo.load(toy_folder, threads=2)
    song = tmp_path / f"song{original.suffix}"
    warnings.simplefilter("ignore", UserWarning)
    fresh(song, original)
    with Lines() as lines:
        model.analyze(song, excerpts=3)
    for when in np.unique(np.linspace(1, lines.count, MOMENTS).round().astype(int)):
        fresh(song, original)
        with Lines(int(when), lambda: WAYS[way](song)):
            try:
                track = model.analyze(song, excerpts=3)
            except (AudioError, AudioNotFoundError):
                continue
        assert np.isfinite(track.embedding).all()

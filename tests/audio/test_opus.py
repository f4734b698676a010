"""Opus with pages whose positions are wrong, as FFmpeg writes them: what libsndfile would call malformed."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import music

from musiczoo import audio
from musiczoo.audio import ogg
from musiczoo.audio.views import FileView

RATE = 48_000
AHEAD = 488
"""Samples by which FFmpeg's positions were seen to be wrong, of music at 44.1 kHz."""


def crc(page: bytes) -> int:
    """The checksum of RFC 3533, bit by bit."""
    value = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value


def pages(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        segments = content[at + 26]
        size = 27 + segments + sum(content[at + 27 : at + 27 + segments])
        yield content[at : at + size]
        at += size


def position(page: bytes) -> int:
    return int.from_bytes(page[6:14], "little")


def moved(page: bytes, by: int) -> bytes:
    """The page with another position, and its checksum made true again."""
    page = page[:6] + (position(page) + by).to_bytes(8, "little") + page[14:]
    return page[:22] + crc(page).to_bytes(4, "little") + page[26:]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds in stereo, about a page a second, in order."""
    path = tmp_path_factory.mktemp("opus") / "plain.opus"
    sound = music(12, RATE, channels=2)
    with soundfile.SoundFile(path, "w", RATE, 2, format="OGG", subtype="OPUS") as file:
        for i in range(0, len(sound), 4096):
            file.write(sound[i : i + 4096])
    return path


@pytest.fixture(scope="module")
def jittered(plain: Path) -> Path:
    """The same samples; every third page is some milliseconds ahead, the last one is not."""
    path = plain.with_name("jittered.opus")
    *most, last = pages(plain.read_bytes())
    assert len(most) > 8
    path.write_bytes(b"".join(moved(p, AHEAD) if i % 3 == 1 and i > 1 else p for i, p in enumerate(most)) + last)
    return path


def test_libsndfile_stops_at_wrong_positions(jittered: Path) -> None:
    """The reason for `mend_opus`. When this test fails with a newer libsndfile, remove it."""
    with soundfile.SoundFile(jittered) as file, pytest.raises(soundfile.LibsndfileError):
        file.read()


def test_wrong_positions_change_no_sample(plain: Path, jittered: Path) -> None:
    np.testing.assert_array_equal(audio.read(jittered, RATE), audio.read(plain, RATE))
    assert audio.probe(jittered) == audio.probe(plain)


def test_wrong_positions_change_no_excerpt(plain: Path, jittered: Path) -> None:
    for start_s in (0.5, 3.0, 7.25):
        there = [np.concatenate(list(audio.blocks(path, RATE, start_s))) for path in (plain, jittered)]
        assert len(there[0]) == len(there[1])
        np.testing.assert_allclose(*there, atol=1e-3)  # the codec settles after a seek


def test_the_view_is_the_file_with_true_positions(plain: Path, jittered: Path) -> None:
    spans = ogg.mend_opus(jittered)
    assert spans is not None
    view = FileView(jittered, spans)
    assert view.readall() == plain.read_bytes()
    view.close()


def test_intact_files_need_no_view(plain: Path, tmp_path: Path) -> None:
    assert ogg.mend_opus(plain) is None
    vorbis = tmp_path / "a.ogg"
    soundfile.write(vorbis, music(2, RATE), RATE, format="OGG", subtype="VORBIS")
    assert ogg.mend_opus(vorbis) is None
    assert ogg.mend_opus(Path(__file__)) is None


def test_a_gap_is_not_taken_for_wrong_positions(plain: Path, jittered: Path) -> None:
    """A second that is not there is no jitter: positions behind it stay ahead by it."""
    head, tail = list(pages(jittered.read_bytes()))[:6], list(pages(jittered.read_bytes()))[6:]
    path = plain.with_name("gap.opus")
    path.write_bytes(b"".join([*head, *(moved(page, RATE) for page in tail)]))
    spans = ogg.mend_opus(path)
    assert spans is not None
    view = FileView(path, spans)
    mended = [position(page) for page in pages(view.readall())]
    view.close()
    true = [position(page) for page in pages(plain.read_bytes())]
    assert mended == true[:6] + [p + RATE for p in true[6:]]


@settings(max_examples=150)
@given(st.data())
def test_damage_raises_no_error(jittered: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(jittered.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = jittered.with_name("damaged.opus")
    path.write_bytes(content)
    spans = ogg.mend_opus(path)
    if spans is not None:
        view = FileView(path, spans)
        assert len(view.readall()) == len(content)
        view.close()


@pytest.mark.parametrize(
    ("config", "ms"),
    [
        *((i, (10, 20, 40, 60)[i % 4]) for i in range(12)),
        *((12, 10), (13, 20), (14, 10), (15, 20)),
        *((16 + i, (2.5, 5, 10, 20)[i % 4]) for i in range(16)),
    ],
)
def test_durations_of_rfc_6716(config: int, ms: float) -> None:
    """Table 2: milliseconds of a frame by configuration; a packet has one, two, or a number that it says."""
    frame = round(ms * 48)
    toc = config << 3
    assert ogg._opus_samples(bytes([toc, 0])) == frame
    assert ogg._opus_samples(bytes([toc | 1, 0])) == ogg._opus_samples(bytes([toc | 2, 0])) == 2 * frame
    assert ogg._opus_samples(bytes([toc | 3, 5])) == 5 * frame


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
def test_ffmpegs_files_are_as_long_as_their_source(tmp_path: Path) -> None:
    """At 44.1 kHz, which FFmpeg converts; the positions of its pages may be wrong."""
    source, path = tmp_path / "a.wav", tmp_path / "a.opus"
    soundfile.write(source, np.random.default_rng(0).normal(0, 0.1, (30 * 44100 + 7, 2)), 44100)
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-c:a", "libopus", "-b:a", "48k", path], check=True)
    decoded = audio.read(path, RATE)
    assert abs(len(decoded) - (30 * 44100 + 7) * RATE / 44100) <= 2

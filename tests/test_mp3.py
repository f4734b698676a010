"""Counting an MP3's frames. The true length is known: the tests encode it themselves."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from toy import music, write_audio

from musiczoo import audio, mp3

SECONDS = 6.0


def encode(path: Path, rate: int = 44100, channels: int | None = None) -> bytes:
    return write_audio(path, music(SECONDS, rate, channels), rate).read_bytes()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Six seconds whose first frame is a Xing or Info header."""
    data = encode(tmp_path_factory.mktemp("mp3") / "whole.mp3")
    assert count_at(data) > 0
    return data


def count_at(data: bytes) -> int:
    """Where the header states the number of frames."""
    return max(data[:200].find(b"Xing"), data[:200].find(b"Info")) + 8


def with_count(data: bytes, count: int) -> bytes:
    at = count_at(data)
    return data[:at] + struct.pack(">I", count) + data[at + 4 :]


def without_header(data: bytes) -> bytes:
    at = count_at(data) - 8
    return data[:at] + b"\0\0\0\0" + data[at + 4 :]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_scan_counts_the_samples_of_every_version_of_mp3(tmp_path: Path, rate: int, channels: int) -> None:
    encode(tmp_path / "a.mp3", rate, channels)
    found = mp3.scan(tmp_path / "a.mp3")
    assert found is not None
    # An encoder adds its delay (1,105 samples in LAME) and fills the last frame: never four frames of 1,152.
    assert 0 <= found.frames - SECONDS * rate < 4 * 1152


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: with_count(data, 20), id="header says too little"),
        pytest.param(lambda data: with_count(data, 0), id="header says nothing"),
        pytest.param(lambda data: with_count(data, 10**9), id="header says far too much"),
        pytest.param(without_header, id="variable bit rate without a header"),
        pytest.param(lambda data: b"ID3\3\0\0\0\0\1\0" + bytes(128) + data, id="behind a tag"),
    ],
)
@pytest.mark.filterwarnings("ignore::musiczoo.TruncatedAudioWarning")
def test_a_wrong_length_in_the_header_loses_and_invents_nothing(
    tmp_path: Path, encoded: bytes, damage: Callable[[bytes], bytes]
) -> None:
    path, whole = tmp_path / "a.mp3", tmp_path / "whole.mp3"
    whole.write_bytes(encoded)
    path.write_bytes(damage(encoded))
    expected, received = audio.read(whole, 44100), audio.read(path, 44100)
    assert abs(len(received) / 44100 - SECONDS) < 0.1
    assert abs(audio.probe(path).duration_s - SECONDS) < 0.1
    # The same sound, but for a shift by the encoder's delay where the header that states it had to go.
    middle = expected[100_000:150_000]
    shifts = range(0, 3 * 1152)
    best = max(shifts, key=lambda shift: float(received[100_000 + shift : 150_000 + shift] @ middle))
    assert np.corrcoef(received[100_000 + best : 150_000 + best], middle)[0, 1] > 0.999


def test_two_files_in_one_are_read_to_the_end(tmp_path: Path, encoded: bytes) -> None:
    path = tmp_path / "joined.mp3"
    path.write_bytes(encoded + encoded)
    assert len(audio.read(path, 44100)) / 44100 == pytest.approx(2 * SECONDS, abs=0.15)
    with soundfile.SoundFile(path) as file:
        assert file.frames / file.samplerate == pytest.approx(SECONDS)  # what libsndfile alone would read


def test_corrected_view_is_the_file_behind_a_new_header(tmp_path: Path, encoded: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(encoded)
    found = mp3.scan(path)
    assert found is not None
    with mp3.Corrected(path, found) as view:
        size = view.seek(0, 2)
        assert size == view.tell()
        view.seek(0)
        content = view.read(size + 1)
        assert len(content) == size
        assert content.endswith(encoded[found.offset :])
        assert struct.pack(">I", found.frames // 1152) in content[: size - len(encoded) + found.offset]
        for start, length in ((0, 10), (size - 5, 99), (50, 2000), (size, 1), (size + 7, 1)):
            view.seek(start)
            assert view.read(length) == content[start : start + length]


@given(st.binary(min_size=1, max_size=3000))
def test_scan_ends_on_any_bytes(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.mp3"
    path.write_bytes(junk)
    found = mp3.scan(path)
    assert found is None or 0 < found.frames <= len(junk) * 1152


@given(st.integers(0, 40_000), st.binary(max_size=64))
def test_scan_ends_on_a_damaged_file(
    tmp_path_factory: pytest.TempPathFactory, encoded: bytes, at: int, junk: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mp3"
    path.write_bytes(encoded[:at] + junk + encoded[at + len(junk) :])
    found = mp3.scan(path)
    assert found is None or found.frames <= (SECONDS + 1) * 44100

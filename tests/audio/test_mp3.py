"""Counting the frames of an MP3. The true length is known, since the tests encode the files."""

import ctypes
import os
import random
import re
import struct
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from toy import music, write_audio

from musiczoo import audio
from musiczoo.audio import io, libsndfile, mp3
from musiczoo.audio.source import AudioWarning
from musiczoo.audio.views import FileView

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
    (found,) = mp3.scan(tmp_path / "a.mp3")
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
    expected, got = audio.read(whole, 44100), audio.read(path, 44100)
    assert abs(len(got) / 44100 - SECONDS) < 0.1
    assert abs(audio.probe(path).duration_s - SECONDS) < 0.1
    # The same sound, but for a shift by the encoder's delay where the header that states it had to go.
    middle = expected[100_000:150_000]
    shifts = range(0, 3 * 1152)
    best = max(shifts, key=lambda shift: float(got[100_000 + shift : 150_000 + shift] @ middle))
    assert np.corrcoef(got[100_000 + best : 150_000 + best], middle)[0, 1] > 0.999


def test_two_files_in_one_are_read_to_the_end(tmp_path: Path, encoded: bytes) -> None:
    path = tmp_path / "joined.mp3"
    path.write_bytes(encoded + encoded)
    assert len(audio.read(path, 44100)) / 44100 == pytest.approx(2 * SECONDS, abs=0.15)
    with soundfile.SoundFile(path) as file:
        assert file.frames / file.samplerate == pytest.approx(SECONDS)  # what libsndfile alone would read


def test_a_view_is_the_frames_behind_a_header_that_counts_them(tmp_path: Path, encoded: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\3\0\0\0\0\1\0" + bytes(128) + with_count(encoded, 7))
    (found,) = mp3.scan(path)
    with FileView(path, mp3.view(path, found, True)) as view:
        content, at = view.read(), count_at(encoded)
    assert content[:at] == encoded[:at]
    assert struct.unpack(">II", content[at : at + 8]) == (found.frames // 1152, len(encoded))
    assert content[at + 8 :] == encoded[at + 8 :]
    with FileView(path, mp3.view(path, found, False)) as view:
        content = view.read()
    assert content.endswith(encoded[len(found.info) :])
    head = content[: len(content) - len(encoded) + len(found.info)]
    assert struct.pack(">4sII", b"Xing", 1, found.frames // 1152) in head


def test_decoding_from_any_frame_gives_the_bits_of_decoding_all(tmp_path: Path) -> None:
    """For each version, number of channels and bit rate, with and without a header that states the length."""
    for rate, channels in ((44100, 2), (44100, 1), (22050, 2), (8000, 1)):
        data = encode(tmp_path / "whole.mp3", rate, channels)
        for number, content in enumerate((data, without_header(data))):
            path = tmp_path / f"{rate}-{channels}-{number}.mp3"
            path.write_bytes(content)
            sound = io.open_sound(path)
            whole = np.concatenate(list(sound.decode(0)))
            for start in (1, 1152, 30_000, 30_001, len(whole) - 3000, len(whole) - 1):
                np.testing.assert_array_equal(np.concatenate(list(sound.decode(start))), whole[start:])


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_stay_in_time_and_print_nothing(
    tmp_path: Path, encoded: bytes, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """mpg123 prints to standard error, which is discarded. What others write meanwhile gets there."""
    data, dice, path = bytearray(encoded), random.Random(seed), tmp_path / "a.mp3"
    for _ in range(30):
        at = dice.randrange(5000, len(data) - 24)
        data[at : at + 24] = dice.randbytes(24)
    path.write_bytes(b"ID3\4\0\0\0\0\1\0TIT2\0\0\xf0\x90\0\0\1" + bytes(117) + data + dice.randbytes(5000))

    def work(start: float) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioWarning)
            length = sum(len(block) for block in audio.blocks(path, 44100, start_s=start))
        os.write(2, b".")
        return length + round(start * 44100)

    with ThreadPoolExecutor(3) as pool:
        lengths = list(pool.map(work, (0.0, 1.0, 2.5, 4.0)))
    if child := os.fork() if hasattr(os, "fork") else 0:
        assert os.waitpid(child, 0)[1] == 0
    elif hasattr(os, "fork"):
        work(0.0)
        os._exit(0)
    assert np.array(lengths) / 44100 == pytest.approx(SECONDS, abs=0.1)
    # gRPC, where a test before this one has loaded it, logs a line at each fork.
    assert re.sub(r"I\d{4} .*fork_posix.*\n", "", capfd.readouterr().err) == "....."


def test_the_c_library_s_standard_error_is_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    with libsndfile.without_c_stderr():
        with libsndfile.without_c_stderr():
            library.perror(b"in")
        library.perror(b"out")
    library.perror(b"after")
    assert capfd.readouterr().err.startswith("after: ")


@given(st.binary(min_size=1, max_size=3000))
def test_scan_ends_on_any_bytes(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.mp3"
    path.write_bytes(junk)
    found = sum(stretch.frames for stretch in mp3.scan(path))
    assert 0 <= found <= len(junk) * 1152


@given(st.integers(0, 40_000), st.binary(max_size=64))
def test_scan_ends_on_a_damaged_file(
    tmp_path_factory: pytest.TempPathFactory, encoded: bytes, at: int, junk: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mp3"
    path.write_bytes(encoded[:at] + junk + encoded[at + len(junk) :])
    assert sum(stretch.frames for stretch in mp3.scan(path)) <= (SECONDS + 1) * 44100

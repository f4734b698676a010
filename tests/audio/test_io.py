"""Opening and decoding audio: formats, names, damage, and the error for each kind of bad input."""

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toy import music, write_audio

from musiczoo import audio
from musiczoo.audio import io
from musiczoo.errors import AudioError, AudioNotFoundError, InputError, MissingDependencyError

FORMATS = ["wav", "flac", "ogg", "mp3", "opus"]


def write_av(path: Path, codec: str, samples: np.ndarray, rate: int, layout: str = "mono") -> Path:
    """Encode samples ``[samples]`` or ``[samples, channels]`` with FFmpeg."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        stream.codec_context.format = "fltp"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        for part in [*av.AudioResampler("fltp", layout, rate).resample(frame), None]:
            container.mux(stream.encode(part))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_give_the_samples_that_were_written(tmp_path: Path, suffix: str, channels: int) -> None:
    written = music(4, 48000, channels)
    path = write_audio(tmp_path / f"a.{suffix}", written, 48000)
    got = np.concatenate(list(io.open_sound(path).decode(0)))
    assert len(got) == len(written)
    expected = written.mean(axis=1)
    if suffix in ("wav", "flac"):
        np.testing.assert_allclose(got, expected, atol=1.01 / 32768)
    assert np.corrcoef(got, expected)[0, 1] > 0.98


@pytest.mark.parametrize(("layout", "channels"), [("stereo", 2), ("5.1", 6), ("7.1", 8)])
def test_ffmpeg_gives_the_mean_of_all_channels(tmp_path: Path, layout: str, channels: int) -> None:
    """With 8 planes, PyAV reads beyond the last: the process died."""
    written = music(2, 44100, channels)
    path = write_av(tmp_path / "a.wv", "wavpack", written, 44100, layout)
    sound = io.open_sound(path)
    assert sound.channels == channels
    np.testing.assert_allclose(np.concatenate(list(sound.decode(0))), written.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_content_decides_and_not_the_name(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", music(1, 48000), 48000)
    for name in ("a.m4a", "a", "ü ♫:%.mp3"):
        other = tmp_path / "renamed" / name
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(path.read_bytes())
        assert io.open_sound(other).frames == 48000


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX only")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        path.write_bytes(write_audio(tmp_path / "a.wav", music(1)).read_bytes())
    except OSError:
        pytest.skip("this file system refuses such names")
    assert len(audio.read(path, 22050)) == 22050


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.aac", "aac"), ("a.wma", "wmav2"), ("a.mkv", "ac3")])
def test_ffmpeg_reads_the_other_formats(tmp_path: Path, name: str, codec: str) -> None:
    written = music(6, 44100)
    path = write_av(tmp_path / name, codec, written, 44100)
    got = audio.read(path, 44100)
    assert len(got) / 44100 == pytest.approx(6, abs=0.15)
    middle, shifts = written[50_000:90_000], range(-4096, 4096)  # codecs add or cut some blocks at the start
    shift = max(shifts, key=lambda i: float(got[50_000 + i : 90_000 + i] @ middle))
    assert np.corrcoef(got[50_000 + shift : 90_000 + shift], middle)[0, 1] > 0.98


@pytest.mark.parametrize("name", ["a.mka", "a.m4a", "a.flv"])
def test_a_title_that_is_not_utf8_does_not_prevent_opening(tmp_path: Path, name: str) -> None:
    """PyAV before 19 raises UnicodeDecodeError unless an option prevents it; PyAV 19 has no such option."""
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / name), "w") as container:
        container.metadata["title"] = "QQQQ"
        stream = container.add_stream("aac", rate=44100, layout="mono")
        if name == "a.mka":
            stream.metadata["title"] = "QQQQ"  # of the stream, beside the file's
        frame = av.AudioFrame.from_ndarray(music(2, 44100).reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    content = (tmp_path / name).read_bytes()
    assert b"QQQQ" in content
    (tmp_path / name).write_bytes(content.replace(b"QQQQ", b"\xe9\xff\xfeQ"))
    assert len(audio.read(tmp_path / name, 44100)) / 44100 == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mkv", "ac3")])
def test_ffmpeg_seeks_to_the_same_samples(tmp_path: Path, name: str, codec: str) -> None:
    sound = io.open_sound(write_av(tmp_path / name, codec, music(8, 44100), 44100))
    whole = np.concatenate(list(sound.decode(0)))
    part = np.concatenate(list(sound.decode(200_000)))
    # After a seek, a decoder needs a moment (`audio` discards CONTEXT_S); Matroska counts in milliseconds.
    middle, shifts = part[10_000:100_000], range(-44, 45)
    likeness = [np.corrcoef(middle, whole[210_000 + i : 300_000 + i])[0, 1] for i in shifts]
    assert max(likeness) > 0.99
    assert name == "a.mkv" or likeness.index(max(likeness)) == shifts.index(0)


def test_other_formats_name_the_extra_where_it_is_missing(tmp_path: Path, no_av: None) -> None:
    by_name, by_content = tmp_path / "a.wma", tmp_path / "renamed.mp3"
    by_name.write_bytes(b"\x30\x26\xb2\x75" * 9)
    by_content.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(64))
    for path in (by_name, by_content):
        with pytest.raises(MissingDependencyError, match=r'pip install "musiczoo\[av\]"'):
            audio.read(path, 22050)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for name in ("absent.mp3", "nul\0byte.mp3", "x" * 5000):
        with pytest.raises(AudioNotFoundError, match="No such file: "):
            audio.read(tmp_path / name, 22050)
    with pytest.raises(AudioError, match="folder"):
        audio.read(tmp_path, 22050)


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device file")
def test_device() -> None:
    with pytest.raises(AudioError, match="device or pipe"):
        audio.read("/dev/null", 22050)


@pytest.mark.parametrize("with_av", [True, False])
def test_what_is_not_audio(tmp_path: Path, request: pytest.FixtureRequest, with_av: bool) -> None:
    if not with_av:
        request.getfixturevalue("no_av")
    contents = {"text.mp3": b"not music\n" * 99, "text.raw": b"not music", "noise.ogg": b"\x81\x07\xe3" * 99}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        expected = "got text" if "text" in name else f"{len(content)} bytes"
        with pytest.raises(AudioError, match=rf"Cannot decode .*{name}': expected WAV.*{expected}"):
            audio.read(tmp_path / name, 22050)


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    """FFmpeg itself would decode the file that a playlist names."""
    av = pytest.importorskip("av")
    write_av(tmp_path / "other.ts", "aac", music(4, 44100), 44100)
    playlists = {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nother.ts\n#EXT-X-ENDLIST\n",
        "a.mp3": "ffconcat version 1.0\nfile other.ts\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        with av.open(str(tmp_path / name)) as followed:
            assert next(followed.decode(audio=0)).samples > 0
        with pytest.raises(AudioError, match="got text"):
            io.open_sound(tmp_path / name)


def test_a_picture_holds_no_audio(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "silent.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(AudioError, match=r"mp4.* file without audio"):
        audio.read(tmp_path / "silent.mp4", 22050)


@pytest.mark.parametrize("suffix", FORMATS)
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").touch()
    with pytest.raises(AudioError, match="file is empty"):
        audio.read(tmp_path / f"a.{suffix}", 22050)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_zero_length_audio(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", np.zeros(0, np.float32))
    with pytest.raises(AudioError):
        audio.read(path, 22050)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "opus", "wav"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_file_is_used_as_far_as_it_decodes(tmp_path: Path, suffix: str, share: float) -> None:
    whole = write_audio(tmp_path / f"whole.{suffix}", music(20, 48000), 48000)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        samples = audio.read(path, 48000)
    assert 0 < len(samples) < 20 * 48000 - 40_000
    np.testing.assert_allclose(samples[:50_000], audio.read(whole, 48000)[:50_000], atol=1e-6)
    truncated = [w for w in caught if w.category is audio.TruncatedAudioWarning]
    assert len(truncated) == (suffix in ("flac", "mp3", "wav"))  # the other formats declare no length


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [1, 40, 200, 700])
@pytest.mark.filterwarnings("ignore::musiczoo.TruncatedAudioWarning")
def test_truncated_headers_decode_or_raise_audio_error(tmp_path: Path, suffix: str, size: int) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", music(5, 48000), 48000)
    path.write_bytes(path.read_bytes()[:size])
    try:
        samples = audio.read(path, 48000)
    except AudioError:
        return
    assert 0 < len(samples) < 4800


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg"])
@pytest.mark.filterwarnings("ignore::musiczoo.TruncatedAudioWarning")
def test_damage_in_the_middle_is_no_traceback(tmp_path: Path, suffix: str, toy: Any) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", music(30, 44100), 44100)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = np.random.default_rng(0).bytes(5000)
    path.write_bytes(data)
    assert 10 < toy.analyze(path).duration_s <= 30
    with suppress(AudioError):
        assert len(toy.analyze(path, excerpts=3).times) == 3


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (2e38, r"\S*e\+38")])
def test_samples_that_are_not_finite(tmp_path: Path, value: float, word: str) -> None:
    """Samples that the resampler would make infinite count, too."""
    samples = music(6)
    samples[2 * 22050 + 1000 :: 500] = value
    path = write_audio(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"finite.* {word} at 2\.045 s"):
        audio.read(path, 16000)


@pytest.mark.parametrize("rate", [8000, 192_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_rates_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    path = write_audio(tmp_path / "a.wav", music(4, rate, channels), rate)
    info = audio.probe(path)
    assert (info.duration_s, info.sample_rate, info.channels) == (4.0, rate, channels)
    assert len(audio.read(path, 22050)) == 4 * 22050


def test_sample_rate_out_of_range(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", music(1), rate=50)
    with pytest.raises(AudioError, match="1000 to 1000000 Hz, got 50"):
        audio.probe(path)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 44100)), r"\[channels, samples\]"),
        (np.zeros((44100, 65)), "up to 64 channels"),
        (np.zeros((44100, 0)), "up to 64 channels"),
        (np.zeros((10, 10, 2)), "shape"),
        (np.float32(1), "shape"),
        (np.zeros(10, np.int32), "int32"),
        (np.zeros(10, np.uint8), "uint8"),
        (np.zeros(10, complex), "complex"),
        (["a", "b"], "got <U1"),
        ([[1.0], [1.0, 2.0]], "array"),
        (b"song.mp3", "got"),
        (None, "object"),
    ],
)
def test_arrays_that_are_not_samples(samples: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        io.open_sound(samples, 44100)


@pytest.mark.parametrize("rate", [None, 0, -1, np.nan, "44100", 10, 1e9])
def test_samples_need_a_sample_rate(rate: Any) -> None:
    with pytest.raises(InputError, match="sample_rate"):
        io.open_sound(np.zeros(10), rate)


def test_a_file_with_a_sample_rate_is_an_error(song: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="Leave it out"):
        io.open_sound(song(), 44100)


def test_int16_is_divided_by_32768() -> None:
    got = io.as_float32(np.array([-32768, 0, 16384], np.int16))
    assert got.dtype == np.float32
    assert got.tolist() == [-1.0, 0.0, 0.5]
    assert io.as_samples([0.25, 0.5]).tolist() == [0.25, 0.5]


def test_channels_are_averaged() -> None:
    sound = io.open_sound(np.array([[0.5, 0.25], [1.0, -1.0]]), 8000)
    assert [block.tolist() for block in sound.decode(0)] == [[0.375, 0.0]]


def test_libsndfile_agrees(song: Callable[..., Path]) -> None:
    path = song("a.flac", seconds=3, channels=2)
    expected, _ = soundfile.read(path)
    np.testing.assert_allclose(audio.read(path, 22050), expected.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg"])
def test_seeking_does_not_change_later_decoding(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", music(20.0, 44100, 2), 44100)
    used = io.open_sound(path)
    settled = 11_025  # a quarter of a second: what `audio.CONTEXT_S` leaves to the decoder
    for start in (700_000, 1, 300_000, 299_999, 800_000, 44_100):
        pair = (used, io.open_sound(path))
        again, anew = (np.concatenate(list(islice(sound.decode(start), 2)))[settled:] for sound in pair)
        assert len(again) > settled
        np.testing.assert_array_equal(again, anew)


def test_files_are_closed_after_decoding(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", music(20.0, 44100), 44100)
    before = set(os.listdir("/proc/self/fd"))
    sound = io.open_sound(path)
    streams = [sound.decode(start) for start in (0, 10, 20, 30)]
    for stream in streams:
        next(stream)
    assert len(set(os.listdir("/proc/self/fd")) - before) == 4
    for stream in streams:
        stream.close()
    list(sound.decode(40))
    del sound, streams, stream
    assert set(os.listdir("/proc/self/fd")) <= before

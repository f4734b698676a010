"""Files found in practice: truncated, damaged, joined, mislabeled, of wrong or unknown length. See `files.make`."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from files import make

import musiczoo
from musiczoo import audio
from musiczoo.audio import ffmpeg, flac, io, ogg, wav
from musiczoo.audio.source import AudioWarning, DamagedAudioWarning, LengthWarning, TruncatedAudioWarning
from musiczoo.errors import AudioError, MissingDependencyError

Made = Callable[[str], Path]


def _decodes_speex() -> bool:
    """Whether the tests of Speex can pass; without av, they are skipped by themselves."""
    try:
        return ffmpeg.decodes_speex()
    except ImportError:
        return True


SPEEX = "intact.speex.ogg"
INTACT = [name for name in make.FILES if name.startswith("intact.") and (name != SPEEX or _decodes_speex())]


@dataclass(frozen=True)
class Framing:
    """Excerpts of 1 s at the rate at which a tune is known."""

    sample_rate: int = make.KNOWN_RATE
    excerpt_samples: int = make.KNOWN_RATE


@dataclass(frozen=True)
class Expected:
    """Expectations for a file: seconds read, of which some may be missing or late; warnings that must, or may, occur.

    Whether 24 bytes of noise lose anything depends on what the version of an encoder put there.
    """

    seconds: float = 20.0
    missing: int = 1
    late_ms: float = 80.0
    said: tuple[type[AudioWarning], ...] = ()
    perhaps: tuple[type[AudioWarning], ...] = ()


WHOLE, TWICE, THRICE = Expected(), Expected(40), Expected(60)
DAMAGED = Expected(missing=2, said=(DamagedAudioWarning,))
ODD = {
    **dict.fromkeys(["vbr.aac", "vbr-loud-first.aac", "pipe.flac", "pipe-cli.flac", "live.webm"], WHOLE),
    **dict.fromkeys(["pipe-zero.wav", "pipe.wav", "pipe-sox.wav", "pipe.au", "radio.ogg", "radio.opus"], WHOLE),
    "short-header.wav": Expected(2, said=(LengthWarning,)),
    "short-header.flac": Expected(said=(LengthWarning,)),
    "cut.wav": Expected(10, said=(TruncatedAudioWarning,)),
    "cut.m4a": Expected(11.9, said=(TruncatedAudioWarning,)),
    **dict.fromkeys(["chained.ogg", "chained-rates.ogg", "joined-rates.mp3", "joined-channels.mp3"], THRICE),
    **dict.fromkeys(["twice.ogg", "chained.opus", "chained-flac.ogg", "chained-codecs.ogg", "joined.mp3"], TWICE),
    **dict.fromkeys(["joined-mono-first.mp3", "joined.flac", "joined.aac"], TWICE),
    **{f"bad-packet.{kind}": DAMAGED for kind in ("m4a", "alac.m4a", "aac", "flac.mka", "wv", "flac", "flac.ogg")},
    **{f"bad-packet.{kind}": WHOLE for kind in ("tta", "mka", "wma", "ac3", "webm", "mp3")},
    **{f"bad-packet.{kind}": Expected(perhaps=(DamagedAudioWarning,)) for kind in ("ts", "cli.wv")},
    **{f"bad-{part}": Expected(missing=4, said=(DamagedAudioWarning,)) for part in ("packet.ogg", "part.ogg")},
    **{f"bad-{part}": Expected(missing=4, said=(DamagedAudioWarning,)) for part in ("packet.opus", "part.opus")},
    **{f"bad-part.{kind}": DAMAGED for kind in ("flac", "flac.ogg", "mp3")},
    "many-bad-packets.mp3": DAMAGED,
    "junk-inside.mp3": DAMAGED,
    **dict.fromkeys(["aac.mp3", "tagged-aac.mp3", "ac3.wav", "gsm.wav", "cut-start.mp3", "broken-tag.mp3"], WHOLE),
    **dict.fromkeys(["tag-too-long.mp3", "tag-half.mp3", "tag-too-short.mp3", "two-tags.mp3"], WHOLE),
    **dict.fromkeys(["dts.wav", "ac3-pcm.wav", "spdif.wav", "mp3-pcm.wav", "mp3-riff.wav"], WHOLE),
}
"""All but one, which is too long to be read."""
TOO_LONG = "wrapped.wav"

OPUS_PRE_SKIP = ("radio.opus", "bad-packet.opus", "bad-part.opus")
"""Where positions do not begin at 0, libsndfile seeks as many samples wrong as an Opus decoder discards at first."""

LOST_START = {"lowest.mp3": 160.0}
"""Encoders that write no header for it delay the sound: at 8 kHz by more than elsewhere, in ms."""


def reads(path: Path) -> tuple[np.ndarray, list[Any]]:
    """Return all samples and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        samples = audio.read(path, make.KNOWN_RATE)
    return samples, caught


def test_no_file_is_left_out() -> None:
    assert {*ODD, *INTACT, TOO_LONG, SPEEX} == set(make.FILES)


def test_speex_is_not_decoded_into_noise(odd_file: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """As old versions of FFmpeg would; the others are tested above."""
    pytest.importorskip("av")
    monkeypatch.setattr(ffmpeg, "decodes_speex", lambda: False)
    with pytest.raises(AudioError, match="pip install -U av"):
        audio.read(odd_file(SPEEX), make.KNOWN_RATE)


@pytest.mark.parametrize("name", INTACT)
def test_intact_files_are_read_to_the_end_without_warnings(
    odd_file: Made, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    path = odd_file(name)
    samples, said = reads(path)
    late = make.offsets(samples, make.FILES[name])
    there = [value for value in late if value is not None]
    assert len(there) >= len(late) - 1
    assert max(map(abs, there)) < LOST_START.get(name.removeprefix("intact."), 60.0) / 1000
    assert np.ptp(there) < 0.002
    assert len(samples) / make.KNOWN_RATE == pytest.approx(20, abs=0.2)
    assert audio.probe(path).duration_s == pytest.approx(20, abs=0.2)
    assert not said
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_in_time_with_warnings(odd_file: Made, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Each second is at its time, compared with the samples that were encoded."""
    pytest.importorskip("av")
    path, expected = odd_file(name), ODD[name]
    samples, said = reads(path)
    late = make.offsets(samples, make.FILES[name])[: int(expected.seconds)]
    there = [value for value in late if value is not None]
    assert len(there) >= len(late) - expected.missing
    assert max(map(abs, there)) < expected.late_ms / 1000
    assert len(samples) / make.KNOWN_RATE == pytest.approx(expected.seconds, abs=0.2)
    assert {warning.category for warning in said} - {*expected.perhaps} == {*expected.said}
    assert all(str(path) in str(warning.message) for warning in said)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        duration_s = audio.probe(path).duration_s
    assert TruncatedAudioWarning in expected.said or duration_s == pytest.approx(expected.seconds, abs=0.2)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", [*INTACT, *ODD])
def test_excerpts_that_are_sought_are_those_of_the_stream(odd_file: Made, name: str) -> None:
    """To the millisecond, in every format. In damaged files, some are replaced by others nearby."""
    pytest.importorskip("av")
    path = odd_file(name)
    stream, _ = reads(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        cut = audio.excerpts(path, Framing(), count=7)
        pairs = list(cut)
    assert len(pairs) == min(7, len(stream) // make.KNOWN_RATE)
    late = [make.offset_of(samples, stream, round(start * make.KNOWN_RATE), 4800) for start, samples in pairs]
    reach = 0.007 if name in OPUS_PRE_SKIP else 0.002
    near = [value for value in late if value is not None and abs(value) <= reach]
    assert len(near) >= len(pairs) - (0 if name in INTACT else 2)
    assert all(np.isfinite(samples).all() and samples.any() for _, samples in pairs)


def test_a_wav_above_4_gb_is_read_beyond_where_its_size_starts_again(odd_file: Made) -> None:
    path = odd_file(TOO_LONG)
    seconds = (2**32 + len(make.pcm())) / 4 / 44100
    assert audio.probe(path).duration_s == pytest.approx(seconds)
    end = np.concatenate(list(audio.blocks(path, make.KNOWN_RATE, start_s=seconds - make.SECONDS)))
    assert make.offset_of(make.known(1)[8000:16000], end, 8000, 100) == pytest.approx(0, abs=0.001)
    begin = next(audio.blocks(path, make.KNOWN_RATE))
    assert make.offset_of(make.known(0)[:2000], begin, 0, 100) == pytest.approx(0, abs=0.001)


NEEDS_AV = {
    **dict.fromkeys(["aac.mp3", "tagged-aac.mp3", "intact.aac"], "AAC"), "dts.wav": "DTS", "ac3-pcm.wav": "AC-3",
    "spdif.wav": "S/PDIF", "mp3-pcm.wav": "MP3", "intact.flac.ogg": "FLAC in Ogg", "intact.speex.ogg": "Speex",
    "ac3.wav": "AC-3", "intact.aac.m4a": "MP4", "intact.wma": "WMA", "intact.wv": "WavPack",
}  # fmt: skip


@pytest.mark.parametrize("name", NEEDS_AV)
def test_the_extra_is_named_where_it_would_help(odd_file: Made, name: str, no_av: None) -> None:
    with pytest.raises(
        MissingDependencyError, match=rf'{NEEDS_AV[name]}.* needs the package av.*pip install "musiczoo\[av\]"'
    ):
        audio.read(odd_file(name), make.KNOWN_RATE)


@pytest.mark.parametrize(
    "name",
    [
        *("pipe.flac", "pipe-zero.wav", "chained-rates.ogg", "chained-codecs.ogg", "joined-rates.mp3", "joined.flac"),
        *("bad-packet.flac", "bad-part.mp3", "bad-part.ogg", "bad-part.opus", "gsm.wav", "tag-half.mp3"),
    ],
)
def test_what_libsndfile_can_read_takes_no_extra(odd_file: Made, name: str, no_av: None) -> None:
    samples, _ = reads(odd_file(name))
    late = make.offsets(samples, make.FILES[name])
    assert sum(value is not None for value in late) >= len(late) - ODD[name].missing


@pytest.mark.parametrize("name", ["bad-part.flac", "bad-part.mp3", "bad-part.ogg", "bad-packet.m4a", "bad-packet.wv"])
def test_excerpts_and_warnings_do_not_depend_on_the_order(odd_file: Made, name: str) -> None:
    pytest.importorskip("av")
    results = []
    for threads in (1, 4):
        cut = audio.excerpts(odd_file(name), Framing(), count=19)
        unread = list(cut.unread())
        with ThreadPoolExecutor(threads) as pool:
            samples = list(pool.map(lambda pair: pair[1](), reversed(unread) if threads > 1 else unread))
        results.append((samples if threads == 1 else samples[::-1], list(map(str, cut.warnings))))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_track_keeps_the_warnings(odd_file: Made, toy: musiczoo.Model) -> None:
    with pytest.warns(DamagedAudioWarning, match="missing or damaged, at 1.58 s"):
        track = toy.analyze(odd_file("bad-part.flac"))
    assert track.duration_s == pytest.approx(20, abs=0.01)
    assert any("silence takes their place" in text for text in track.warnings)


def test_damage_without_intact_excerpts_nearby_is_an_error(tmp_path: Path) -> None:
    """A FLAC that is damaged almost everywhere. It is mono at 8 kHz: libFLAC seeks slowly in noise."""
    soundfile.write(tmp_path / "a.flac", make.tune(make.KNOWN_RATE, 1), make.KNOWN_RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[len(data) // 10 : len(data) * 95 // 100] = make.noise(len(data) * 95 // 100 - len(data) // 10)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(AudioError, match=r"Cannot decode .*nor nearby: the data are damaged\. Use excerpts=None"):
        list(audio.excerpts(tmp_path / "a.flac", Framing(), count=19))


def test_positions_that_claim_days_of_silence_are_ignored(tmp_path: Path, odd_file: Made) -> None:
    data = odd_file("bad-packet.ogg").read_bytes()
    changed = bytearray(data)
    for at, size in [(at, size) for at, size in all_pages(data) if at > len(data) // 3]:
        changed[at + 6 : at + 14] = (10**14 + at).to_bytes(8, "little")
        make.seal(changed, at, size)
    (tmp_path / "a.ogg").write_bytes(changed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        assert len(audio.read(tmp_path / "a.ogg", make.KNOWN_RATE)) < 25 * make.KNOWN_RATE


def all_pages(data: bytes) -> list[tuple[int, int]]:
    """Pages of an Ogg file with damaged ones."""
    return [
        (at, 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]]))
        for at in range(len(data) - 300)
        if data[at : at + 5] == b"OggS\0"
    ]


@pytest.mark.parametrize("name", [name for name in INTACT if name.endswith((".ogg", ".oga", ".opus", ".flac"))])
def test_intact_streams_need_no_repair(odd_file: Made, name: str) -> None:
    assert ogg.streams(odd_file(name)) == []
    assert ogg.runs(odd_file(name)) == []
    if name.endswith(".flac"):
        assert flac.streams(odd_file(name)) == []
        assert not flac.is_longer_than_stated(odd_file(name))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(b"LIST\4\0\0\0INFO", id="a chunk"),
        pytest.param(b"\0" * 300_000, id="zeros"),
        pytest.param(b"TAG" + bytes(125), id="an ID3v1 tag"),
        pytest.param(b"id3 " + (1 << 20).to_bytes(4, "little") + make.noise(1 << 20), id="a large chunk"),
    ],
)
def test_what_may_follow_the_sound_of_a_wav(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_with(make.pcm()) + after)
    samples, said = reads(path)
    assert (len(samples), said) == (20 * make.KNOWN_RATE, [])
    found = wav.scan(path)
    assert found is not None
    assert (found.size, found.extra, found.codec()) == (len(make.pcm()), 0, None)


def test_pcm_is_not_taken_for_another_codec(tmp_path: Path) -> None:
    """Even if it contains the start of another codec's frame once."""
    for mark in (b"\x7f\xfe\x80\x01", b"\x0b\x77\x12\x34\x18", b"\xff\xfb\x90\x64", b"\x72\xf8\x1f\x4e"):
        (tmp_path / "a.wav").write_bytes(make.wav_with(mark.ljust(8, b"\0") + make.pcm()))
        found = io.open_sound(tmp_path / "a.wav")
        assert found.frames == 20 * 44100 + 2

"""What files say of themselves, in each of the ways that formats have."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import music, write_audio

from musiczoo.library import metadata
from musiczoo.library.metadata import Metadata

mutagen = pytest.importorskip("mutagen")

SAID = {"title": "Größe", "artist": "Anna; Böhm", "album": "First", "genre": "Jazz", "date": "1987-05-01"}
EXPECTED = Metadata("Größe", "Anna; Böhm", "First", "Jazz", 1987, artists=("Anna", "Böhm"))


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".opus", ".mp3"])
def test_easy_tags(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"a{suffix}", music(0.2, 24000), 24000)
    assert metadata.read(str(path)) == Metadata()
    file = mutagen.File(path, easy=True)
    if file.tags is None:
        file.add_tags()
    for name, value in SAID.items():
        file[name] = value.split("; ")
    file.save()
    assert metadata.read(str(path)) == EXPECTED


@pytest.mark.parametrize("suffix", [".wav", ".aiff"])
def test_id3_frames_in_chunks(tmp_path: Path, suffix: str) -> None:
    from mutagen import id3

    path = write_audio(tmp_path / f"a{suffix}", music(0.2))
    file = mutagen.File(path)
    file.add_tags()
    frames = {"title": id3.TIT2, "artist": id3.TPE1, "album": id3.TALB, "date": id3.TDRC}
    for name, frame in frames.items():
        file.tags.add(frame(encoding=3, text=SAID[name].split("; ")))
    file.tags.add(id3.TCON(encoding=3, text=["(8)"]))  # ID3v1's number of Jazz
    file.save()
    assert metadata.read(str(path)) == EXPECTED


def test_m4a(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=22050)
        frame = av.AudioFrame.from_ndarray(music(0.2)[None], format="fltp", layout="mono")
        frame.rate = 22050
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    file = mutagen.File(tmp_path / "a.m4a", easy=True)
    for name, value in SAID.items():
        file[name] = value.split("; ")
    file.save()
    assert metadata.read(str(tmp_path / "a.m4a")) == EXPECTED


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("1987", 1987),
        ("12.05.1987", 1987),
        ("1987/88", 1987),
        ("87", None),
        ("", None),
        ("198", None),
        ("19870501", 1987),
        ("19875", None),
    ],
)
def test_year_is_four_digits(tmp_path: Path, date: str, year: int | None) -> None:
    path = write_audio(tmp_path / "a.flac", music(0.2))
    file = mutagen.File(path)
    file["date"] = date
    file.save()
    assert metadata.read(str(path)).year == year


def test_blank_fields_are_none(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", music(0.2))
    file = mutagen.File(path)
    file["title"], file["artist"] = "  ", ["", "Anna"]
    file.save()
    assert metadata.read(str(path)) == Metadata(artist="Anna")


@given(
    st.sampled_from(
        [b"ID3\x04\x00\x00", b"fLaC", b"OggS\x00\x02", b"RIFF", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"APETAGEX", b""]
    ),
    st.binary(max_size=300),
)
def test_no_file_is_too_broken(tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes) -> None:
    for suffix in (".mp3", ".flac", ".wav"):
        path = tmp_path_factory.getbasetemp() / f"broken{suffix}"
        path.write_bytes(start + rest)
        assert isinstance(metadata.read(str(path)), Metadata)


def test_cut_files_have_what_is_left_of_it(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.ogg", music(0.5, 24000), 24000)
    file = mutagen.File(path)
    file["title"] = "x" * 300
    file.save()
    data = path.read_bytes()
    for end in range(0, len(data), 97):
        path.write_bytes(data[:end])
        assert metadata.read(str(path)).title in (None, "x" * 300)


def test_file_that_is_gone_has_none(tmp_path: Path) -> None:
    assert metadata.read(str(tmp_path / "gone.mp3")) == Metadata()


def test_without_mutagen_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "a.flac", music(0.2))
    assert metadata.available()
    monkeypatch.setitem(sys.modules, "mutagen", None)
    assert not metadata.available()
    assert metadata.read(str(path)) == Metadata()

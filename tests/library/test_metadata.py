"""Metadata of files, in each of the ways that formats have."""

import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import missing
from toy import music, write_audio

from musiczoo.library import metadata
from musiczoo.library.metadata import Metadata

mutagen = pytest.importorskip("mutagen")

THIS_YEAR = datetime.now().year

SAID = {"title": "Größe", "artist": "Anna; Böhm", "album": "First", "genre": "Jazz", "date": "1987-05-01"}
EXPECTED = Metadata("Größe", "Anna; Böhm", "First", "Jazz", 1987, artists=("Anna", "Böhm"))


def ffmpeg(path: Path, *options: str) -> Path:
    """A second of a tone, without metadata but those in the options."""
    if not shutil.which("ffmpeg"):
        missing("ffmpeg")
    tone = ("-f", "lavfi", "-i", "sine=duration=1", "-bitexact", "-map_metadata", "-1")
    codec = {".flv": ("-c:a", "libmp3lame", "-ar", "44100")}.get(path.suffix, ())
    command = ["ffmpeg", "-v", "error", "-y", *tone, *options, *codec, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


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
        ("2001-05-03", 2001),
        ("2001-05-03T10:20:30Z", 2001),
        ("03.05.2001", 2001),
        ("5/3/2001", 2001),
        ("May 2001", 2001),
        ("3rd of May, 2001", 2001),
        ("2001/05", 2001),
        ("2001.5.3", 2001),
        ("03052001", 2001),
        ("20010503102030", 2001),
        ("(c) 0203, 1999", 1999),
        ("2001年5月", 2001),
        ("0000", None),
        ("0000-00-00", None),
        ("0999", None),
        ("1000", 1000),
        ("9999", None),
        (str(THIS_YEAR + 1), THIS_YEAR + 1),
        (str(THIS_YEAR + 2), None),
        ("1" * 100_000, None),
    ],
)
def test_years_of_dates(tmp_path: Path, date: str, year: int | None) -> None:
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


@pytest.mark.parametrize("suffix", [".flac", ".opus", ".mp3", ".m4a", ".wv"])
def test_several_artists_and_the_albums(tmp_path: Path, suffix: str) -> None:
    """As taggers write them: the artist shown, the list of artists, and the album artist."""
    path = tmp_path / f"a{suffix}"
    made = ffmpeg(path)
    file = mutagen.File(made)
    if file.tags is None:
        file.add_tags()
    if suffix == ".mp3":
        from mutagen import id3

        file.tags.add(id3.TPE1(text=["Anna feat. Böhm"]))
        file.tags.add(id3.TPE2(text=["Various"]))
        file.tags.add(id3.TXXX(desc="Artists", text=["Anna", "Böhm"]))
    elif suffix == ".m4a":
        file["\xa9ART"], file["aART"] = ["Anna feat. Böhm"], ["Various"]
        file["----:com.apple.iTunes:ARTISTS"] = [b"Anna", "Böhm".encode()]
    else:
        file["artist"], file["artists"] = ["Anna feat. Böhm"], ["Anna", "Böhm"]
        file["Album Artist" if suffix == ".wv" else "albumartist"] = ["Various"]
    file.save()
    expected = Metadata(artist="Anna feat. Böhm", album_artist="Various", artists=("Anna", "Böhm"))
    assert metadata.read(str(path)) == expected


def test_one_artist_is_not_several(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", music(0.2))
    file = mutagen.File(path)
    file["artist"] = file["artists"] = "AC/DC, Live & Loud"
    file.save()
    assert metadata.read(str(path)) == Metadata(artist="AC/DC, Live & Loud")


@pytest.mark.parametrize("ending", ["wav", "mka", "webm", "flv", "caf", "au"])
def test_what_mutagen_does_not_read(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    said = {"title": "Größe", "artist": "Anna; Böhm", "album": "First", "genre": "Jazz", "date": "1987-05-01"}
    path = ffmpeg(tmp_path / f"a.{ending}", *(part for k, v in said.items() for part in ("-metadata", f"{k}={v}")))
    # FFmpeg writes no dates into au, and nothing but a title and an artist's name is sure to survive.
    found = metadata.read(str(path))
    assert (found.title, found.artist) == ("Größe", "Anna; Böhm")
    assert found.artists == ("Anna", "Böhm")
    if ending != "au":
        assert (found.album, found.genre, found.year) == ("First", "Jazz", 1987)
    monkeypatch.setitem(sys.modules, "av", None)
    assert metadata.read(str(path)) in (Metadata(), found)


def test_an_id3_chunk_of_a_wav_goes_before_its_list(tmp_path: Path) -> None:
    from mutagen import id3, wave

    path = ffmpeg(tmp_path / "a.wav", "-metadata", "title=Of the list")
    file = wave.WAVE(path)
    file.add_tags()
    file.tags.add(id3.TIT2(text=["Of the chunk"]))
    file.save()
    assert metadata.read(str(path)).title == "Of the chunk"


@given(
    st.sampled_from(
        [b"ID3\x04\x00\x00", b"fLaC", b"OggS\x00\x02", b"RIFF", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"APETAGEX", b""]
    ),
    st.binary(max_size=300),
)
def test_broken_files_have_no_metadata(tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes) -> None:
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


RECORDING, RELEASE, ANNA, BOEHM = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "abcd")
IDS = {
    "MusicBrainz Album Id": [RELEASE],
    "MusicBrainz Artist Id": [ANNA, BOEHM],
    "MusicBrainz Album Artist Id": [ANNA],
}
"""Name of a field in ID3 and MP4 -> what MusicBrainz Picard writes into it."""


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".m4a", ".wma", ".wv"])
def test_musicbrainz_ids_isrcs_and_track_numbers(tmp_path: Path, suffix: str) -> None:
    """The fields of Picard's mapping, in each kind of tags."""
    made = ffmpeg(tmp_path / f"a{suffix}")
    file = mutagen.File(made)
    if file.tags is None:
        file.add_tags()
    if suffix == ".mp3":
        from mutagen import id3

        file.tags.add(id3.UFID(owner="http://musicbrainz.org", data=RECORDING.encode()))
        for name, values in IDS.items():
            file.tags.add(id3.TXXX(desc=name, text=values))
        file.tags.add(id3.TSRC(text=["DE-A12-34-56789"]))
        file.tags.add(id3.TRCK(text=["7/12"]))
    elif suffix == ".m4a":
        atoms = {**IDS, "MusicBrainz Track Id": [RECORDING], "ISRC": ["DEA123456789"]}
        for name, values in atoms.items():
            file[f"----:com.apple.iTunes:{name}"] = [value.encode() for value in values]
        file["trkn"] = [(7, 12)]
    elif suffix == ".wma":
        for name, values in {**IDS, "MusicBrainz Track Id": [RECORDING]}.items():
            file[name.replace(" ", "/", 1)] = values
        file["WM/ISRC"], file["WM/TrackNumber"] = ["DEA123456789"], [7]
    else:
        for name, values in {**IDS, "MusicBrainz Track Id": [RECORDING]}.items():
            prefix, *words = name.lower().split()
            file[f"{prefix}_{''.join(words)}"] = values
        file["isrc"] = ["dea123456789"]
        file["track" if suffix == ".wv" else "tracknumber"] = ["07/12"]
    file.save()
    assert metadata.read(str(made)) == Metadata(
        track_number=7,
        recording_mbid=RECORDING,
        release_mbid=RELEASE,
        artist_mbids=(ANNA, BOEHM),
        album_artist_mbids=(ANNA,),
        isrcs=("DEA123456789",),
    )


def test_what_is_no_id_is_ignored(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", music(0.2))
    file = mutagen.File(path)
    file["musicbrainz_trackid"] = ["12345", RECORDING.upper(), RELEASE]
    file["musicbrainz_artistid"] = [f"{ANNA}; {BOEHM}", ANNA, "Anna"]
    file["isrc"] = ["DEA12345678", "US-RC1-76-07839/gbaye0601498", "none"]
    file["tracknumber"] = ["A1"]
    file.save()
    expected = Metadata(recording_mbid=RECORDING, artist_mbids=(ANNA, BOEHM), isrcs=("USRC17607839", "GBAYE0601498"))
    assert metadata.read(str(path)) == expected


@pytest.mark.parametrize(
    ("said", "number"), [("3", 3), ("03/12", 3), ("0", None), ("3A", 3), ("", None), ("1" * 9, None)]
)
def test_track_numbers(tmp_path: Path, said: str, number: int | None) -> None:
    path = write_audio(tmp_path / "a.flac", music(0.2))
    file = mutagen.File(path)
    file["tracknumber"] = said
    file.save()
    assert metadata.read(str(path)).track_number == number


@given(st.text(), st.text())
def test_ids_of_any_text(one: str, two: str) -> None:
    assert all(len(mbid) == 36 and mbid == mbid.lower() for mbid in metadata.mbids_of([one, two]))
    assert metadata.mbids_of([one, RECORDING, f"{two} {RECORDING}"]).count(RECORDING) == 1
    assert all(len(isrc) == 12 for isrc in metadata.isrcs_of([one, two]))

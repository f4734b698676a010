"""Our fields in files: there, gone again, and nothing else different."""

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("mutagen")
pytest.importorskip("av")

import mutagen
from mutagen import apev2, asf, id3, mp4, wave
from tagged import KINDS, TITLE, TRACK, WRITTEN, decoded, fields, make, others, track, without_ours

from musiczoo import file_tags
from musiczoo.errors import AudioError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tagged", [False, True], ids=["bare", "tagged"])
def test_written_and_removed_nothing_else_changes(tmp_path: Path, kind: str, tagged: bool) -> None:
    path = make(tmp_path, kind)
    if tagged:
        others(path)
    before, samples = fields(path), decoded(path)
    assert len(samples) > 40_000
    assert file_tags.read(path) == {}
    assert file_tags.write(path, TRACK)
    assert file_tags.read(path) == WRITTEN
    assert without_ours(fields(path)) == before
    assert len(fields(path)) == len(before) + 4
    assert decoded(path) == samples
    assert file_tags.remove(path)
    assert fields(path) == before
    assert decoded(path) == samples
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("kind", "key"),
    [("mp3", "TXXX:MUSICZOO_TAGS"), ("wav", "TXXX:MUSICZOO_TAGS"), ("ogg", "musiczoo_tags"), ("flac", "musiczoo_tags"),
     ("m4a", "----:org.musiczoo:TAGS"), ("wma", "MUSICZOO_TAGS"), ("wv", "MUSICZOO_TAGS")],
)  # fmt: skip
def test_fields_bear_the_names_that_others_see(tmp_path: Path, kind: str, key: str) -> None:
    path = make(tmp_path, kind)
    file_tags.write(path, TRACK)
    value = mutagen.File(path).tags[key]
    texts = [bytes(v).decode() if isinstance(v, mp4.MP4FreeForm) else str(v) for v in value]
    assert texts == ["jazz", "guitar"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_time_touches_nothing(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind)
    assert not file_tags.remove(path)
    file_tags.write(path, TRACK)
    content, status = path.read_bytes(), path.stat()
    assert not file_tags.write(path, TRACK)
    assert path.read_bytes() == content
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


@pytest.mark.parametrize("kind", KINDS)
def test_tags_of_another_model_replace_the_earlier_ones(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind)
    file_tags.write(path, TRACK)
    newer = track(sad=0.8)
    newer = dataclasses.replace(newer, space_id="toy-2")
    assert file_tags.write(path, newer)
    found = {"MUSICZOO_TAGS": ["sad"], "MUSICZOO_PROBABILITIES": ["0.800"], "MUSICZOO_MODEL": ["toy 1"]}
    assert file_tags.read(path) == found | {"MUSICZOO_SPACE": ["toy-2"]}
    silent = track()
    assert file_tags.write(path, silent)
    assert set(file_tags.read(path)) == {"MUSICZOO_MODEL", "MUSICZOO_SPACE"}


def old_tags() -> id3.ID3:
    """ID3v2.3 as older programs write it: a year, a date, several artists in one text, a private frame."""
    tags = id3.ID3()
    tags.version = (2, 3, 0)
    for frame in (
        id3.TIT2(encoding=1, text=TITLE),
        id3.TYER(encoding=0, text="1997"),
        id3.TDAT(encoding=0, text="3112"),
        id3.TPE1(encoding=1, text="AC/DC"),
        id3.IPLS(encoding=1, people=[["producer", "A"]]),
        id3.PRIV(owner="somebody", data=b"\0\1\2"),
        id3.COMM(encoding=1, lang="eng", desc="", text="a comment"),
    ):
        tags.add(frame)
    return tags


def test_id3_keeps_its_version_and_the_tag_of_version_one(tmp_path: Path) -> None:
    path = make(tmp_path, "mp3")
    old_tags().save(path, v1=0, v2_version=3)
    ancient = b"TAG" + b"An odd \xe9 title that stays".ljust(30, b" ") + b"x" * 95
    path.write_bytes(path.read_bytes() + ancient)
    before = id3.ID3(path, translate=False, load_v1=False)
    frames = dict(before)
    assert {"TYER", "TDAT", "TPE1", "IPLS", "PRIV:somebody:\0\1\2"} <= set(frames)
    file_tags.write(path, TRACK)
    after = id3.ID3(path, translate=False, load_v1=False)
    assert after.version == (2, 3, 0)
    assert {key: frame for key, frame in after.items() if "MUSICZOO" not in key} == frames
    assert after["TXXX:MUSICZOO_TAGS"].text == ["jazz", "guitar"]
    assert after["TXXX:MUSICZOO_TAGS"].encoding == 1
    assert path.read_bytes().endswith(ancient)
    file_tags.remove(path)
    assert dict(id3.ID3(path, translate=False, load_v1=False)) == frames
    assert path.read_bytes().endswith(ancient)


def test_unknown_frames_stay(tmp_path: Path) -> None:
    path = make(tmp_path, "mp3")
    unknown = b"XYZQ" + (12).to_bytes(4, "big") + b"\0\0" + b"of whatever."
    content = path.read_bytes()
    assert not content.startswith(b"ID3")
    header = b"ID3\3\0\0" + bytes([0, 0, 0, len(unknown)])
    path.write_bytes(header + unknown + content)
    file_tags.write(path, TRACK)
    assert unknown in path.read_bytes()
    file_tags.remove(path)
    assert unknown in path.read_bytes()


def test_a_bare_mp3_or_wav_is_itself_again_to_the_byte(tmp_path: Path) -> None:
    for kind in ("mp3", "wav"):
        path = make(tmp_path, kind)
        content = path.read_bytes()
        file_tags.write(path, TRACK)
        file_tags.remove(path)
        assert path.read_bytes() == content


def test_id3_before_three_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "mp3")
    frame = b"TT2" + (6).to_bytes(3, "big") + b"\0title"
    content = b"ID3\2\0\0" + bytes([0, 0, 0, len(frame)]) + frame + path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"2\.2"):
        file_tags.write(path, TRACK)
    assert path.read_bytes() == content


def test_kinds_are_what_they_seem(tmp_path: Path) -> None:
    """The test files carry the kinds of tags that they stand for."""
    kinds = {"mp3": id3.ID3, "wav": wave._WaveID3, "wma": asf.ASFTags, "m4a": mp4.MP4Tags, "wv": apev2.APEv2}
    for kind, expected in kinds.items():
        path = make(tmp_path, kind)
        file_tags.write(path, TRACK)
        assert type(mutagen.File(path).tags) is expected

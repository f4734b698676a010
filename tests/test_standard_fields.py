"""Words in the standard fields MOOD and GENRE: named as Picard names them, and the old values back afterwards."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("mutagen")
pytest.importorskip("av")

import mutagen
from mutagen import apev2, asf, flac, id3, mp4
from tagged import KINDS, TRACK, WRITTEN, decoded, fields, make, others

from musiczoo import file_tags, tag_map
from musiczoo.errors import AudioError, InputError, UnknownNameError

WORDS = {"mood": ["Happy", "Fröhlich ♪"], "genre": ["R&B", "Hip-Hop"]}


def raw(path: Path) -> object:
    """All fields with what the container stores of them: types, encodings and order, as mutagen parses it."""
    song = mutagen.File(path)
    tags = song.tags
    if tags is None:
        return None
    if isinstance(tags, id3.ID3):
        plain = id3.ID3(path, translate=False, load_v1=False) if path.suffix == ".mp3" else tags
        return plain.version, {key: repr(frame) for key, frame in plain.items()}
    if isinstance(tags, mp4.MP4Tags):
        return {key: repr(value) for key, value in tags.items()}
    if isinstance(tags, apev2.APEv2):
        return {key: repr(tags[key]) for key in tags.keys()}  # noqa: SIM118
    pairs = [(key, repr(value)) for key, value in list.__iter__(tags)]
    if isinstance(tags, asf.ASFTags):  # mutagen saves second values of a name behind all others
        pairs.sort(key=lambda pair: pair[0])
    return pairs, [picture.data for picture in song.pictures] if isinstance(song, flac.FLAC) else []


def old_fields(path: Path) -> None:
    """Mood and genre as others write them, beside their other fields: several, in their own case and encoding."""
    others(path)
    song = mutagen.File(path)
    if isinstance(song.tags, id3.ID3):
        song.tags.delall("TCON")
        song.tags.add(id3.TCON(encoding=0, text=["(8)", "Sm\xf6rg\xe5sbord"]))
        song.tags.add(id3.TXXX(encoding=2, desc="Mood", text=["wistful", ""]))
    elif isinstance(song.tags, mp4.MP4Tags):
        song.tags["----:com.apple.iTunes:mood"] = [mp4.MP4FreeForm(b"wistful", mp4.AtomDataType.IMPLICIT, 1)]
    elif isinstance(song.tags, apev2.APEv2):
        song.tags["MOOD"] = apev2.APEValue("http://moods", apev2.EXTERNAL)
        song.tags["genre"] = ["Jazz", "Blues; Rock"]
    elif isinstance(song.tags, asf.ASFTags):
        song.tags["WM/Genre"] = [asf.ASFUnicodeAttribute("Jazz"), asf.ASFDWordAttribute(8)]
        song.tags["WM/MOOD"] = [asf.ASFUnicodeAttribute("wistful")]
    else:
        song.tags.insert(0, ("Mood", "wistful, and more"))
        song.tags.append(("ENCODER", "mine"))
    song.save()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prepare", [None, others, old_fields], ids=["bare", "tagged", "odd"])
def test_words_are_written_and_the_old_values_come_back(tmp_path: Path, kind: str, prepare: object) -> None:
    path = make(tmp_path, kind)
    if callable(prepare):
        prepare(path)
    before, stored, samples = fields(path), raw(path), decoded(path)
    words = file_tags.read_words(path)
    assert file_tags.write(path, TRACK, WORDS)
    assert file_tags.read_words(path) == WORDS
    assert file_tags.read(path) == WRITTEN
    ours = ("MOOD", "GENRE", "TMOO", "TCON", "GEN", "MUSICZOO_", "ORG.MUSICZOO")
    kept = {key: value for key, value in before.items() if not any(word in key.upper() for word in ours)}
    assert {key: value for key, value in fields(path).items() if key in kept} == kept
    assert decoded(path) == samples
    assert not file_tags.write(path, TRACK, WORDS)
    assert file_tags.remove(path)
    assert file_tags.read_words(path) == words
    assert fields(path) == before
    assert raw(path) == stored
    assert decoded(path) == samples
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def id3_texts(path: Path, key: str) -> tuple[int, list[str]]:
    frame = mutagen.File(path).tags[key]
    return int(frame.encoding), frame.text


def test_names_and_several_values_are_the_containers(tmp_path: Path) -> None:
    """The table of Picard's mapping, read with mutagen alone."""
    paths = {kind: make(tmp_path, kind) for kind in KINDS}
    for path in paths.values():
        file_tags.write(path, words=WORDS)
    for kind in ("mp3", "wav", "aiff"):
        assert mutagen.File(paths[kind]).tags.version == (2, 4, 0)
        assert id3_texts(paths[kind], "TMOO") == (3, WORDS["mood"])
        assert id3_texts(paths[kind], "TCON") == (3, WORDS["genre"])
    assert b"Happy\0Fr\xc3\xb6hlich" in paths["mp3"].read_bytes()
    for kind in ("flac", "ogg", "opus"):
        pairs = list(list.__iter__(mutagen.File(paths[kind]).tags))
        assert [value for key, value in pairs if key == "MOOD"] == WORDS["mood"]
        assert [value for key, value in pairs if key == "GENRE"] == WORDS["genre"]
    m4a = mutagen.File(paths["m4a"]).tags
    assert m4a["\xa9gen"] == WORDS["genre"]
    mood = m4a["----:com.apple.iTunes:MOOD"]
    assert [(bytes(value).decode(), value.dataformat) for value in mood] == [(w, 1) for w in WORDS["mood"]]
    wv = mutagen.File(paths["wv"]).tags
    assert (wv["Mood"].value, wv["Genre"].value) == ("\0".join(WORDS["mood"]), "\0".join(WORDS["genre"]))
    wma = mutagen.File(paths["wma"]).tags
    assert [str(value) for value in wma["WM/Mood"]] == WORDS["mood"]
    assert [str(value) for value in wma["WM/Genre"]] == WORDS["genre"]


@pytest.mark.parametrize("kind", KINDS)
def test_others_read_the_genres(tmp_path: Path, kind: str) -> None:
    mediafile = pytest.importorskip("mediafile", reason="beets brings it")
    path = make(tmp_path, kind)
    file_tags.write(path, words=WORDS)
    assert mediafile.MediaFile(path).genres == WORDS["genre"]


def old_id3(path: Path) -> None:
    tags = id3.ID3()
    tags.version = (2, 3, 0)
    for frame in (
        id3.TIT2(encoding=1, text="Title"),
        id3.TYER(encoding=0, text="1997"),
        id3.TCON(encoding=0, text="Rock/Pop"),
        id3.TXXX(encoding=1, desc="MOOD", text="wistful"),
    ):
        tags.add(frame)
    tags.save(path, v1=0, v2_version=3)


def test_id3_of_version_three_stays_one_and_has_one_text(tmp_path: Path) -> None:
    """TMOO exists only in version 2.4, and version 2.3 divides values by strokes."""
    path = make(tmp_path, "mp3")
    old_id3(path)
    stored = raw(path)
    file_tags.write(path, words=WORDS)
    tags = id3.ID3(path, translate=False, load_v1=False)
    assert tags.version == (2, 3, 0)
    assert "TMOO" not in tags
    assert [(frame.desc, frame.encoding, frame.text) for frame in tags.getall("TXXX") if "MUSIC" not in frame.desc] == [
        ("mood", 1, ["Happy/Fröhlich ♪"])
    ]
    assert (tags["TCON"].encoding, tags["TCON"].text) == (1, ["R&B/Hip-Hop"])
    assert tags["TYER"].text == ["1997"]
    assert file_tags.read_words(path) == WORDS
    assert file_tags.remove(path)
    assert raw(path) == stored


def test_undo_after_another_program_converted_the_id3_tag(tmp_path: Path) -> None:
    path = make(tmp_path, "mp3")
    tags = id3.ID3()
    tags.add(id3.TMOO(encoding=3, text=["wistful", "calm"]))
    tags.save(path)
    file_tags.write(path, words={"mood": ["Happy"]})
    converted = id3.ID3(path)
    old = converted["TMOO"].text
    converted.update_to_v23()  # drops TMOO, which Picard writes as TXXX:mood
    converted.add(id3.TXXX(encoding=1, desc="mood", text=old))
    converted.save(path, v2_version=3)
    assert file_tags.remove(path)
    tags = id3.ID3(path, translate=False)
    assert "TMOO" not in tags
    assert tags["TXXX:mood"].text == ["wistful/calm"]


@pytest.mark.parametrize("kind", ["mp3", "wav"])
def test_a_bare_file_is_itself_again_to_the_byte(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind)
    content = path.read_bytes()
    file_tags.write(path, words=WORDS)
    file_tags.remove(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", KINDS)
def test_new_words_keep_the_oldest_values(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind)
    others(path)
    stored, words = raw(path), file_tags.read_words(path)
    file_tags.write(path, words={"mood": ["A"], "genre": ["B"]})
    file_tags.write(path, words={"genre": ["C"]})
    assert file_tags.read_words(path) == {"mood": ["A"], "genre": ["C"]}
    assert file_tags.write(path, words={"genre": []})
    assert file_tags.read_words(path) == words | {"mood": ["A"]}
    assert file_tags.remove(path, ["mood"])
    assert raw(path) == stored
    assert not file_tags.remove(path)


def set_genre(path: Path, text: str) -> None:
    song = mutagen.File(path)
    key = {mp4.MP4Tags: "\xa9gen", asf.ASFTags: "WM/Genre"}.get(type(song.tags), "GENRE")
    if isinstance(song.tags, id3.ID3):
        song.tags.setall("TCON", [id3.TCON(encoding=3, text=text)])
    else:
        song.tags[key] = [text]
    song.save()


@pytest.mark.parametrize("kind", KINDS)
def test_what_somebody_changed_since_is_theirs(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind)
    set_genre_first = make(tmp_path, kind)
    file_tags.write(set_genre_first, words=WORDS)
    set_genre(path, "Mine")
    assert file_tags.remove(path)
    assert file_tags.read_words(path) == {"mood": [], "genre": ["Mine"]}
    assert not file_tags.remove(path)
    file_tags.write(path, words=WORDS)
    set_genre(path, "Mine, again")
    file_tags.write(path, words=WORDS)
    file_tags.remove(path)
    assert file_tags.read_words(path) == {"mood": [], "genre": ["Mine, again"]}


def test_equal_values_of_somebody_else_are_not_ours(tmp_path: Path) -> None:
    path = make(tmp_path, "flac")
    set_genre(path, "Jazz")
    content = path.read_bytes()
    assert not file_tags.write(path, words={"genre": ["Jazz"]})
    assert not file_tags.remove(path)
    assert path.read_bytes() == content


def test_each_choice_is_undone_by_itself(tmp_path: Path) -> None:
    path = make(tmp_path, "ogg")
    file_tags.write(path, TRACK, WORDS)
    assert file_tags.remove(path, ["tags"])
    assert file_tags.read(path) == {}
    assert file_tags.read_words(path) == WORDS
    assert file_tags.remove(path, ["genre"])
    assert file_tags.read_words(path) == {"mood": WORDS["mood"], "genre": []}
    for call in (lambda: file_tags.remove(path, ["moods"]), lambda: file_tags.write(path, words={"moods": []})):
        with pytest.raises(UnknownNameError, match="Did you mean 'mood'"):
            call()


@pytest.mark.parametrize(
    ("field", "word"),
    [("mood", ""), ("mood", " sad"), ("mood", "a\nb"), ("mood", "a\0b"), ("mood", "a/b"), ("genre", "drum; bass"),
     ("genre", "a,b"), ("genre", "17"), ("genre", "(17)"), ("genre", "RX"), ("mood", "\ud800"), ("mood", "a\x85b")],
)  # fmt: skip
def test_words_that_a_field_cannot_hold_are_refused(tmp_path: Path, field: str, word: str) -> None:
    path = make(tmp_path, "flac")
    content = path.read_bytes()
    with pytest.raises(InputError, match="Expected a word"):
        file_tags.write(path, words={field: [word]})
    assert path.read_bytes() == content


def refused(path: Path, error: type[Exception], match: str, words: dict[str, list[str]] = WORDS) -> None:
    """Writing fails with this error, and leaves the folder as it was."""
    before = {entry: entry.read_bytes() for entry in path.parent.iterdir()}
    with pytest.raises(error, match=match):
        file_tags.write(path, words=words)
    assert {entry: entry.read_bytes() for entry in path.parent.iterdir()} == before


def test_read_only_files_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "m4a")
    path.chmod(0o444)
    refused(path, InputError, "read-only")


@pytest.mark.parametrize("record", ["no JSON", "[]", "{}", '{"words": ["Jazz"]}', '{"words": ["Jazz"], "old": 5}',
                                    '{"words": ["Jazz"], "old": [["TITLE", "x"]]}', '{"words": ["Jazz"], "old": [[]]}',
                                    '{"words": ["Jazz"], "old": [["GENRE", 5]]}', "[" * 100_000])  # fmt: skip
def test_damaged_old_values_are_refused(tmp_path: Path, record: str) -> None:
    path = make(tmp_path, "flac")
    song = mutagen.File(path)
    song["GENRE"], song["MUSICZOO_UNDO_GENRE"] = "Jazz", record
    song.save()
    refused(path, AudioError, "MUSICZOO_UNDO_GENRE are damaged")
    content = path.read_bytes()
    with pytest.raises(AudioError, match="Remove that field"):
        file_tags.remove(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("kind", "old"),
    [("mp3", [["APIC", "", 3, ["x"]]]), ("mp3", [["TXXX", "other", 3, ["x"]]]), ("mp3", [["TCON", "", 3, [5]]]),
     ("mp3", [["TCON", "", 99, ["x"]]]), ("m4a", [["covr", ["x"]]]), ("m4a", [["\xa9gen", [5]]]),
     ("m4a", [["----:com.apple.iTunes:MOOD", [[1, 0, "78"]]]]), ("wv", [["Title", 0, "x"]]),
     ("wv", [["Genre", 1, "no hex"]]), ("wma", [["Title", 0, "x", None, None]]), ("wma", [["WM/Genre", 77, "x", 0, 0]]),
     ("wma", [["WM/Genre", 0, 5, 0, 0]])],
)  # fmt: skip
def test_old_values_of_other_fields_are_not_restored(tmp_path: Path, kind: str, old: list[object]) -> None:
    """A file from anywhere may claim anything."""
    path = make(tmp_path, kind)
    file_tags.write(path, words={"genre": ["Jazz"]})
    record = json.dumps({"words": ["Jazz"], "old": old})
    song = file_tags._open(path)
    file_tags._put(song, file_tags.UNDO["genre"], [record])
    file_tags._store(song, path)
    content = path.read_bytes()
    with pytest.raises(AudioError, match="damaged"):
        file_tags.remove(path)
    assert path.read_bytes() == content


def test_old_values_that_are_not_utf8_are_not_replaced(tmp_path: Path) -> None:
    """mutagen reads their bytes as replacement characters, so they could not be restored."""
    path = make(tmp_path, "flac")
    set_genre(path, "Smxrg")
    path.write_bytes(path.read_bytes().replace(b"Smxrg", b"Sm\xf6rg"))
    refused(path, AudioError, "invalid bytes")
    assert file_tags.write(path, words={"mood": ["Happy"]})


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "shutil.copystat"])
def test_a_killed_process_leaves_the_old_file_or_the_new(tmp_path: Path, call: str) -> None:
    path = make(tmp_path, "mp3")
    others(path)
    content = path.read_bytes()
    code = f"""
import os, shutil, signal, sys
from musiczoo import file_tags
{call} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
file_tags.write(sys.argv[1], words={{"mood": ["Happy"]}})
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=100, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.read_bytes() == content
    assert all(entry == path or entry.name.startswith(".musiczoo-") for entry in tmp_path.iterdir())
    assert file_tags.write(path, words=WORDS)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, "wv")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    refused(path, InputError, "No space left")


def accepted(field: str, word: str) -> bool:
    try:
        return bool(tag_map.check_word(field, word))
    except InputError:
        return False


ODD = (
    "a" * 8
    + "'\"&<>%#=\\[]{}()|:~*?!\u00df\u0130\u200b\u202e\u0301\u3042\U0001f3b5\ufffe\uffff\u00a0 \t\n\0/;,\ufeff\ud800"
)
TEXTS = st.one_of(st.text(max_size=20), st.text(st.sampled_from(ODD), max_size=12))


@pytest.mark.parametrize("kind", ["mp3", "mp3 of version 2.3", "flac", "opus", "m4a", "wma", "wv", "aiff"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mood=st.lists(TEXTS, max_size=3), genre=st.lists(TEXTS, max_size=3), old=st.lists(TEXTS, max_size=3))
def test_all_words_that_are_accepted_are_read_back(
    tmp_path: Path, kind: str, mood: list[str], genre: list[str], old: list[str]
) -> None:
    """Whatever the words and the old values are."""
    words = {
        field: list(dict.fromkeys(word for word in texts if accepted(field, word)))
        for field, texts in (("mood", mood), ("genre", genre))
    }
    old = [text.replace("\0", " ") for text in old if not any("\ud800" <= c <= "\udfff" or c == "\ufffd" for c in text)]
    path = make(tmp_path, kind.split()[0])
    if kind.endswith("2.3"):
        old_id3(path)
    song = file_tags._open(path)
    file_tags.standard_fields.put(song.tags, "genre", [text or "x" for text in old] or ["x"])
    try:
        options = {"v2_version": song.tags.version[1], "v23_sep": None} if isinstance(song.tags, id3.ID3) else {}
        file_tags._store(song, path, **options)
    except mutagen.MutagenError:
        assume(False)
    stored, before = raw(path), file_tags.read_words(path)
    file_tags.write(path, words=words)
    assert file_tags.read_words(path) == {field: texts or before[field] for field, texts in words.items()}
    file_tags.remove(path)
    assert raw(path) == stored

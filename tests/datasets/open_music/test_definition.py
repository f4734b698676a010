"""The definition of open_music, and the reader of such definitions."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packages import recording, write_definition

from musiczoo.datasets.dataset import slug
from musiczoo.datasets.open_music.definition import DEFINITION, Recording, read_definition
from musiczoo.errors import DatasetError

ROWS = read_definition()


@pytest.mark.parametrize(
    ("split", "tracks", "hours"), [("validation", 45, 2.16), ("test", 51, 2.22), ("drop", 8, 0.15)]
)
def test_the_splits_that_measure_a_model_never_change(split: str, tracks: int, hours: float) -> None:
    rows = [row for row in ROWS if row.split == split]
    assert len(rows) == tracks
    assert sum(row.use_s for row in rows) / 3600 == pytest.approx(hours, abs=0.01)


def test_no_package_and_no_recording_is_in_two_splits() -> None:
    packages: dict[str, set[str]] = {}
    for row in ROWS:
        if row.split != "drop":
            packages.setdefault(row.package, set()).add(row.split)
    assert all(len(splits) == 1 for splits in packages.values())
    assert len({row.sha256 for row in ROWS}) == len(ROWS)


def test_every_recording_has_its_own_id_and_a_licence() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert all(row.licence for row in ROWS)
    assert not [row.licence for row in ROWS if re.search(r"\bN[CD]\b", row.licence)]


def test_the_attribution_counts_every_package() -> None:
    text = DEFINITION.with_name("ATTRIBUTION.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    counted = {row[0]: int(row[2]) for row in cells if row[2].isdigit()}
    used = [row.package for row in ROWS if row.split != "drop"]
    assert counted == {package: used.count(package) for package in used}


def test_ids_name_the_package_and_the_file() -> None:
    assert recording("usr/share/Über Music/01 - Déjà_vu.ogg", b"").id == "alpha-01-deja-vu"
    assert recording("a.zip!/music/b.OGG", b"").audio == "alpha-b.OGG"
    assert recording("mix:usr/songs/loud_one", b"").audio == "alpha-loud-one.flac"
    assert recording("mix:usr/songs/x", b"").sources == ("usr/songs/x/song.ogg", "usr/songs/x/guitar.ogg")


@given(st.text(max_size=40))
def test_slugs_are_plain_and_stable(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug(text))
    assert slug(slug(text)) == slug(text)


path_parts = st.text("abcXYZ019 _-.()é", min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))


@given(st.lists(path_parts, min_size=1, max_size=4), st.sampled_from([".ogg", ".opus", ".mp3", ".OGG"]))
def test_definitions_survive_being_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], suffix: str
) -> None:
    row = recording("/".join(parts) + "x" + suffix, b"", title='a "title", with\na line', note="é")
    path = write_definition(tmp_path_factory.mktemp("csv") / "a.csv", [row])
    assert read_definition(path) == (row,)


@given(st.lists(path_parts, max_size=3), st.sampled_from(["..", ".", ""]), st.lists(path_parts, max_size=3))
def test_members_cannot_leave_their_package(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], bad: str, after: list[str]
) -> None:
    row = recording("/".join([*before, bad, *after, "x.ogg"]), b"")
    path = write_definition(tmp_path_factory.mktemp("csv") / "a.csv", [row])
    with pytest.raises(DatasetError, match="line 2: expected a valid member"):
        read_definition(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", "trian"), ("package", "../x"), ("package", "-rf"), ("package", ""),
        ("version", "1.0 --yes"), ("sha256", "abc"), ("member", "usr/a"), ("member", "/etc/x.ogg"),
        ("member", "a.zip!/../x.ogg"), ("member", "mix:../x"), ("member", "usr\\x.ogg"),
        ("licence", " "), ("use_s", 2.5), ("use_s", 0.0), ("use_s", float("nan")), ("duration_s", "long"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, field: str, value: object) -> None:
    good = recording("usr/a.ogg", b"")
    bad = Recording(**{**vars(recording("usr/b.ogg", b"")), field: value})
    path = write_definition(tmp_path / "a.csv", [good, bad])
    with pytest.raises(DatasetError, match=r"a\.csv, line 3: .*expected|line 3: could not convert"):
        read_definition(path)


def test_two_recordings_of_one_id_are_refused(tmp_path: Path) -> None:
    path = write_definition(tmp_path / "a.csv", [recording("x/a.ogg", b""), recording("y/A.ogg", b"")])
    with pytest.raises(DatasetError, match=r"line 3.*'alpha-a' \(first in line 2\)"):
        read_definition(path)


@pytest.mark.parametrize("text", ["", "split,package\n", "\x00", '"'])
def test_what_is_no_definition_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DatasetError, match=r"a\.csv"):
        read_definition(tmp_path / "a.csv")


def test_short_and_long_rows_are_refused(tmp_path: Path) -> None:
    path = write_definition(tmp_path / "a.csv", [recording("x/a.ogg", b"")])
    whole = path.read_text()
    for text in (whole.rstrip().removesuffix(",") + "\n", whole.rstrip() + ",more\n"):
        path.write_text(text)
        with pytest.raises(DatasetError, match="line 2"):
            read_definition(path)


def test_a_missing_definition_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.csv"):
        read_definition(tmp_path / "none.csv")

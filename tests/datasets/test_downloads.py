"""Damaged downloads: each is named for what it is, by every reader of published files."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import judgement, write_dim_sim, write_jamendo, write_magnatagatune, write_msd, write_table
from toy_genres import write_fma, write_gtzan
from toy_lists import write_ids, write_npy, write_pub, write_tsv

from musiczoo.datasets import dim_sim, fma, folder, gtzan, jamendo, magnatagatune, msd, tagging_lists
from musiczoo.datasets.downloads import name_damage, read_rows, read_text
from musiczoo.datasets.open_music.definition import DEFINITION, read_definition
from musiczoo.datasets.pickles import read_pickle
from musiczoo.errors import DatasetError

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a2146" * 8 + b"\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>No such record</body></html>\n"


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("table")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("table", content)
    return file.getvalue()


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "an empty file"),
    "lfs": (lambda content: LFS, "a Git LFS pointer.*git lfs pull"),
    "annex": (lambda content: b"../.git/annex/objects/Xz/7P/SHA256E-s10--ab.csv/SHA256E-s10--ab.csv", "git annex get"),
    "page": (lambda content: PAGE, "a web page"),
    "page in capitals": (lambda content: b"\xef\xbb\xbf \r\n<HTML><BODY>Log in</BODY></HTML>", "a web page"),
    "error of a store": (
        lambda content: b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
        "a web page",
    ),
    "gzip": (gzip.compress, r"a packed file \(gzip\). Unpack it"),
    "bzip2": (bz2.compress, r"packed file \(bzip2\)"),
    "xz": (lzma.compress, r"packed file \(xz\)"),
    "zip": (_zip, r"packed file \(zip\)"),
    "tar": (_tar, r"packed file \(tar\)"),
}
"""Kind -> what it makes of a file, and what the error says."""


def _read_definition(root: Path) -> object:
    return read_definition(root / "definition.csv")


def _write_folder(root: Path) -> Path:
    write_table(root / "tags.csv", [("path", "tags"), ("one.mp3", "mood:sad")])
    return root


def _write_definition(root: Path) -> Path:
    root.mkdir(parents=True)
    (root / "definition.csv").write_bytes(DEFINITION.read_bytes())
    return root


SPLIT_0 = "data/splits/split-0/autotagging_top50tags-"
READERS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], tuple[str, ...]]] = {
    "msd": (
        write_msd, msd.load, (msd.TRAIN_LIST, msd.TEST_LIST, msd.TAG_VECTORS, msd.TAG_LIST, msd.IDS, msd.PATHS)
    ),
    "magnatagatune": (
        write_magnatagatune, magnatagatune.load, (magnatagatune.ANNOTATIONS_FILE, magnatagatune.CLIPS_FILE)
    ),
    "jamendo": (
        write_jamendo, jamendo.load, (f"{SPLIT_0}train.tsv", f"{SPLIT_0}validation.tsv", f"{SPLIT_0}test.tsv")
    ),
    "dim_sim.csv": (
        lambda root: write_dim_sim(root, [judgement(1)]), dim_sim.load, ("clean-dim-sim.csv",)
    ),
    "dim_sim.json": (
        lambda root: write_dim_sim(root, [judgement(1)], form="list"), dim_sim.load, ("clean-dim-sim.json",)
    ),
    "folder": (_write_folder, folder.load, ("tags.csv",)),
    "fma": (
        lambda root: write_fma(root, seconds=0.1), lambda root: fma.load(root, tags="genres_all"),
        ("fma_metadata/tracks.csv", "fma_metadata/genres.csv"),
    ),
    "gtzan": (lambda root: write_gtzan(root, seconds=0.1), gtzan.load, tuple(gtzan.LISTS.values())),
    "npy": (write_npy, tagging_lists.load, ("train.npy", "test.npy", "binary.npy", "tags.npy")),
    "pub": (write_pub, tagging_lists.load, ("train_list_pub.cP", "y_valid_pub.npy", "top50_tags.txt")),
    "ids": (write_ids, tagging_lists.load, ("valid_ids.npy", "test_binaries.npy", "msd_config.py")),
    "tsv": (write_tsv, tagging_lists.load, ("index_mtt.tsv", "val_gt_mtt.tsv", "output_labels_mtt.txt")),
    "definition": (_write_definition, _read_definition, ("definition.csv",)),
}  # fmt: skip
"""Reader -> how a small copy is made, how it is read, and its files."""

FILES = [(reader, name) for reader, (_, _, names) in READERS.items() for name in names]


@pytest.fixture(autouse=True)
def two_train_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msd, "TRAIN_TRACKS", 2)


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize(("reader", "name"), FILES)
def test_a_damaged_download_is_named(tmp_path: Path, reader: str, name: str, kind: str) -> None:
    write, read, _ = READERS[reader]
    root = tmp_path / "copy"
    write(root)
    read(root)
    damage, message = DAMAGE[kind]
    (root / name).write_bytes(damage((root / name).read_bytes()))
    with pytest.raises(DatasetError, match=f"{Path(name).name}.*{message}"):
        read(root)


@pytest.mark.parametrize("suffix", [".gz", ".zip", ".bz2", ".xz"])
@pytest.mark.parametrize(
    ("reader", "name"), [file for file in FILES if file[1] not in (msd.IDS, msd.PATHS, magnatagatune.CLIPS_FILE)]
)
def test_a_file_left_packed_is_named(tmp_path: Path, reader: str, name: str, suffix: str) -> None:
    write, read, _ = READERS[reader]
    root = tmp_path / "copy"
    write(root)
    (root / name).rename((root / name).with_name(Path(name).name + suffix))
    with pytest.raises(DatasetError, match=f"{Path(name).name}{suffix} exists: unpack it"):
        read(root)


def test_check_names_a_list_left_packed(tmp_path: Path) -> None:
    root = write_magnatagatune(tmp_path)
    (root / magnatagatune.ANNOTATIONS_FILE).rename(root / "annotations_final.zip")
    (problem,) = magnatagatune.check(root).problems
    assert "annotations_final.zip exists: unpack it" in problem.examples[0]


TEXTS = [file for file in FILES if not file[1].endswith((".cP", ".pkl", ".npy"))]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(("reader", "name"), TEXTS)
def test_other_byte_order_marks_and_line_ends_change_nothing(
    tmp_path: Path, reader: str, name: str, line_end: str, encoding: str
) -> None:
    write, read, _ = READERS[reader]
    root = tmp_path / "copy"
    write(root)
    expected = read(root)
    text = (root / name).read_text(encoding="utf-8").replace("\n", line_end)
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (root / name).write_bytes((mark + text).encode(encoding))
    assert read(root) == expected


@pytest.mark.parametrize(
    "content", [b"a,b\n\xff\xfe\xfd\n", b"\xff\xfea,b", "é,b\n".encode("latin1"), b"\xff\xfe\x00\xd8"]
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    for read in (lambda path: list(read_rows(path)), lambda path: read_text(path, "a table")):
        with pytest.raises(DatasetError, match=r"a\.csv.*Save it as UTF-8"):
            read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "read", [read_pickle, lambda path: list(read_rows(path)), lambda path: read_text(path, "text")]
)
@pytest.mark.parametrize("name", ["none", "folder", "x" * 300, "a\0b"])
def test_what_is_no_file_is_refused(tmp_path: Path, read: Callable[[Path], object], name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError):
        read(tmp_path / name)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), min_size=1, max_size=8).filter(
    str.strip
)


@given(rows=st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=4), quoted=st.booleans())
def test_sound_tables_are_never_taken_for_damage(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoted: bool
) -> None:
    path = write_table(tmp_path_factory.getbasetemp() / "sound.csv", rows, quoted=quoted)
    if not name_damage(path.read_bytes()[:512]):  # no published table begins with a tag of HTML or a magic number
        assert [row for _, row in read_rows(path)] == rows


@given(value=st.lists(st.text()) | st.dictionaries(st.text(), st.binary()), protocol=st.integers(0, 5))
def test_sound_pickles_are_never_taken_for_damage(value: object, protocol: int) -> None:
    assert name_damage(pickle.dumps(value, protocol)[:512]) == ""


@given(content=st.binary(max_size=80), start=st.sampled_from([b"", LFS, PAGE, b"\x1f\x8b", b"PK\3\4", b"\xff\xfe"]))
def test_noise_gives_rows_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.csv"
    path.write_bytes(start + content)
    with suppress(DatasetError):
        assert all(any(cell.strip() for cell in row) for _, row in read_rows(path))

"""numpy files of unknown origin: malformed ones are refused, without running code or using much memory."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from musiczoo._files import LARGEST, UNREADABLE, map_npy, open_npz, read_npy


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def with_header(text: str, content: bytes = bytes(32)) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + content


def archive(path: Path, content: bytes, compression: int = zipfile.ZIP_DEFLATED, member: str = "a.npy") -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(member, content)
    return path


def test_arrays_are_read_as_written(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    np.testing.assert_array_equal(read_npy(npy(array)), array)
    (tmp_path / "a.npy").write_bytes(npy(array))
    mapped = map_npy(tmp_path / "a.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, array)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    with open_npz(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["a"], array)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"text", npy(np.array([{"pickled": "object"}], object)), npy(np.zeros(9))[:-1],
        with_header("(" * 300), with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1e9, 4), }"),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }"),
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }"),
        with_header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }"),
        with_header("__import__('os').system('true')"), with_header("{'descr': '<q', 'shape'"), with_header("\0"),
    ],
)  # fmt: skip
def test_malformed_arrays_are_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UNREADABLE):
        read_npy(content)
    with pytest.raises(UNREADABLE):
        map_npy(tmp_path / "a.npy")
    with pytest.raises(UNREADABLE), open_npz(archive(tmp_path / "a.npz", content)) as arrays:
        assert arrays["a"] is None


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "bomb.npz", b"")
    content = bytearray(bomb.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the directory's size of the member, unpacked
    content[at : at + 4] = struct.pack("<I", LARGEST + 1)
    bomb.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(UNREADABLE, match=f"{LARGEST + 1} bytes, more than"), open_npz(bomb):
            pass
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_that_numpy_does_not_write_are_refused(tmp_path: Path, compression: int) -> None:
    with (
        pytest.raises(UNREADABLE, match="numpy did not write"),
        open_npz(archive(tmp_path / "a.npz", npy(np.zeros(2)), compression)),
    ):
        pass

"""Debian packages: their names, and streaming members out of them."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packages import zipped

from musiczoo.datasets.open_music import debian
from musiczoo.errors import DatasetError


@pytest.mark.parametrize(
    ("name", "version"),
    [("a_1%3a2-3_all.deb", "1:2-3"), ("a-b_2+dfsg~1-1_amd64.deb", "2+dfsg~1-1"), ("odd.deb", "")],
)
def test_versions_are_read_from_file_names(name: str, version: str) -> None:
    assert debian.version_of(Path(name)) == version


def test_the_named_version_is_preferred(tmp_path: Path) -> None:
    for version in ("1-1", "2-1", "3-1"):
        (tmp_path / f"a_{version}_all.deb").touch()
    (tmp_path / "a-b_9-1_all.deb").touch()
    assert debian.find(tmp_path, "a", "2-1") == tmp_path / "a_2-1_all.deb"
    assert debian.find(tmp_path, "a", "4-1") == tmp_path / "a_3-1_all.deb"
    assert debian.find(tmp_path, "c", "1-1") is None


def test_named_members_are_read_and_nothing_is_left_behind(tmp_path: Path, build_deb: Callable[..., Path]) -> None:
    archive = zipped({"in/a": b"zipped a", "in/b": b"zipped b"})
    files = {"usr/1": b"one", "usr/2.zip": archive, "usr/3": b"", "usr/4": b"four"}
    deb = build_deb(tmp_path, "alpha", "1", files)
    wanted = ["usr/3", "usr/2.zip!/in/b", "usr/1", "usr/none", "usr/2.zip!/none"]
    found = dict(debian.members(deb, [*wanted, "usr/2.zip!/in/a"], tmp_path))
    assert found == {
        "usr/1": b"one",
        "usr/3": b"",
        "usr/2.zip!/in/a": b"zipped a",
        "usr/2.zip!/in/b": b"zipped b",
    }
    assert [path.name for path in tmp_path.iterdir()] == [deb.name]


@pytest.mark.parametrize("content", [b"", b"not a package", b"!<arch>\n"])
def test_what_is_no_package_is_damaged(tmp_path: Path, build_deb: Callable[..., Path], content: bytes) -> None:
    (tmp_path / "a_1_all.deb").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a_1_all\.deb is damaged"):
        list(debian.members(tmp_path / "a_1_all.deb", ["x"], tmp_path))


def test_links_and_sparse_files_are_passed_over() -> None:
    """A header may say that a file of 1 TB is mostly holes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.GNUTYPE_SPARSE, tarfile.REGTYPE):
            member = tarfile.TarInfo(f"./{kind.decode()}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    stream.seek(0)
    assert [(name, file.read()) for name, file in debian.tar_files(stream)] == [("0", b"")]


def test_what_unpacks_to_too_much_is_damaged(
    tmp_path: Path, build_deb: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "LARGEST", 1000)
    deb = build_deb(
        tmp_path, "a", "1", {"usr/1": bytes(1001), "usr/2.zip": zipped({"b": bytes(1001), "c": bytes(1000)})}
    )
    assert dict(debian.members(deb, ["usr/2.zip!/c"], tmp_path)) == {"usr/2.zip!/c": bytes(1000)}
    for name in ("usr/1", "usr/2.zip!/b"):
        with pytest.raises(DatasetError, match=r"damaged .*more than 1000 bytes"):
            list(debian.members(deb, [name], tmp_path))


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_file_that_declares_what_no_disk_holds_is_damaged(kind: bytes) -> None:
    """tarfile would skip it in steps of 10 kB."""
    member = tarfile.TarInfo("a")
    member.size, member.type = 1 << 60, kind
    with pytest.raises(ValueError, match=rf"a of {(1 << 60) + 512} bytes"):
        list(debian.tar_files(io.BytesIO(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))))

"""Download Debian packages and read files from them.

Nothing is installed and root is not needed: ``apt-get download`` downloads a package as a file, and ``dpkg-deb
--fsys-tarfile`` writes it as a tar stream, of which only the named members are read.
"""

import lzma
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from ...errors import DatasetError

DOWNLOAD_TIMEOUT_S = 3600
ZIP_MARK = "!/"
"""Separates the path of a zip file in the package from a path in the zip."""

LARGEST = 1 << 28
"""Most bytes of an unpacked file: far more than a track."""

LARGEST_PACKED = 1 << 34
"""Most bytes that a file may declare: tarfile takes as long to skip them as if they existed."""

_UNFINISHED = "unfinished-"
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(ValueError, RuntimeError, LookupError, MemoryError),
)
"""Errors of damaged archives; RuntimeError is also that of encrypted ones."""


def require_tool(name: str) -> str:
    """Return the path of a Debian command.

    Raises:
        DatasetError: If it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise DatasetError(
            f"The command {name} of Debian and Ubuntu is missing. Run this on such a system or in a container. "
            "Without apt-get: download the packages elsewhere with `apt-get download` and pass their folder with "
            "--packages-dir. Without dpkg-deb: install dpkg."
        )
    return path


def find(folder: Path, package: str, version: str) -> Path | None:
    """Return the file of a package in a folder: the named version, or else the last one by name, or None."""
    files = sorted(folder.glob(f"{package}_*.deb"))
    return next((file for file in files if version_of(file) == version), files[-1] if files else None)


def version_of(deb: Path) -> str:
    """Return the version in the name of a package file.

    Example:
        >>> version_of(Path("a_1%3a2-3_all.deb"))
        '1:2-3'
    """
    parts = deb.stem.split("_")
    return unquote(parts[1]) if len(parts) > 1 else ""


def fetch(package: str, version: str, folder: Path) -> Path:
    """Download a package with apt-get: the named version if the archive has it, else the current one.

    Args:
        package: Name.
        version: Preferred version.
        folder: Folder for the .deb file.

    Returns:
        The .deb file.

    Raises:
        DatasetError: If apt-get is missing, or cannot find or download the package.
    """
    apt = require_tool("apt-get")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(_UNFINISHED + "*"):
        shutil.rmtree(leftover)
    message = ""
    for wanted in (f"{package}={version}", package):
        # apt-get writes to the final name directly: download to another folder, then move.
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as partial:
            try:
                result = subprocess.run(
                    [apt, "download", wanted],
                    cwd=partial,
                    capture_output=True,
                    encoding="utf-8",
                    errors="replace",
                    timeout=DOWNLOAD_TIMEOUT_S,
                )
            except subprocess.TimeoutExpired:
                message = f"it took more than {DOWNLOAD_TIMEOUT_S} s"
                continue
            deb = find(Path(partial), package, version)
            if result.returncode == 0 and deb is not None:
                return Path(shutil.move(deb, folder / deb.name))
            message = (result.stderr.strip().splitlines() or ["no message"])[-1]
    raise DatasetError(
        f"apt-get download {package} failed: {message}. Run `apt-get update` as root, or download "
        f"version {version} from an archive of Debian packages and pass its folder with --packages-dir."
    )


def obtain(package: str, version: str, out: Path, packages_dir: Path | str | None) -> Path:
    """Return the file of a package: from a folder of the user's, or downloaded into ``out/packages``.

    Args:
        package: Name.
        version: Version to prefer.
        out: Folder of the data set.
        packages_dir: Folder with the .deb files; None downloads them with apt-get.

    Raises:
        DatasetError: If the folder does not hold it, or it cannot be downloaded.
    """
    folder = out / "packages" if packages_dir is None else Path(packages_dir)
    deb = find(folder, package, version)
    if deb is None and packages_dir is None:
        deb = fetch(package, version, folder)
    if deb is None:
        raise DatasetError(
            f"Expected {package}_*.deb among the packages, found none. Download it with: apt-get download {package}"
        )
    return deb


def names(deb: Path) -> list[str]:
    """Return the paths of the files in a package, without a leading slash.

    Raises:
        DatasetError: If the package is damaged, or dpkg-deb is missing.
    """
    with closing(_files(deb)) as files:
        try:
            return [name for name, _ in files]
        except _DAMAGED as error:
            raise DatasetError(f"{deb.name} is damaged ({error}). Delete it and run the command again.") from error


def members(deb: Path, names: Collection[str], spool: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the contents of named members, in the package's order.

    Args:
        deb: A package file.
        names: Paths without a leading slash; ``a.zip!/b`` is the file b inside the member a.zip.
        spool: Folder for a temporary copy of a zip member, which needs seeking.

    Yields:
        Name, as in `names`, and contents. Names that are not in the package are not yielded.

    Raises:
        DatasetError: If the package or a zip in it is damaged, or dpkg-deb is missing.
    """
    wanted: dict[str, list[str]] = {}
    for name in names:
        outer, _, inner = name.partition(ZIP_MARK)
        wanted.setdefault(outer, []).append(inner)
    with closing(_files(deb)) as files:
        try:
            for name, file in files:
                inners = wanted.pop(name, [])
                if any(inners):
                    for inner, data in _zip_members(file, sorted(filter(None, inners)), spool):
                        yield f"{name}{ZIP_MARK}{inner}", data
                elif inners:
                    yield name, _read(name, file)
                if not wanted:
                    return
        except DatasetError:
            raise
        except _DAMAGED as error:
            raise DatasetError(f"{deb.name} is damaged ({error}). Delete it and run the command again.") from error


def _files(deb: Path) -> Generator[tuple[str, IO[bytes]], None, None]:
    command = [require_tool("dpkg-deb"), "--fsys-tarfile", str(deb)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        yield from tar_files(process.stdout)
        process.stdout.read()
        if process.wait() != 0:
            raise EOFError(f"dpkg-deb ended with status {process.returncode}")
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def tar_files(stream: IO[bytes]) -> Generator[tuple[str, IO[bytes]], None, None]:
    """Yield name and content of each file in a tar stream; read the content before the next file.

    Links are skipped, and sparse files, which may be larger than any disk; packages have none.

    Raises:
        ValueError: If one declares more than `LARGEST_PACKED`.
    """
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            packed = tar.offset - member.offset  # not member.size, which is the unpacked size of a sparse file
            if packed > LARGEST_PACKED:
                raise ValueError(f"{member.name} of {packed} bytes")
            file = tar.extractfile(member) if member.isfile() and not member.issparse() else None
            if file is not None:
                yield member.name.removeprefix("./"), file


def _read(name: str, file: IO[bytes]) -> bytes:
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{name} has more than {LARGEST} bytes")
    return content


def _zip_members(file: IO[bytes], inners: Collection[str], spool: Path) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryFile(dir=spool) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        try:
            with zipfile.ZipFile(copy) as archive:
                present = set(archive.namelist())
                for inner in inners:
                    if inner in present:
                        with archive.open(inner) as member:
                            yield inner, _read(inner, member)
        except OSError as error:  # impossible positions in the file
            raise zipfile.BadZipFile(str(error)) from error

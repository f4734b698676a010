"""onnxruntime-web: the files of its npm package that a page needs.

They are downloaded when a page is exported, and not kept in the repository: 14 MB, almost all of it WebAssembly.
"""

import importlib.util
import os
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from musiczoo._paths import scratch_folder
from musiczoo.errors import MissingDependencyError, ModelFileError

PACKAGE = "onnxruntime-web@1.30.0"
"""The version that the page is tested with."""

FILES = {
    "ort.wasm.min.mjs": "ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
"""File of the package's dist/ -> its name in the page: many file servers do not serve .mjs as JavaScript."""

LICENCES = ("LICENSE", "ThirdPartyNotices.txt")
"""Not in the npm package, but in the Python package, which is built from the same sources."""

_MAX_BYTES = 64 * 2**20
_DAMAGED = (OSError, EOFError, LookupError, ValueError, RecursionError, MemoryError, zlib.error, tarfile.TarError)
"""Errors of reading a damaged archive; RecursionError: a link to itself, MemoryError: a name of terabytes."""

_OFFLINE = (
    f"On a machine with a network, run `npm pack {PACKAGE}`, and pass the .tgz file (or the unpacked folder, or "
    "node_modules/onnxruntime-web) with --runtime."
)


def copy_runtime(folder: Path, source: Path | None = None) -> None:
    """Write onnxruntime-web and its licence into an existing folder.

    Args:
        folder: The folder.
        source: The npm package: its .tgz file, or the unpacked folder. By default npm downloads it, or takes it from
            its cache.

    Raises:
        MissingDependencyError: If npm is needed, and is missing or fails.
        ModelFileError: If `source` is another package.
    """
    if source is None:
        with scratch_folder("web") as scratch:
            _unpack(_fetch(scratch), folder)
    elif os.path.isdir(source):
        _copy(source, folder)
    else:
        _unpack(source, folder)
    for name in LICENCES:
        shutil.copyfile(_python_package() / name, folder / name)


def _fetch(scratch: Path) -> Path:
    """Download the package's .tgz file, whose checksum npm verifies."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependencyError(f"A page needs {PACKAGE}, and npm to download it. Install Node.js. {_OFFLINE}")
    command = [npm, "pack", PACKAGE, "--prefer-offline", "--silent", "--pack-destination", str(scratch)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, encoding="utf-8", errors="replace", check=False)
    packages = list(scratch.glob("*.tgz"))
    if done.returncode or not packages:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise MissingDependencyError(
            f"A page needs {PACKAGE}, and npm cannot download it ({reason[0]}). Is there a network? {_OFFLINE}"
        )
    return packages[0]


def _unpack(package: Path, folder: Path) -> None:
    """Copy `FILES` from a .tgz file, under the page's names."""
    try:
        with tarfile.open(package, "r:gz") as archive:
            for name, ours in FILES.items():
                member = archive.extractfile(str(PurePosixPath("package/dist", name)))
                content = b"" if member is None else member.read(_MAX_BYTES)
                (folder / ours).write_bytes(content)
    except _DAMAGED as error:
        raise _wrong(package, str(error)) from error


def _copy(package: Path, folder: Path) -> None:
    """Copy `FILES` from an unpacked package, or its dist/."""
    dist = next((place for place in (package / "dist", package / "package" / "dist") if place.is_dir()), package)
    for name, ours in FILES.items():
        if not (dist / name).is_file():
            raise _wrong(package, f"a folder without dist/{name}")
        shutil.copyfile(dist / name, folder / ours)


def _wrong(package: Path, got: str) -> ModelFileError:
    return ModelFileError(f"Expected the npm package {PACKAGE} at {package}, got {got}. {_OFFLINE}")


def _python_package() -> Path:
    """Return the folder of the installed onnxruntime, without importing it."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("The licence of onnxruntime is in its Python package: pip install onnxruntime")
    return Path(spec.origin).parent

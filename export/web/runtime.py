"""onnxruntime-web: the few files of its npm package that a page needs.

They are fetched when a page is exported and never kept in the repository: 14 MB, of which WebAssembly is all but 70 kB.
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
"""File of the package's dist/ -> what the page calls it: many file servers do not know .mjs for JavaScript."""

LICENCES = ("LICENSE", "ThirdPartyNotices.txt")
"""Not in the npm package. The Python package, which is made from the same sources, has them."""

_MAX_BYTES = 64 * 2**20
_DAMAGED = (OSError, EOFError, LookupError, ValueError, RecursionError, MemoryError, zlib.error, tarfile.TarError)
"""What reading a damaged archive raises; RecursionError: at a link to itself, MemoryError: at a name of terabytes."""

_OFFLINE = (
    f"Where there is a network, run `npm pack {PACKAGE}` and give the .tgz that it writes (or the folder unpacked "
    "from it, or node_modules/onnxruntime-web) with --runtime."
)


def copy_runtime(folder: Path, source: Path | None = None) -> None:
    """Write onnxruntime-web and its licence into a folder that is there.

    Args:
        folder: Where to.
        source: The npm package: its .tgz, or the folder that was unpacked from it. By default npm fetches it, or
            takes it from its own cache.

    Raises:
        MissingDependencyError: If it is to be fetched, and npm is missing or fails; with what to do offline.
        ModelFileError: If `source` is no such package.
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
    """The package's .tgz, which npm checks against its registry's sum."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingDependencyError(
            f"A page needs {PACKAGE} and npm to fetch it; there is no npm. Install Node.js. {_OFFLINE}"
        )
    command = [npm, "pack", PACKAGE, "--prefer-offline", "--silent", "--pack-destination", str(scratch)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, encoding="utf-8", errors="replace", check=False)
    packages = list(scratch.glob("*.tgz"))
    if done.returncode or not packages:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise MissingDependencyError(
            f"A page needs {PACKAGE}, and npm cannot fetch it ({said[0]}). Is there a network? {_OFFLINE}"
        )
    return packages[0]


def _unpack(package: Path, folder: Path) -> None:
    """Copy `FILES` out of a .tgz, under names of our own."""
    try:
        with tarfile.open(package, "r:gz") as archive:
            for name, ours in FILES.items():
                member = archive.extractfile(str(PurePosixPath("package/dist", name)))
                content = b"" if member is None else member.read(_MAX_BYTES)
                (folder / ours).write_bytes(content)
    except _DAMAGED as error:
        raise _wrong(package, str(error)) from error


def _copy(package: Path, folder: Path) -> None:
    """Copy `FILES` out of an unpacked package, or its dist/."""
    dist = next((place for place in (package / "dist", package / "package" / "dist") if place.is_dir()), package)
    for name, ours in FILES.items():
        if not (dist / name).is_file():
            raise _wrong(package, f"a folder without dist/{name}")
        shutil.copyfile(dist / name, folder / ours)


def _wrong(package: Path, received: str) -> ModelFileError:
    return ModelFileError(f"Expected the npm package {PACKAGE} at {package}, received {received}. {_OFFLINE}")


def _python_package() -> Path:
    """The folder of the installed onnxruntime, which is not imported."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("The licence of onnxruntime is in its Python package: pip install onnxruntime")
    return Path(spec.origin).parent

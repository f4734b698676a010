"""Fixtures: functions that make Debian packages and Ogg files."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from toy import music, write_audio

BuildDeb = Callable[[Path, str, str, Mapping[str, bytes]], Path]


@pytest.fixture(scope="session")
def build_deb() -> BuildDeb:
    """A function that writes a package: ``build_deb(folder, "a", "1:2-3", {"usr/b.ogg": ...})``."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")

    def build(folder: Path, package: str, version: str, files: Mapping[str, bytes]) -> Path:
        tree = folder / "tree"
        control = f"Package: {package}\nVersion: {version}\nArchitecture: all\n"
        control += "Maintainer: Nobody <nobody@example.org>\nDescription: test\n"
        for name, content in {"DEBIAN/control": control.encode(), **files}.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        deb = folder / f"{package}_{version.replace(':', '%3a')}_all.deb"
        subprocess.run(["dpkg-deb", "-z1", "--build", str(tree), str(deb)], check=True, capture_output=True)
        shutil.rmtree(tree)
        return deb

    return build


@pytest.fixture(scope="session")
def ogg(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """A function that makes the bytes of an Ogg Vorbis file: ``ogg(seconds=2, seed=1)``."""
    folder = tmp_path_factory.mktemp("ogg")

    def make(seconds: float = 2, seed: int = 0, channels: int = 2, rate: int = 22050) -> bytes:
        path = folder / f"{seconds}-{seed}-{channels}-{rate}.ogg"
        if not path.exists():
            write_audio(path, music(seconds, rate, channels, seed), rate)
        return path.read_bytes()

    return make

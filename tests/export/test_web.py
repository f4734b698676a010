"""`musiczoo export --target web`: the folder. What it does in a browser: see `test_web_page`."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import musiczoo
from musiczoo.cli import app
from musiczoo.errors import InputError, MissingDependencyError, ModelFileError
from musiczoo.export.web import export_web, runtime


@pytest.fixture(scope="module")
def fake_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package's folder, with files that are no programs."""
    package = tmp_path_factory.mktemp("npm") / "package"
    (package / "dist").mkdir(parents=True)
    for name in runtime.FILES:
        (package / "dist" / name).write_text(f"content of {name}")
    return package


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_holds_the_page_the_model_and_the_runtime_with_its_licence(
    toy_folder: Path, fake_runtime: Path, tmp_path: Path
) -> None:
    export_web(toy_folder, tmp_path / "page", fake_runtime)
    files = files_of(tmp_path / "page")
    page = {"index.html", "page.css", "page.js", "files.js", "musiczoo.js", "worker.js", "web/style.css"}
    page |= {f"web/{name}.js" for name in ("colours", "elements", "kinds", "player", "points", "taggram", "text")}
    model = {"model/card.json", "model/model.onnx"}
    engine = {"ort.wasm.min.js", "ort-wasm-simd-threaded.js", "ort-wasm-simd-threaded.wasm"}
    notices = {"LICENSE", "ThirdPartyNotices.txt"}
    assert set(files) == page | model | {f"onnxruntime/{name}" for name in engine | notices}
    assert files["onnxruntime/ort-wasm-simd-threaded.js"] == b"content of ort-wasm-simd-threaded.mjs"
    assert b"MIT License" in files["onnxruntime/LICENSE"]
    assert musiczoo.load(tmp_path / "page" / "model").card.tags == musiczoo.load(toy_folder).card.tags


def test_exporting_imports_neither_tensorflow_nor_onnxruntime(
    toy_folder: Path, fake_runtime: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from musiczoo.export.web import export_web;"
        f"export_web({str(toy_folder)!r}, Path({str(tmp_path / 'page')!r}), Path({str(fake_runtime)!r}));"
        "print([name for name in ('tensorflow', 'keras', 'onnx', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_packed_and_unpacked_runtime_give_the_same_page(toy_folder: Path, fake_runtime: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        archive.add(fake_runtime, "package")
    export_web(toy_folder, tmp_path / "a", fake_runtime)
    export_web(toy_folder, tmp_path / "b", tmp_path / "package.tgz")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.parametrize("kind", ["nothing", "text", "empty folder", "other package", "link to itself", "link outside"])
def test_wrong_runtime_is_refused_and_nothing_written(toy_folder: Path, tmp_path: Path, kind: str) -> None:
    wrong = tmp_path / "wrong"
    if kind == "text":
        wrong.write_text("no package")
    elif kind == "empty folder":
        wrong.mkdir()
    elif kind == "other package":
        with tarfile.open(wrong, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("package/package.json"), io.BytesIO())
    elif kind.startswith("link"):
        link = tarfile.TarInfo(f"package/dist/{next(iter(runtime.FILES))}")
        link.type, link.linkname = tarfile.SYMTYPE, Path(link.name).name if "itself" in kind else "/etc/passwd"
        with tarfile.open(wrong, "w:gz") as archive:
            archive.addfile(link)
    before = set(tmp_path.iterdir())
    with pytest.raises(ModelFileError, match="npm pack onnxruntime-web"):
        export_web(toy_folder, tmp_path / "page", wrong)
    assert set(tmp_path.iterdir()) == before


def test_without_npm_it_says_what_to_do(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"Install Node\.js\. On a machine with a network, run `npm pack"):
        export_web(toy_folder, tmp_path / "page")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for npm is a shell script")
def test_offline_it_says_what_to_do(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(MissingDependencyError, match=r"ENOTFOUND.*Is there a network\?.*--runtime"):
        export_web(toy_folder, tmp_path / "page")


def test_earlier_page_is_replaced_and_nothing_else(toy_folder: Path, fake_runtime: Path, tmp_path: Path) -> None:
    page = tmp_path / "page"
    export_web(toy_folder, page, fake_runtime)
    for name in ("page.css", "web/style.css"):
        (page / name).write_text("old")
    export_web(toy_folder, page, fake_runtime)
    assert all((page / name).read_text() != "old" for name in ("page.css", "web/style.css"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="earlier web export"):
        export_web(toy_folder, other, fake_runtime)
    assert files_of(other) == {"thesis.txt": b"mine"}


def test_command(toy_folder: Path, fake_runtime: Path, tmp_path: Path) -> None:
    web = ["export", str(toy_folder), "--target", "web", "--out", str(tmp_path / "page")]
    result = CliRunner().invoke(app, [*web, "--runtime", str(fake_runtime)])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "page")
    assert (tmp_path / "page" / "index.html").is_file()
    assert CliRunner().invoke(app, [*web, "--name", "mine"]).exit_code == 2
    run = ["export", str(tmp_path), "--out", str(tmp_path / "run"), "--runtime", str(fake_runtime)]
    assert CliRunner().invoke(app, run).exit_code == 2

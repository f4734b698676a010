"""What users get: the wheel's contents, and facts that are written in more than one file."""

import ast
import configparser
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import musiczoo
from musiczoo import demo
from musiczoo.card import POINTS_FILE

ROOT = Path(__file__).parent.parent
PACKAGES = {"musiczoo": "musiczoo", "musiczoo/models": "models", "musiczoo/export": "export"}
PLUGIN = "beetsplug/musiczoo.py"
"""The module that beets looks for. Its folder is a package of beets: an ``__init__.py`` would hide other plugins."""

DATA = {".css", ".csv", ".html", ".jinja", ".js", ".md", ".json", ".npy", ".onnx", ".ogg", ".toml", ".typed"}

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(),
    reason="needs the checkout: an installation has no pyproject.toml",
)


def test_test_modules_have_different_names() -> None:
    """pytest imports two of the same name once, and does not run the other. tests/compat runs by itself."""
    folders = [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "compat"]
    names = [path.name for folder in folders for path in folder.rglob("test_*.py")]
    names += [path.name for path in (ROOT / "tests").glob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout, built in a copy of it with the installed setuptools."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("checkout") / "musiczoo"
    leave_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "data", "runs", "exports")
    shutil.copytree(ROOT, copy, ignore=leave_out)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (path,) = (copy / "dist").glob("*.whl")
    return path


def test_wheel_holds_every_module_and_data_file_of_the_three_rooms(wheel: Path) -> None:
    """A package or file that setup.cfg does not name would be missing for users, though not for us."""
    expected = set()
    for package, folder in PACKAGES.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in DATA | {".py"} and "__pycache__" not in path.parts:
                expected.add(f"{package}/{path.relative_to(ROOT / folder).as_posix()}")
    expected = {name.removeprefix("musiczoo/") if name == f"musiczoo/{PLUGIN}" else name for name in expected}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert expected - names == set()
    assert {
        "musiczoo/py.typed",
        "musiczoo/datasets/open_music/open_music.csv",
        "musiczoo/models/architectures.py",
    } <= names


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    strangers = [n for n in names if not n.startswith("musiczoo/") and ".dist-info/" not in n]
    assert strangers == [PLUGIN]
    assert not any("/tests/" in name or name.endswith(".keras") for name in names)
    # The weights of the heads of `musiczoo import musicnn`.
    assert {str(Path(name).parent) for name in names if name.endswith(".npz")} == {"musiczoo/export/heads"}
    assert {Path(name).name for name in names if name.endswith(".npy")} <= {POINTS_FILE}


def test_beets_finds_the_plugin_of_the_wheel(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("beets")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    (tmp_path / "config.yaml").write_text("plugins: musiczoo\nlibrary: beets.db\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "BEETSDIR": str(tmp_path)}
    code = "import sys; from beets import ui; ui._raw_main(['ls']); print(sys.modules['beetsplug.musiczoo'].__file__)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(tmp_path / "installed" / PLUGIN)


def test_wheel_holds_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_every_listed_package_is_a_folder_with_an_init() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for name in config["options"]["packages"].split():
        module = importlib.util.find_spec(name)
        assert module is not None, name
        assert module.origin is not None or name == "beetsplug", name
    # Older versions of beets bring one, newer none.
    assert not (ROOT / "musiczoo" / "beetsplug" / "__init__.py").exists()


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == musiczoo.__version__
    assert f"version: {musiczoo.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{musiczoo.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_that_the_documents_name_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(
        re.findall(r"\bmake ([a-z]+)\b(?=`|\s*#|\s*$)", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert named
    assert named <= targets


@pytest.mark.parametrize(
    "document", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    made = {ROOT / "docs" / "reference" / name for name in ("command-line.md", "http.md")}  # by docs/_site
    made |= {ROOT / "docs" / "models" / f"{path.name}.md" for path in (ROOT / "musiczoo" / "zoo").iterdir()}
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text(encoding="utf-8"))
    files = [(document.parent / target).resolve() for target in targets]
    assert [file for file in files if not file.exists() and file not in made] == []


@pytest.mark.parametrize("script", sorted(ROOT.glob("benchmarks/*.py")), ids=lambda path: path.name)
def test_what_benchmarks_import_exists(script: Path) -> None:
    """No test runs them, so a name that has moved would be noticed late."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("musiczoo."):
            module = _source(node.module or "")
            file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
            names = _names(ast.parse(file.read_text(encoding="utf-8")))
            for alias in node.names:
                assert alias.name in names or (module / f"{alias.name}.py").exists() or (module / alias.name).is_dir()


def _source(module: str) -> Path:
    """Where a module lies, without ending."""
    first, second, *rest = module.split(".")
    return ROOT.joinpath(PACKAGES.get(f"{first}/{second}", f"{first}/{second}"), *rest)


def _names(tree: ast.Module) -> set[str]:
    """What a module defines or imports under the same name on purpose."""
    names: set[str] = set()
    lazy = [node for block in tree.body if isinstance(block, ast.If) for node in block.body]
    for node in [*tree.body, *lazy]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def test_the_bundled_recording_is_small_and_names_its_source() -> None:
    soundfile = pytest.importorskip("soundfile")
    assert demo.PATH.stat().st_size <= 300_000
    assert 20 <= soundfile.info(demo.PATH).duration <= 30
    source = demo.PATH.with_name("SOURCE.md").read_text(encoding="utf-8")
    assert demo.PATH.name in source
    assert "CC0" in source


def loaded_after(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of `names` a fresh process has imported once it ran `code`."""
    report = f"import json, sys\n{code}\nprint(json.dumps([n for n in {names!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    names_loaded: list[str] = json.loads(done.stdout)
    return names_loaded


def test_run_room_imports_no_training_package() -> None:
    modules = sorted(
        "musiczoo." + path.relative_to(ROOT / "musiczoo").with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / "musiczoo").rglob("*.py")
        if path.name not in ("__init__.py", "plots.py", "sklearn.py")  # which are for the packages that they import
    )
    code = f"""
import importlib
from musiczoo.errors import MissingDependencyError
for m in {modules!r}:
    try: importlib.import_module(m)
    except MissingDependencyError: pass  # it is about a package of an extra
"""
    assert loaded_after(code, ("tensorflow", "keras", "librosa", "sklearn", "matplotlib", "av")) == []


def test_importing_musiczoo_imports_nothing_heavy() -> None:
    assert loaded_after("import musiczoo", ("numpy", "onnxruntime", "soundfile", "typer", "rich")) == []


def test_command_line_starts_without_what_only_some_commands_need() -> None:
    assert loaded_after("import musiczoo.cli", ("numpy", "onnxruntime", "soundfile", "rich.table")) == []

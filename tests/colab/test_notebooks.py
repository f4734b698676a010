"""The notebooks of colab/: what they may look like, and that each runs from its first cell to its last."""

import ast
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
import warm
from clips import collect
from needs import missing

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
BADGE = "https://colab.research.google.com/github/musiczoo/musiczoo/blob/main/colab/"

MOST_LINES = 10
"""Of a code cell, tables not counted."""

TRAINING = {"tensorflow", "keras", "librosa"}
LOGIC = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.While, ast.Try)
CELL_SECONDS = 600

SMALLER = {
    "04_reproduce_the_paper": "del MODELS[1]\nEPOCHS = 2\nfrom musiczoo.models import encoder\nencoder.BLOCKS = 1"
}
"""Notebook -> a cell that the test adds after its settings, which trains less than the notebook does."""

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def sources(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == kind]


def python(source: str) -> ast.Module:
    """A cell without its magic commands."""
    return ast.parse("\n".join(line for line in source.splitlines() if not line.lstrip().startswith("%")))


def needs_training(path: Path) -> bool:
    return "train" in sources(path, "code")[0]


def test_outputs_are_stripped(path: Path) -> None:
    for cell in read(path)["cells"]:
        assert cell["metadata"] == {}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def test_it_begins_with_a_title_and_its_own_badge(path: Path) -> None:
    first = sources(path, "markdown")[0]
    assert first.startswith("# ")
    assert f"({BADGE}{path.name})" in first


def test_the_first_cell_installs_on_colab_alone(path: Path) -> None:
    source = sources(path, "code")[0]
    match = re.fullmatch(
        r'import sys\n\nif "google\.colab" in sys\.modules:\n    %pip install --quiet "musiczoo\[(.*)\]"', source
    )
    assert match, source
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(match[1].split(",")) <= extras.keys()


def test_cells_are_small_and_hold_no_logic(path: Path) -> None:
    for source in sources(path, "code")[1:]:
        if not source.startswith("%%writefile"):
            assert len(source.splitlines()) <= MOST_LINES, source
            assert not [node for node in ast.walk(python(source)) if isinstance(node, LOGIC)], source


def test_links_to_files_lead_somewhere(path: Path) -> None:
    for text in sources(path, "markdown"):
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert target.startswith("https://") or (path.parent / target).is_file(), target


@pytest.fixture(scope="session")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect(tmp_path_factory.mktemp("notebooks") / "music")


@pytest.fixture
def place(music: Path, tmp_path: Path) -> Iterator[Path]:
    """Where a notebook runs: a folder with the music that it would fetch, and nothing else."""
    shutil.copytree(music / "audio", tmp_path / "music" / "audio", symlinks=True)
    yield tmp_path
    shutil.rmtree(tmp_path)  # runs and exports are large


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Jupyter finds the kernel "warm", which has imported TensorFlow already."""
    folder = tmp_path_factory.mktemp("jupyter")
    spec = {"argv": warm.command("-m", "ipykernel_launcher", "-f", "{connection_file}"), "language": "python"}
    (folder / "kernels" / "warm").mkdir(parents=True)
    (folder / "kernels" / "warm" / "kernel.json").write_text(json.dumps({**spec, "display_name": "warm"}))
    return folder


@pytest.mark.train
def test_it_runs(path: Path, place: Path, jupyter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(jupyter))
    _skip_without_tools("\n".join(sources(path, "code")))
    notebook = nbformat.read(path, as_version=4)
    if path.stem in SMALLER:
        settings = next(
            i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and "EPOCHS" in cell.source
        )
        notebook.cells.insert(settings + 1, nbformat.v4.new_code_cell(SMALLER[path.stem]))
    notebook.cells.append(nbformat.v4.new_code_cell("import sys\nprint(*{name.split('.')[0] for name in sys.modules})"))
    # The kernel of this Python, not one that the user has installed.
    kernel = "warm" if needs_training(path) else "python3"
    nbclient.NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name=kernel, resources={"metadata": {"path": str(place)}}
    ).execute()
    loaded = set(notebook.cells[-1].outputs[0].text.split())
    assert "musiczoo" in loaded
    assert needs_training(path) or not loaded & TRAINING
    assert all(cell.outputs for cell in notebook.cells if "notebook." in cell.source)  # players, tables, pages


def _skip_without_tools(code: str) -> None:
    """Some cells call programs that are no Python packages."""
    for call, tools in {"sampler.prepare": ("apt-get", "dpkg-deb"), "export_web": ("npm",)}.items():
        if call in code and not all(map(shutil.which, tools)):
            missing(f"{' and '.join(tools)} for {call}")

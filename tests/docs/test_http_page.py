"""The page about the HTTP API names every operation, and each of its links leads to a record."""

import importlib.util
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "_site" / "http_api.py"


@pytest.fixture(scope="module")
def page() -> str:
    pytest.importorskip("fastapi")
    spec = importlib.util.spec_from_file_location("http_api", PAGE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text: str = module.page()
    return text


def test_it_names_every_operation(page: str) -> None:
    from musiczoo.server.app import document

    paths = document()["paths"]
    expected = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert set(re.findall(r"^### ((?:GET|POST) .+)$", page, re.MULTILINE)) == expected


def test_its_links_lead_to_records(page: str) -> None:
    records = {name.lower() for name in re.findall(r"^### (\w+)$", page, re.MULTILINE)}
    linked = set(re.findall(r"\(#(\w+)\)", page))
    assert linked
    assert linked <= records


def test_every_parameter_has_a_meaning(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (.*) \|$", page.split("## Records")[0], re.MULTILINE)
    assert len(rows) > 20
    assert [name for name, meaning in rows if not meaning.strip()] == []

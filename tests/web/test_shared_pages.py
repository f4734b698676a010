"""What our pages share: files to copy beside a page, or to put into one."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from needs import missing

from musiczoo import web

PAGES = {"musiczoo.library.map": ".", "musiczoo.export.web": "page", "musiczoo.server.page": "."}
"""Package -> where its own modules lie."""


def modules(package: str) -> dict[str, str]:
    folder = files(package).joinpath(PAGES.get(package, "."))
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".js")}


def run(script: str) -> object:
    if shutil.which("node") is None:
        missing("node")
    done = subprocess.run(["node", "-e", script], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.web
def test_a_bundle_gives_what_the_modules_give(tmp_path: Path) -> None:
    """Private names that two modules share do not meet, and each module runs once, before those that import it."""
    (tmp_path / "main.js").write_text(
        'import { left } from "./left.js";\nimport { right } from "./right.js";\n'
        'import { clock, percent } from "./web/text.js";\n'
        "const hidden = 3;\nconsole.log(JSON.stringify([left, right(), hidden, clock(3725), percent(0.276)]));\n"
    )
    (tmp_path / "left.js").write_text(
        'import { base } from "./base.js";\nconst hidden = 1;\nexport const left = base + hidden;\n'
    )
    (tmp_path / "right.js").write_text(
        'import { base } from "./base.js";\nconst hidden = 2;\nexport function right() {\n  return base + hidden;\n}\n'
    )
    (tmp_path / "base.js").write_text("globalThis.runs = (globalThis.runs ?? 0) + 1;\nexport const base = 10 * runs;\n")
    script = web.bundle(tmp_path, "main")
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    assert run(script) == [11, 12, 3, "1:02:05", "28 %"]


def test_a_copy_holds_the_style_and_the_modules_alone(tmp_path: Path) -> None:
    web.copy(tmp_path)
    names = {"style.css", *modules("musiczoo.web")}
    assert {path.name for path in (tmp_path / "web").iterdir()} == names
    assert (tmp_path / "web" / "style.css").read_text(encoding="utf-8") == web.style()


@pytest.mark.parametrize("package", ["musiczoo.web", *PAGES])
def test_modules_are_written_so_that_they_can_be_bundled(package: str) -> None:
    """Each import and export has the form that `bundle` reads; what is imported is exported there, and used."""
    shared, own = modules("musiczoo.web"), modules(package)
    for name, source in own.items():
        if name in ("musiczoo.js", "worker.js"):  # an interface for others, and a separate thread
            continue
        found = re.findall(r'^import \{ (.+) \} from "\./(web/)?(\w+\.js)";$', source, re.MULTILINE)
        assert len(found) == len(re.findall(r"^import", source, re.MULTILINE)), name
        for names, ours, other in found:
            target = (shared if ours else own)[other]
            for imported in names.split(", "):
                assert re.search(
                    rf"^export (async )?(function|const|class) {re.escape(imported)}\b", target, re.MULTILINE
                ) or (imported == "$" and "export const $ =" in target)
                assert source.count(imported) > 1, f"{name} imports {imported} for nothing"


def test_nothing_becomes_markup() -> None:
    for package in ("musiczoo.web", *PAGES):
        for source in modules(package).values():
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source)


@pytest.mark.web
def test_a_query_finds_texts_that_hold_all_its_words() -> None:
    texts = ["Dvořák: Měsíčku", "dvorak live", "Mesicku", "Straße"]
    queries = ["DVOŘÁK", "mesicku dvor", "  ", "strasse", "e"]
    source = files("musiczoo.web").joinpath("text.js").read_text(encoding="utf-8").replace("export ", "")
    call = f"const find = finder({json.dumps(texts)}); const found = {json.dumps(queries)}.map(find);"
    told = "console.log(JSON.stringify(found.map((some) => some && [...some])));"
    assert run(source + call + told) == [[1, 1, 0, 0], [1, 0, 0, 0], None, [0, 0, 0, 0], [1, 1, 1, 1]]

"""The page at ``/``: its files, and no others."""

import re
from importlib.resources import files

import pytest
from asking import Client

from musiczoo import web
from musiczoo.server import page

OWN = sorted(file.name for file in files("musiczoo.server.page").iterdir() if file.name.endswith((".css", ".js")))


def test_every_file_is_served_as_it_is(ask: Client) -> None:
    kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
    shared = {f"web/{name}": contents for name, contents in web.shared_files().items()}
    own = {name: files("musiczoo.server.page").joinpath(name).read_bytes() for name in OWN}
    for name, contents in (own | shared).items():
        answer = ask.get(f"/page/{name}")
        assert (answer.status_code, answer.content) == (200, contents)
        assert answer.headers["content-type"] == f"{kinds[name.rpartition('.')[2]]}; charset=utf-8"
    index = ask.get("/")
    assert index.content == files("musiczoo.server.page").joinpath(page.INDEX).read_bytes()
    assert index.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/page/__init__.py", "/page/index.html", "/page/../app.py", "/page/web/__init__.py"]
)
def test_nothing_else_is(ask: Client, path: str) -> None:
    assert ask.get(path).status_code == 404


def test_the_page_needs_no_inline_code_and_no_other_host(ask: Client) -> None:
    """Its policy would refuse both."""
    text = ask.get("/").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", text)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert set(addresses) == {"data:,", "page/web/style.css", "page/page.css", "page/page.js"}
    for name in OWN:
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", ask.get(f"/page/{name}").text)


def test_what_modules_import_is_served(ask: Client) -> None:
    for name in (name for name in OWN if name.endswith(".js")):
        imported = re.findall(r'from "\./(.+)";', ask.get(f"/page/{name}").text)
        assert all(ask.get(f"/page/{other}").status_code == 200 for other in imported)

"""The page: its contents, and that no script but our own runs."""

import base64
import dataclasses
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin

import numpy as np
import pytest
import shelf
from hypothesis import given
from hypothesis import strategies as st
from needs import missing
from toy import CARD

from musiczoo import taxonomy, web
from musiczoo.errors import InputError, LibraryError, WriteError
from musiczoo.library.database import Database
from musiczoo.library.map import content, page, write
from musiczoo.library.records import Entry, LibraryConfig

HOSTILE = (
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "\"'><svg/onload=document.title='hacked'>",
    "<!-- <script> ]]> &lt;b&gt; \u2028\u2029 \\u003c",
    "{{ 7 * 7 }} ${7 * 7} {% raw %}",
)
NAMES = (
    "a#b.mp3",
    "100%25.mp3",
    "what?.mp3",
    'it\'s "so".mp3',
    "söng ♪.mp3",
    "a:b.mp3",
    "back\\slash.mp3",
    "a+b & c;d=e.mp3",
)


class Page(HTMLParser):
    """The elements and the texts of scripts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])


def library(folder: Path, entries: list[Entry], config: LibraryConfig = shelf.CONFIG) -> Path:
    with Database.create(folder / "library.db", config) as database:
        for entry in entries:
            database.add(entry)
    return folder / "library.db"


def named(folder: Path, names: tuple[str, ...], **fields: tuple[str, ...]) -> list[Entry]:
    """Entries of files with these names."""
    rows = shelf.entries(folder)[: len(names)]
    return [
        dataclasses.replace(entry, path=str(folder / name), **{key: values[i] for key, values in fields.items()})
        for i, (entry, name) in enumerate(zip(rows, names, strict=True))
    ]


def numbers(text: str, kind: str, columns: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).reshape(-1, columns)


def test_the_page_holds_the_library(library_path: Path, tmp_path: Path) -> None:
    drawn = write(library_path, tmp_path / "new" / "map.html")
    assert (drawn.tracks, drawn.of) == (12, 12)
    data = Page(drawn.path.read_text(encoding="utf-8")).data
    entries = shelf.entries(tmp_path / "music")
    assert data["titles"] == [entry.title for entry in entries]
    assert data["artists"] == [entry.artist for entry in entries]
    assert [data["root"] + path for path in data["paths"]] == [entry.path for entry in entries]
    assert data["seconds"] == [100 + 10 * i for i in range(12)]
    assert data["tags"] == list(CARD.tags)
    assert list(data["dimensions"]) == list(CARD.dimensions)
    assert {d: [data["tags"][t] for t in tags] for d, tags in data["dimensions"].items()} == {
        d: list(tags) for d, tags in CARD.dimensions.items()
    }
    expected = np.stack([entry.tags for entry in entries])
    np.testing.assert_allclose(numbers(data["probabilities"], "u1", 50) / 255, expected, atol=1 / 255)
    assert [space["name"] for space in data["spaces"]] == ["all", *taxonomy.DIMENSIONS]
    vectors = np.stack([entry.embedding for entry in entries]).astype(np.float64)
    for space, (start, stop) in zip(data["spaces"], [(0, 256), *CARD.spaces.values()], strict=True):
        cosines = vectors[:, start:stop] @ vectors[:, start:stop].T
        cosines /= np.diag(cosines)[0]
        np.fill_diagonal(cosines, -9)
        near = numbers(space["near"], "<u2", 8)
        np.testing.assert_array_equal(near, np.argsort(-cosines, axis=1)[:, :8])
        told = numbers(space["cosines"], "u1", 8) / 255
        np.testing.assert_allclose(told, np.take_along_axis(cosines, near, axis=1).clip(0), atol=0.51 / 255)
        assert numbers(space["places"], "<u2", 2).shape == (12, 2)


def test_a_plain_model_has_one_space(tmp_path: Path) -> None:
    config = dataclasses.replace(shelf.CONFIG, spaces={"all": (0, 256)}, normalized=False)
    drawn = write(library(tmp_path, shelf.entries(tmp_path), config), tmp_path / "map.html")
    parsed = Page(drawn.path.read_text(encoding="utf-8"))
    assert [space["name"] for space in parsed.data["spaces"]] == ["all"]
    assert "space" not in [attributes.get("id") for _, attributes in parsed.tags]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_tracks_make_a_map(tmp_path: Path, count: int) -> None:
    drawn = write(library(tmp_path, shelf.entries(tmp_path)[:count]), tmp_path / "map.html")
    assert len(Page(drawn.path.read_text(encoding="utf-8")).data["paths"]) == count


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50), st.floats(0, 1))
def test_rounding_keeps_each_probability_on_its_side(values: list[float], threshold: float) -> None:
    probabilities, thresholds = np.array([values], np.float32).T, np.array([threshold])
    rounded = content._rounded(probabilities, thresholds)[:, 0]
    limit = content._limits(thresholds)[0]
    np.testing.assert_array_equal(rounded >= limit, probabilities[:, 0] >= thresholds[0])
    assert np.abs(rounded / 255 - probabilities[:, 0]).max() <= 1.001 / 255


def address(data: dict[str, Any], i: int) -> str:
    """Where the script says the song is: its own escaping, written here as Python has it."""
    safe = "!~*'()/"  # what encodeURIComponent leaves, and the slashes between parts
    return data["base"] + data["urls"].get(str(i), content.quote(data["paths"][i], safe=safe))


@pytest.mark.skipif(os.name != "posix", reason="such names are not allowed there")
def test_addresses_lead_to_the_files_whatever_they_are_called(tmp_path: Path) -> None:
    names = (*NAMES, "not \udce9 text.mp3")
    folder = tmp_path / "my #1 music"
    out = tmp_path / "maps ?" / "map.html"
    write(library(tmp_path, named(folder, names)), out)
    data = Page(out.read_text(encoding="utf-8")).data
    start = "file://" + content.escaped(str(out))
    for i, name in enumerate(names):
        url = urljoin(start, address(data, i))
        assert address(data, i).startswith("./../my%20%231%20music/")
        assert "?" not in url
        assert "#" not in url
        assert unquote_to_bytes(url.removeprefix("file://")) == os.fsencode(folder / name)
    assert data["paths"][-1] == "not \N{REPLACEMENT CHARACTER} text.mp3"


@pytest.mark.web
def test_the_script_escapes_as_it_should() -> None:
    if shutil.which("node") is None:
        missing("node")
    source = (Path(page.__file__).parent / "data.js").read_text(encoding="utf-8")
    (line,) = re.findall(r"^const escaped = .*$", source, re.MULTILINE)
    paths = [f"An {name}/x/{name}" for name in NAMES]
    program = f"{line} console.log(JSON.stringify({json.dumps(paths)}.map(escaped)))"
    told = subprocess.run(["node", "-e", program], capture_output=True, check=True, timeout=60)
    got = json.loads(told.stdout)
    assert [unquote_to_bytes(url).decode() for url in got] == paths
    assert not any(set(url) & set('#?"\\ :<>') for url in got)


def hostile_page(tmp_path: Path) -> Path:
    names = tuple(f"{i} <b onclick=alert(1)>&amp;'\".mp3" for i in range(len(HOSTILE)))
    entries = named(tmp_path / "<i>music", names, title=HOSTILE, artist=HOSTILE[::-1])
    return write(library(tmp_path, entries), tmp_path / "map.html").path


def test_titles_and_paths_never_become_markup(tmp_path: Path) -> None:
    parsed = Page(hostile_page(tmp_path).read_text(encoding="utf-8"))
    assert len(parsed.scripts) == 2
    assert parsed.data["titles"] == list(HOSTILE)
    kinds = {tag for tag, _ in parsed.tags}
    assert not kinds & {"img", "svg", "b", "i", "iframe", "object", "link", "base"}
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


def test_the_page_needs_nothing_else_and_lets_nothing_else_run(library_path: Path, tmp_path: Path) -> None:
    text = write(library_path, tmp_path / "map.html").path.read_text(encoding="utf-8")
    parsed = Page(text)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)
    assert not any({"src", "href"} & set(attributes) for _, attributes in parsed.tags)
    policy = next(a["content"] for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a) or ""
    digest = base64.b64encode(hashlib.sha256(parsed.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "innerHTML" not in parsed.scripts[1]


def test_all_can_be_done_without_a_mouse_or_eyes(library_path: Path, tmp_path: Path) -> None:
    parsed = Page(write(library_path, tmp_path / "map.html").path.read_text(encoding="utf-8"))
    ids = {attributes["id"]: (tag, attributes) for tag, attributes in parsed.tags if "id" in attributes}
    assert ids["map"][1]["tabindex"] == "0"
    assert ids["map"][1]["aria-describedby"] in ids
    assert ids["live"][1]["aria-live"] == "polite"
    assert ids["list"][0] == "ul"
    assert all("aria-label" in ids[name][1] for name in ("in", "out", "fit", "panel", "list-section"))


@pytest.mark.web
def test_a_browser_lists_hostile_titles_as_text(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        missing("chromium")
    path = hostile_page(tmp_path)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    told = subprocess.run(
        [*command, "--virtual-time-budget=2000", "--dump-dom", path.as_uri()], capture_output=True, timeout=120
    )
    dom = told.stdout.decode()
    assert "<title>Map of library.db</title>" in dom
    shown = re.findall(r'<button class="song" type="button">(.*?)</button>', dom, re.DOTALL)
    assert len(shown) == len(HOSTILE)
    assert "&lt;/script&gt;&lt;script&gt;document.title='hacked'&lt;/script&gt;" in shown
    assert not re.search(r"<(img|svg)\b", dom)
    assert "electronic" in dom


def lightness(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def variables() -> dict[str, dict[str, list[str]]]:
    """Theme -> name -> colours, of the style sheet."""
    rules = re.findall(r":root[^{]*\{(.*?)\}", web.style(), re.DOTALL)
    found = [{name: text.split(", ") for name, text in re.findall(r"--(\w+): ([^;]+);", rule)} for rule in rules]
    return dict(zip(("light", "dark"), found, strict=True))


@pytest.mark.parametrize(("theme", "paper"), [("light", "#ffffff"), ("dark", "#15181c")])
def test_more_always_stands_out_more(theme: str, paper: str) -> None:
    found = variables()
    colours = found[theme]
    steps = [abs(lightness(colour) - lightness(paper)) for colour in colours["scale"]]
    assert steps == sorted(steps)
    assert min(b - a for a, b in itertools.pairwise(steps)) > 0.05
    for colour in (*colours["kinds"], *colours["others"]):
        high, low = sorted((lightness(colour), lightness(paper)), reverse=True)
        assert (high + 0.05) / (low + 0.05) > 2
    assert len(set(colours["kinds"])) == len(found["light"]["kinds"]) == 7
    assert len(steps) == 5


def test_a_limit_samples_the_library_evenly(library_path: Path, tmp_path: Path) -> None:
    drawn = write(library_path, tmp_path / "map.html", limit=3)
    assert (drawn.tracks, drawn.of) == (3, 12)
    text = drawn.path.read_text(encoding="utf-8")
    assert Page(text).data["titles"] == ["Song 1", "Song 3", "Song 4"]  # of the 1st, 7th and 12th track
    assert "3 of 12 tracks" in text


def test_impossible_maps_are_refused(library_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="limit"):
        write(library_path, tmp_path / "map.html", limit=0)
    with pytest.raises(InputError, match="folder"):
        write(library_path, tmp_path)
    with pytest.raises(WriteError, match="Cannot write"):
        write(library_path, library_path / "map.html")
    with pytest.raises(InputError, match="library itself"):
        write(library_path, library_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LibraryError, match="empty library"):
        write(library(tmp_path / "empty", []), tmp_path / "map.html")
    with pytest.raises(LibraryError):
        write(tmp_path / "no.db", tmp_path / "map.html")
    assert not (tmp_path / "map.html").exists()

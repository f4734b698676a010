"""The map in Chromium, opened from disk: pointer, keys, search, colours, paper. The library is `shelf`'s."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import shelf
from browser import Browser, chromium
from needs import missing
from toy import CARD

from musiczoo.library.map import write

pytestmark = pytest.mark.web

TITLES = [title for *_, title in shelf.SONGS]
"""Each is there three times, once an artist."""
SCALE_END = {"light": [0x0B, 0x2F, 0x66], "dark": [0xFF, 0xE3, 0x4D]}


class MapPage:
    """The page, and where its points are."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.browser, self.songs = browser, shelf.paths(path.parent / "music")
        browser.look(1280, 900)
        browser.open(path.as_uri())
        data = json.loads(browser.js("document.getElementById('data').textContent"))
        browser.js("document.getElementById('map').scrollIntoView()")
        raw = np.array(
            [
                browser.js(f"[...atob({json.dumps(space['places'])})].map((c) => c.charCodeAt(0))")
                for space in data["spaces"]
            ]
        )
        self.places = raw.astype(np.uint8).view("<u2").reshape(len(raw), -1, 2) / 32767.5 - 1

    def box(self) -> list[float]:
        """The canvas in the window: left, top, width and height."""
        return self.browser.js(  # type: ignore[no-any-return]
            "(() => { const b = document.getElementById('map').getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })()"
        )

    def at(self, i: int, space: int = 0) -> tuple[float, float]:
        """Where a point is in the window while all are shown.

        The middle of the canvas is (0, 0); along its shorter side, -1 and 1 are 16 pixels from its ends.
        """
        left, top, width, height = self.box()
        unit = min(width, height) / 2 - 16
        x, y = self.places[space, i]
        return left + width / 2 + x * unit, top + height / 2 - y * unit

    def pixel(self, x: float, y: float) -> list[int]:
        """The colour at a place in the window."""
        left, top, *_ = self.box()
        return self.browser.js(  # type: ignore[no-any-return]
            "[...document.getElementById('map').getContext('2d').getImageData("
            f"{round(x - left)}, {round(y - top)}, 1, 1).data].slice(0, 3)"
        )

    def corner(self) -> list[int]:
        """The colour in the upper left corner, where nothing is."""
        left, top, *_ = self.box()
        return self.pixel(left + 3, top + 3)

    def text(self, name: str) -> Any:
        return self.browser.js(f"document.getElementById({name!r}).textContent")

    def chosen(self) -> int:
        """The track in the panel, by its path; -1 if there is none."""
        return self.songs.index(Path(self.text("path"))) if self.shown("chosen") else -1

    def shown(self, name: str) -> Any:
        return not self.browser.js(f"document.getElementById({name!r}).hidden")

    def set(self, name: str, value: str, event: str = "change") -> None:
        self.browser.js(
            f"(() => {{ const e = document.getElementById({name!r}); e.value = {value!r};"
            f" e.dispatchEvent(new Event({event!r})); }})()"
        )

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.browser.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        missing("chromium")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[MapPage]:
    shelf.write_music(tmp_path / "music")
    library = shelf.write_library(tmp_path / "library.db", tmp_path / "music")
    browser.errors.clear()
    yield MapPage(browser, write(library, tmp_path / "map.html").path)
    assert browser.errors == []


def apart(page: MapPage, space: int = 0) -> int:
    """The track well inside the map whose point is farthest from any other's."""
    places = page.places[space]
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(len(places))
    inside = np.abs(places).max(axis=1) < 0.65  # still to be seen when all is half as large again
    return int(np.where(inside, distances.min(axis=1), 0).argmax())


def test_a_click_on_a_point_chooses_and_plays_its_track(page: MapPage) -> None:
    i = apart(page)
    page.browser.js(
        "window.player = document.getElementById('audio');"
        "player.addEventListener('play', () => { window.played = true; })"
    )
    page.browser.click(*page.at(i))
    page.browser.wait("window.played === true")
    assert (page.chosen(), page.text("title")) == (i, TITLES[i])
    assert unquote(page.browser.js("player.src")) == unquote(page.songs[i].as_uri())
    assert (page.shown("chosen"), page.shown("hint"), page.shown("tip")) == (True, False, False)


def test_the_panel_says_what_the_library_says(page: MapPage) -> None:
    i = apart(page)
    page.browser.click(*page.at(i))
    probabilities = shelf.probabilities()[i]
    shown = page.browser.js(
        "[...document.querySelectorAll('#tags .tag')].map((row) =>"
        " [row.children[0].firstChild.textContent, row.children[2].textContent])"
    )
    expected = []
    for tags in CARD.dimensions.values():
        ranked = sorted(tags, key=lambda tag: -probabilities[CARD.tags.index(tag)])[:3]
        expected += [[tag, probabilities[CARD.tags.index(tag)]] for tag in ranked]
    assert [name for name, _ in shown] == [name for name, _ in expected]
    for (_, text), (_, p) in zip(shown, expected, strict=True):
        assert abs(int(text.removesuffix(" %")) - 100 * p) <= 1
    vectors = shelf.vectors().astype(float)
    cosines = vectors @ vectors[i]
    cosines[i] = -9
    near = page.browser.js("[...document.querySelectorAll('#near .song')].map((e) => e.textContent)")
    assert near == [TITLES[j] for j in np.argsort(-cosines)[:8]]


def test_keys_go_from_track_to_track(page: MapPage) -> None:
    browser = page.browser
    browser.js("document.getElementById('map').focus()")
    browser.press("ArrowRight")
    first = page.chosen()
    assert first >= 0
    assert page.text("live").startswith(f"{TITLES[first]}, {shelf.SONGS[first][0]}. ")
    assert page.shown("tip")
    browser.press("ArrowLeft")
    assert page.chosen() != first
    assert page.at(page.chosen())[0] < page.at(first)[0]
    browser.press("Escape")
    assert (page.shown("chosen"), page.shown("hint"), page.shown("tip")) == (False, True, False)


def test_the_pointer_tells_what_is_under_it(page: MapPage) -> None:
    i = apart(page)
    x, y = page.at(i)
    page.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.browser.wait("!document.getElementById('tip').hidden")
    assert page.browser.js("document.querySelector('#tip b').textContent") == TITLES[i]
    assert not page.shown("chosen")
    page.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    page.browser.wait("document.getElementById('tip').hidden")


def test_a_search_lists_and_leaves_what_it_finds(page: MapPage) -> None:
    page.set("search", "BOHM", "input")
    page.settle()
    listed = page.browser.js("[...document.querySelectorAll('#list .song')].map((e) => e.textContent)")
    assert listed == TITLES[4:8]  # Böhm's
    assert page.text("found") == "4 of 12 tracks"
    page.browser.click(*page.at(0))
    assert page.chosen() != 0
    page.browser.click(*page.at(5))
    assert page.chosen() == 5
    page.set("search", "", "input")
    assert page.text("found") == ""
    assert page.browser.js("document.querySelectorAll('#list .song').length") == 12


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_likeliest_track_of_a_tag_has_the_strongest_colour(page: MapPage, theme: str) -> None:
    page.browser.look(1280, 900, dark=theme == "dark")
    i = apart(page)
    tag = int(np.argmax(shelf.probabilities()[i] / shelf.probabilities().max(axis=0)))
    assert shelf.probabilities()[i, tag] == shelf.probabilities()[:, tag].max()
    page.set("colour", f"tag:{tag}")
    page.settle()
    np.testing.assert_allclose(page.pixel(*page.at(i)), SCALE_END[theme], atol=2)
    assert CARD.tags[tag] in page.text("legend")


def test_paper_is_white_in_the_dark_too(page: MapPage) -> None:
    page.browser.look(1280, 900, dark=True)
    page.settle()
    assert page.corner() == [0x15, 0x18, 0x1C]
    page.browser.js("dispatchEvent(new Event('beforeprint'))")
    assert page.corner() == [255, 255, 255]
    page.browser.js("dispatchEvent(new Event('afterprint'))")
    assert page.corner() == [0x15, 0x18, 0x1C]


def test_another_space_has_other_places_and_neighbours(page: MapPage) -> None:
    i = apart(page)
    page.browser.click(*page.at(i))
    page.set("space", "1")  # the first dimension
    name = next(iter(CARD.spaces))
    assert page.text("near-space") == f"the {name} space"
    start, stop = CARD.spaces[name]
    part = shelf.vectors()[:, start:stop].astype(float)
    cosines = part @ part[i]
    cosines[i] = -9
    near = page.browser.js("[...document.querySelectorAll('#near .song')].map((e) => e.textContent)")
    assert near == [TITLES[j] for j in np.argsort(-cosines)[:8]]
    page.browser.js("new Promise((done) => setTimeout(done, 800))")  # the points travel for 0.6 s
    j = apart(page, space=1)
    page.browser.click(*page.at(j, space=1))
    assert page.chosen() == j


def test_zoom_keeps_the_middle_and_the_whole_map_comes_back(page: MapPage) -> None:
    i = apart(page)
    x, y = page.at(i)
    page.browser.js("document.getElementById('in').click()")
    page.settle()
    left, top, width, height = page.box()
    middle = left + width / 2, top + height / 2
    page.browser.click(middle[0] + 1.5 * (x - middle[0]), middle[1] + 1.5 * (y - middle[1]))
    assert page.chosen() == i
    page.browser.js("document.getElementById('fit').click()")
    page.settle()
    page.browser.click(*page.at(0))
    assert page.chosen() == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone(page: MapPage, dark: bool) -> None:
    page.browser.look(360, 780, dark=dark, phone=True)
    assert page.browser.js("document.documentElement.scrollWidth") == 360
    page.browser.look(1280, 900)

"""The page in Chromium, by pointer and keys, with a real server. The library answers the same questions itself."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shelf
from asking import TOKEN
from browser import Browser, chromium
from needs import missing
from serving import Server

from musiczoo.library import Library, Query, playlist

pytestmark = pytest.mark.web

SEARCHED = 5


def title(number: int) -> str:
    """The title of a song by its id; each artist has four."""
    return str(shelf.SONGS[number - 1][3])


def words(number: int) -> str:
    """Words that only this song has."""
    return f"{shelf.SONGS[number - 1][0]} {title(number)}"


DRAG = """(() => {
  const from = document.querySelector(%s), to = document.querySelector(%s), box = to.getBoundingClientRect();
  const both = { dataTransfer: new DataTransfer(), bubbles: true, cancelable: true };
  const place = { ...both, clientX: box.x + 5, clientY: box.y + %s * box.height };
  from.dispatchEvent(new DragEvent("dragstart", both));
  to.dispatchEvent(new DragEvent("dragover", place));
  to.dispatchEvent(new DragEvent("drop", place));
  from.dispatchEvent(new DragEvent("dragend", both));
})()"""


class Page:
    """The page, as a person sees and uses it."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        browser.look(1440, 900)
        browser.open(f"{url}/")

    def js(self, expression: str) -> Any:
        return self.browser.js(expression)

    def text(self, selector: str) -> Any:
        return self.js(f"document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector: str) -> list[str]:
        return self.js(  # type: ignore[no-any-return]
            f"Array.from(document.querySelectorAll({json.dumps(selector)}), (one) => one.textContent)"
        )

    def ids(self, of: str) -> list[int]:
        """Ids of the songs of a list."""
        return self.js(  # type: ignore[no-any-return]
            f"Array.from(document.querySelectorAll('#{of} .row'), (row) => Number(row.dataset.id))"
        )

    def shown(self, selector: str) -> Any:
        return self.js(f"document.querySelector({json.dumps(selector)}).checkVisibility()")

    def click(self, selector: str, number: int = 0) -> None:
        self.js(f"document.querySelectorAll({json.dumps(selector)})[{number}].click()")

    def enter(self, selector: str, value: object, event: str = "input") -> None:
        self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            f" e.dispatchEvent(new Event({event!r})); }})()"
        )

    def wait(self, expression: str) -> None:
        self.browser.wait(expression)

    def wait_for(self, of: str, expected: list[int]) -> None:
        """Until a list has these songs."""
        self.wait(
            f"JSON.stringify(Array.from(document.querySelectorAll('#{of} .row'), (row) => Number(row.dataset.id)))"
            f" === {json.dumps(json.dumps(expected, separators=(',', ':')))}"
        )

    def reload(self) -> None:
        self.js("window.old = true")
        self.js("location.reload()")
        self.wait("window.old === undefined && document.readyState === 'complete'")

    def choose(self, number: int) -> None:
        """Find a song by words, and choose it."""
        self.enter("#words", words(number))
        self.wait_for("songs", [number])
        self.click("#songs .song")
        self.wait(f"location.hash === '#song-{number}'")
        self.wait("document.querySelectorAll('#near .row').length > 0")

    def press(self, selector: str, key: str, **more: bool) -> None:
        """A key, on an element."""
        options = json.dumps({"key": key, "bubbles": True, "cancelable": True, **more})
        self.js(
            f"document.querySelector({json.dumps(selector)}).dispatchEvent(new KeyboardEvent('keydown', {options}))"
        )

    def pick(self, number: int) -> None:
        """Choose a song in the dialog."""
        self.wait("document.querySelector('#picker').open")
        self.enter("#picker-words", words(number))
        self.wait_for("picker-songs", [number])
        self.press("#picker-words", "Enter")
        self.wait("!document.querySelector('#picker').open")

    def drag(self, source: str, target: str, y: float = 0.9) -> None:
        """Drag an element onto another, to a share of its height."""
        self.js(DRAG % tuple(map(json.dumps, (source, target, y))))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        missing("chromium")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lists")


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], shelves: Path, lists: Path) -> Iterator[Server]:
    with serve(shelves / "music.db", "--playlists", lists) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page with all songs. Afterwards, nothing went wrong, and no other host was asked."""
    browser.errors.clear()
    browser.requests.clear()
    browser.open("about:blank")
    browser.call("Storage.clearDataForOrigin", origin=server.url, storageTypes="local_storage")
    opened = Page(browser, server.url)
    opened.wait("document.querySelectorAll('#songs .row').length === 12")
    yield opened
    assert browser.errors == []
    assert {address for address in browser.requests if not address.startswith((server.url, "data:", "blob:"))} == set()


def number_of(library: Library, path: str) -> int:
    entry = library.find(path)
    assert entry
    return entry.id


def searched(library: Library, query: Any, weights: dict[str, float] | None = None) -> list[int]:
    return [hit.id for hit in library.search(query, 20, weights)]


def path_of(library: Library, number: int) -> str:
    return next(library.entries([number])).path


def test_find_and_choose(page: Page, library: Library) -> None:
    page.enter("#words", "bohm second")
    page.wait_for("songs", [7, 8])
    assert page.text("#found") == "2 songs"
    assert page.texts("#songs .song") == ["Song 3", "Song 4"]
    page.choose(SEARCHED)
    entry = next(library.entries([SEARCHED]))
    assert page.text("#title") == "Song 1"
    assert page.text("#facts") == "Böhm · Böhm's first · 1981 · 2:20"
    above = sum(p >= library.config.thresholds[tag] for tag, p in zip(library.config.tags, entry.tags, strict=True))
    assert len(page.texts("#predicted li")) == above
    assert page.js("document.querySelectorAll('#tags li').length") == len(library.config.tags)
    assert page.ids("near") == searched(library, entry.path)
    assert page.js("document.activeElement.id") == "title"
    page.enter("#tag", "jazz", "change")
    page.enter("#words", "")
    column = library.config.tags.index("jazz")
    page.wait_for("songs", [e.id for e in library.entries() if e.tags[column] >= library.config.thresholds["jazz"]])


def test_back_and_again(page: Page) -> None:
    page.choose(1)
    page.choose(6)
    page.js("history.back()")
    page.wait("document.querySelector('#title').textContent === 'Song 1'")
    page.reload()
    page.wait("document.querySelector('#title')?.textContent === 'Song 1'")


def test_sliders_rank_again(page: Page, library: Library) -> None:
    path = path_of(library, SEARCHED)
    page.choose(SEARCHED)
    page.enter("#sliders [name=genre]", 0)
    page.enter("#sliders [name=era]", 20)
    weights = {"mood": 100.0, "instrument": 100.0, "era": 20.0}
    assert searched(library, path, weights) != searched(library, path)
    page.wait_for("near", searched(library, path, weights))
    assert page.js("document.querySelectorAll('#near .mute').length") == len(page.ids("near"))
    for name in ("mood", "instrument", "era"):
        page.enter(f"#sliders [name={name}]", 0)
    page.wait("document.querySelector('#note').textContent.startsWith('Every dimension counts nothing')")
    assert page.ids("near") == []
    page.enter("#sliders [name=mood]", 5)
    page.wait_for("near", searched(library, path, {"mood": 1}))


LATE = """(() => {
  const real = window.fetch, held = [];
  window.fetch = (...given) => new Promise((send) => held.push(() => send(real(...given))));
  window.answer = async () => {
    window.fetch = real;
    for (const send of held) send();
    await real("api/v1/library").then((response) => response.json());
    await new Promise((then) => setTimeout(then, 200));
    return held.length;
  };
})()"""
"""Requests wait for `answer()`, which returns how many there were, after what follows from them."""


def test_a_late_answer_does_not_replace_a_note(page: Page) -> None:
    page.choose(SEARCHED)
    page.js(LATE)
    for name in ("genre", "mood", "instrument", "era"):
        page.enter(f"#sliders [name={name}]", 0)
    note = page.text("#note")
    assert note.startswith("Every dimension counts nothing")
    assert page.js("answer()") == 1
    assert (page.text("#note"), page.ids("near")) == (note, [])
    page.enter("#sliders [name=mood]", 5)
    page.wait("document.querySelectorAll('#near .row').length > 0")


def test_a_late_answer_does_not_replace_offered_songs(page: Page) -> None:
    page.choose(SEARCHED)
    page.click(".dimension .slot", 1)
    offered = page.ids("picker-songs")
    assert offered[0] == SEARCHED
    page.js(LATE)
    page.enter("#picker-words", words(12))
    page.click("#picker-close")
    page.wait("!document.querySelector('#picker').open")
    page.click(".dimension .slot", 1)
    assert page.ids("picker-songs") == offered
    assert page.js("answer()") == 1
    assert page.ids("picker-songs") == offered
    page.pick(12)


def test_mix_and_match(page: Page, library: Library) -> None:
    """By the dialog and by dragging; and back."""
    path, one, twelve = (path_of(library, number) for number in (SEARCHED, 1, 12))
    page.choose(SEARCHED)
    page.click(".dimension .slot", 1)
    page.pick(12)
    page.wait_for("near", searched(library, Query([path], of={"mood": twelve})))
    assert page.texts(".dimension .slot") == ["of this song", "of Song 4", "of this song", "of this song"]
    page.enter("#words", words(1))
    page.wait_for("songs", [1])
    page.drag("#songs .row", ".dimension .slot")
    page.wait_for("near", searched(library, Query([path], of={"genre": one, "mood": twelve})))
    page.click(".dimension .slot", 1)
    page.wait("document.querySelector('#picker-songs .soft').textContent === 'this song'")
    page.click("#picker-songs .song")
    page.wait_for("near", searched(library, Query([path], of={"genre": one})))


def test_a_path(page: Page, library: Library) -> None:
    page.choose(2)
    page.press("#like-tab", "ArrowRight")
    assert page.js("document.activeElement.id") == "path-tab"
    assert page.text("#note").startswith("Choose the song at the end")
    page.click("#end")
    page.pick(11)
    page.enter("#length", 4, "change")
    steps = library.path_between(path_of(library, 2), path_of(library, 11), 4)
    page.wait_for("near", [number_of(library, step.path) for step in steps])
    page.click("#add-all")
    assert len(page.ids("playlist")) == 4


def test_a_playlist(page: Page, library: Library, lists: Path) -> None:
    """Added, reordered and removed with keys; saved, replaced, opened; and kept when the page is left."""
    for i in (0, 4, 8, 9):
        page.click("#songs .add", i)
    assert page.ids("playlist") == [1, 5, 9, 10]
    assert page.text("#live") == "Song 2 is number 4 of the playlist."
    page.press("#playlist .row:nth-child(3) .song", "ArrowUp", altKey=True)
    assert page.ids("playlist") == [1, 9, 5, 10]
    assert page.js("document.activeElement.closest('.row').dataset.id") == "9"
    page.press("#playlist .row:nth-child(1) .song", "ArrowUp", altKey=True)  # it is the first already
    page.press("#playlist .row:nth-child(4) .song", "Delete")
    assert page.ids("playlist") == [1, 9, 5]
    assert page.js("document.activeElement.closest('.row').dataset.id") == "5"
    page.enter("#name", "Évening 1")
    page.click("#save-button")
    page.wait("document.querySelector('#saved').textContent === 'Saved Évening 1.m3u8 with 3 songs.'")
    assert playlist.read(lists / "Évening 1.m3u8") == [path_of(library, number) for number in (1, 9, 5)]
    page.click("#playlist .remove")
    page.click("#save-button")
    page.wait("document.querySelector('#save-button').textContent === 'Replace'")
    assert len(page.browser.errors) == 1  # Chromium reports the answer 409
    page.browser.errors.clear()
    page.click("#save-button")
    page.wait("document.querySelector('#saved').textContent === 'Saved Évening 1.m3u8 with 2 songs.'")
    page.reload()
    page.wait("document.querySelectorAll('#playlist .row').length === 2")
    page.click("#clear")
    assert page.ids("playlist") == []
    page.wait("document.querySelectorAll('#open option').length === 2")
    page.enter("#open", "Évening 1", "change")
    page.wait_for("playlist", [9, 5])
    assert page.js("document.querySelector('#name').value") == "Évening 1"


def test_dragging_into_a_playlist(page: Page) -> None:
    page.drag("#songs .row:nth-child(2)", "#playlist-view")
    page.drag("#songs .row:nth-child(4)", "#playlist-view")
    assert page.ids("playlist") == [2, 4]
    page.drag("#songs .row:nth-child(6)", "#playlist .row:nth-child(2)", 0.1)
    assert page.ids("playlist") == [2, 6, 4]
    page.drag("#playlist .row:nth-child(3)", "#playlist .row:nth-child(1)", 0.1)
    assert page.ids("playlist") == [4, 2, 6]
    page.drag("#playlist .row:nth-child(1)", "#playlist .row:nth-child(3)")
    assert page.ids("playlist") == [2, 6, 4]
    assert page.js("document.querySelectorAll('.before, .after, .over, .dragging').length") == 0


def test_playing(page: Page) -> None:
    """From a list, and on to the next song by itself: the songs are 0.4 s long."""
    page.js("window.started = []; document.querySelector('#audio').addEventListener('play', () => started.push(1))")
    page.click("#songs .play", 9)
    page.wait("document.querySelector('.playing')?.dataset.id === '12'")
    page.wait("document.querySelector('#audio').ended")
    assert page.text("#playing") == "Song 4"
    assert page.js("document.title") == "Song 4 · musiczoo"
    assert page.text("#playing-by") == "Čapek & Sons · Čapek & Sons's second"
    assert page.js("document.querySelector('#next').disabled")
    assert page.js("started.length") == 3
    page.click("#previous")
    page.wait("document.querySelector('.playing').dataset.id === '11'")
    page.wait("document.querySelector('.playing').dataset.id === '12'")  # by itself
    page.click("#playing")
    page.wait("location.hash === '#song-12'")
    assert not page.shown("#unplayable")


def test_tags_over_time(page: Page) -> None:
    page.choose(SEARCHED)
    page.click("#over-time summary")
    page.wait("!document.querySelector('#drawn').hidden")
    assert page.js("document.querySelectorAll('#rows li').length") == 12  # three of each dimension
    assert page.js("document.querySelector('#plot').getAttribute('aria-valuetext')").startswith("0:00 of 2:20: ")
    page.js("document.querySelector('#plot').dispatchEvent(new MouseEvent('click', { clientX: 0 }))")
    page.wait(f"document.querySelector('.playing').dataset.id === '{SEARCHED}'")


def test_the_map(page: Page, library: Library) -> None:
    page.choose(3)
    page.click("#views [data-view=map]")
    page.wait("document.querySelectorAll('#legend span').length > 1")
    assert not page.shown("#songs-view")
    assert page.js("document.querySelector('#map').getAttribute('aria-label')") == "Map of 12 songs"
    assert page.js("Array.from(document.querySelectorAll('#colour option'), (one) => one.value)") == list(
        library.config.spaces
    )
    tags = library.config.dimensions["mood"]
    page.enter("#colour", "mood", "change")
    strongest = {max(tags, key=lambda tag: e.tags[library.config.tags.index(tag)]) for e in library.entries()}
    named = {text.rpartition(" (")[0] for text in page.texts("#legend > span")[1:]} - {"other"}
    assert named <= strongest
    page.press("#map", "ArrowUp")  # the words leave only one song
    assert page.js("location.hash") == "#song-3"
    page.enter("#words", "")
    page.wait_for("songs", list(range(1, 13)))
    page.press("#map", "ArrowUp")
    page.wait("location.hash !== '#song-3'")
    assert page.shown("#tip")
    page.press("#map", "Enter")
    page.wait("document.querySelector('#playing').textContent !== ''")
    page.press("#map", "Escape")
    assert not page.shown("#tip")
    page.click("#views [data-view=songs]")
    assert page.shown("#songs-view")


def test_on_a_phone(page: Page) -> None:
    """One view at a time, nothing wider than the screen, and buttons for what keys do elsewhere."""
    page.browser.look(390, 844, phone=True)
    views = {"songs": "#songs-view", "map": "#map-view", "song": "#song-view", "playlist": "#playlist-view"}
    page.click("#songs .add")
    page.click("#songs .add", 1)
    page.choose(SEARCHED)
    assert page.js("document.body.dataset.view") == "song"
    page.click("#play")
    for name, selector in views.items():
        page.click(f"#views [data-view={name}]")
        assert [page.shown(other) for other in views.values()] == [other == selector for other in views.values()]
        assert page.js("document.documentElement.scrollWidth") == 390
        assert page.js("document.querySelector('[aria-current=page]').dataset.view") == name
    page.click("#playlist .down")
    assert page.ids("playlist") == [2, 1]


def test_names_and_roles(page: Page) -> None:
    """Each control has a name for a screen reader."""
    page.choose(SEARCHED)
    page.click("#songs .add")
    page.click("#play")
    tree = page.browser.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "textbox", "searchbox", "slider", "combobox", "tab", "spinbutton", "tablist", "navigation"}
    found = [(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if not node.get("ignored")]
    assert {role for role, name in found if role in controls and not name} == set()
    names = [name for role, name in found if role in controls]
    for expected in (
        "Find a song",
        "With the tag",
        "Play Song 1",
        "Add Song 1 to the playlist",
        "More like this",
        "genre",
    ):
        assert expected in names
    assert {"musiczoo", "1 song", title(SEARCHED), "Playlist"} <= {name for role, name in found if role == "heading"}
    assert {role for role, _ in found} >= {"search", "main", "status", "tabpanel", "list"}


def test_a_server_with_a_token(browser: Browser, serve: Callable[..., Server], shelves: Path, tmp_path: Path) -> None:
    """The page asks for it, again if it is wrong; audio plays; no folder of playlists is an answer, too."""
    (tmp_path / "token").write_text(TOKEN)
    os.chmod(tmp_path / "token", 0o600)
    with serve(shelves / "music.db", "--token-file", tmp_path / "token") as server:
        page = Page(browser, server.url)
        page.wait("!document.querySelector('#login').hidden")
        assert not page.shown("#main")
        for token in ("wrong", TOKEN):
            page.enter("#token", token)
            page.click("#login button")
            page.wait(f"document.querySelector('#login').hidden === {json.dumps(token == TOKEN)}")
            page.wait("document.querySelector('#token').value === ''")
        page.wait("document.querySelectorAll('#songs .row').length === 12")
        page.click("#songs .play", 2)
        page.wait("document.querySelector('#audio').currentTime > 0")
        page.click("#songs .add")
        page.enter("#name", "Evening")
        page.click("#save-button")
        page.wait("document.querySelector('#saved').textContent.includes('--playlists')")
        page.reload()
        page.wait("document.querySelectorAll('#songs .row').length === 12")
        assert not page.shown("#login")
    browser.errors.clear()


def test_a_server_that_is_gone(browser: Browser, serve: Callable[..., Server], shelves: Path) -> None:
    with serve(shelves / "music.db") as server:
        page = Page(browser, server.url)
        page.wait("document.querySelectorAll('#songs .row').length === 12")
        server.stop()
        page.enter("#words", "Song")
        page.wait("document.querySelector('#trouble').textContent.startsWith('The server does not answer')")
        assert page.shown("#trouble")
    browser.errors.clear()

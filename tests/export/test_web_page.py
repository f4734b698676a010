"""The exported page in Chromium: its module, and what people see and do.

It has to say what Python says of the same songs, so Python's answers are what it is compared with.
"""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import Browser, chromium
from needs import missing
from served import MODEL, Site, served

import musiczoo
from musiczoo import audio, demo
from musiczoo.errors import MissingDependencyError

pytestmark = pytest.mark.web

TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page in a browser."""
    if chromium() is None:
        missing("chromium")
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(served(tmp_path_factory.mktemp("site")))
        except MissingDependencyError as error:
            missing(f"npm and its registry: {error}")
        yield opened


@pytest.fixture(scope="module")
def model() -> musiczoo.Model:
    """The same model in Python."""
    return musiczoo.load(MODEL)


@pytest.mark.parametrize(
    ("seconds", "hop"), [(12.0, 3.0), (11.9, 1.5), (9.0, None), (1.0, 3.0)], ids=["plain", "overlap", "whole", "short"]
)
def test_same_samples_give_the_same_track(site: Site, model: musiczoo.Model, seconds: float, hop: float | None) -> None:
    rate = model.card.sample_rate
    samples = audio.read(demo.PATH, rate, seconds)
    with pytest.warns(audio.ShortAudioWarning) if seconds < 3 else nullcontext():
        expected = model.analyze(samples, sample_rate=rate, hop=hop)
    got = site.module(
        f"const track = await model.analyze({site.samples(samples)}, {{ hop: {json.dumps(hop)} }});"
        "return { tags: [...track.tags.probabilities], embedding: [...track.embedding], times: track.times,"
        " taggram: track.taggram.map((row) => [...row]), duration: track.duration, padded: track.padded,"
        " applies: track.tags.aboveThreshold().map((tag) => tag.name), top: track.tags.top(3).map((tag) => tag.name),"
        " moods: track.tags.byDimension().mood.map((tag) => tag.name), mood: [...track.space('mood')],"
        " spaceId: track.spaceId };"
    )
    assert np.abs(np.array(got["tags"]) - expected.tags.probabilities).max() < TOLERANCE
    assert np.abs(np.array(got["taggram"]) - expected.taggram).max() < TOLERANCE
    assert np.abs(np.array(got["embedding"]) - expected.embedding).max() < TOLERANCE
    assert np.abs(np.array(got["mood"]) - expected.space("mood")).max() < 2 * TOLERANCE
    assert got["times"] == pytest.approx(expected.times.tolist(), abs=1e-9)
    assert got["duration"] == pytest.approx(expected.duration_s, abs=1e-9)
    assert got["padded"] == expected.padded == (seconds < 3)
    assert got["applies"] == [tag.name for tag in expected.tags.above_threshold()]
    assert got["top"] == [tag.name for tag in expected.tags.top(3)]
    assert got["moods"] == [tag.name for tag in expected.tags.by_dimension()["mood"]]
    assert got["spaceId"] == model.card.space_id


def test_channels_of_a_decoded_file_are_averaged(site: Site, model: musiczoo.Model) -> None:
    rate = model.card.sample_rate
    left = audio.read(demo.PATH, rate, 6.0)
    stereo = np.stack([left, 0.25 * left[::-1]], axis=1)
    file = io.BytesIO()
    soundfile.write(file, stereo, rate, format="WAV", subtype="FLOAT")
    got = site.module(
        f"const sound = await model.decode({site.serve('stereo.wav', file.getvalue())});"
        "return [sound.numberOfChannels, [...(await model.analyze(sound)).tags.probabilities]];"
    )
    assert got[0] == 2
    expected = model.analyze(stereo, sample_rate=rate).tags.probabilities
    assert np.abs(np.array(got[1]) - expected).max() < TOLERANCE


def test_a_file_of_another_rate_is_heard_nearly_as_in_python(site: Site, model: musiczoo.Model) -> None:
    """The browser's resampler is not soxr: what differs is far less than what matters for a tag."""
    assert soundfile.info(demo.PATH).samplerate != model.card.sample_rate
    got = site.module(
        f"const sound = await model.decode(new Blob([{site.serve('demo.ogg', demo.PATH.read_bytes())}]));"
        "return [...(await model.analyze(sound)).tags.probabilities];"
    )
    assert np.abs(np.array(got) - model.analyze(demo.PATH).tags.probabilities).max() < 0.02


def test_similarity_is_the_weighted_mean_of_cosines(site: Site, model: musiczoo.Model) -> None:
    a, b = (model.analyze(site.songs[name]) for name in ("start", "basses"))
    first, second = (site.serve(f"{name}.wav", site.songs[name].read_bytes()) for name in ("start", "basses"))
    got, equal = site.module(
        f"const a = await model.analyze(await model.decode({first}));"
        f"const b = await model.analyze(await model.decode({second}));"
        "return [musiczoo.similarity(a, b, { genre: 3, era: 1 }), musiczoo.similarity(a, b)];"
    )
    cosines = {name: float(a.space(name) @ b.space(name)) for name in model.card.spaces}
    assert got["dimensions"] == pytest.approx(cosines, abs=TOLERANCE)
    assert got["score"] == pytest.approx(0.75 * cosines["genre"] + 0.25 * cosines["era"], abs=TOLERANCE)
    assert equal["score"] == pytest.approx(sum(cosines.values()) / 4, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("model.analyze(new Float32Array(0))", "AudioError: Expected audio, got 0 samples"),
        (
            "model.analyze(new Float32Array(9e4).fill(NaN, 22050))",
            "AudioError: Expected finite samples, got NaN at",
        ),
        ("model.analyze([0, 1])", "InputError: Expected an AudioBuffer or a Float32Array, got Array"),
        ("model.analyze(new Float32Array(9), { hop: 0 })", "InputError: Expected hop as a positive number"),
        (
            "model.analyze(new AudioBuffer({ length: 9, sampleRate: 8000 }))",
            "InputError: Expected 22050 Hz, got 8000",
        ),
        ("model.decode(new Blob(['no song']))", "AudioError: Expected audio that this browser can decode, got 7"),
        ("musiczoo.load('nowhere')", "Error: Expected a model's card.json in"),
        ("heard.then((a) => musiczoo.similarity(a, a, { genre: 0 }))", "InputError: Expected weights of 0 or more"),
        ("heard.then((a) => musiczoo.similarity(a, a, { tempo: 1 }))", "InputError: Unknown dimension"),
        ("heard.then((a) => musiczoo.similarity(a, { ...a, spaceId: 'x' }))", "InputError: Expected two tracks of one"),
        ("heard.then((a) => a.tags.get('polka'))", "InputError: Unknown tag"),
    ],
)
def test_mistakes_are_explained(site: Site, call: str, said: str) -> None:
    got = site.module(
        "const heard = model.analyze(new Float32Array(9));"
        f"try {{ await ({call}); return 'nothing'; }} catch (error) {{ return String(error); }}"
    )
    assert got.startswith(said)


def slide(browser: Browser, weights: dict[str, int]) -> None:
    """Move the sliders, by name."""
    for name, weight in weights.items():
        browser.js(
            f"(() => {{ const slider = document.querySelector('#sliders input[name={name}]');"
            f" slider.value = {weight}; slider.dispatchEvent(new Event('input')); }})()"
        )


@pytest.fixture(scope="module")
def filled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The page with seven songs, of which the first is shown, and a file that is none."""
    broken = tmp_path_factory.mktemp("broken") / "broken.mp3"
    broken.write_bytes(bytes(range(256)) * 20)
    site.browser.choose_files("#songs-input", [broken, *site.songs.values()])
    site.browser.wait(
        f"document.querySelectorAll('#songs .song').length === {len(site.songs)}"
        " && document.getElementById('work').hidden"
    )
    return site


def test_page_shows_the_first_song_and_says_which_file_is_broken(filled: Site, model: musiczoo.Model) -> None:
    assert filled.text("#songs li .trouble").startswith("Expected audio that this browser can decode")
    assert filled.text("#title") == "start"
    tags = model.analyze(filled.songs["start"]).tags.by_dimension()
    shown = filled.browser.js(
        "[...document.querySelectorAll('#tags .tag')].map((row) => row.innerText.split('\\n')[0])"
    )
    assert [name.removesuffix(" (predicted)") for name in shown] == [
        tag.name for ranked in tags.values() for tag in ranked[:5]
    ]


def test_sliders_rank_anew_at_once(filled: Site, model: musiczoo.Model) -> None:
    tracks = {name: model.analyze(path) for name, path in filled.songs.items()}

    def ranked(*spaces: str) -> list[str]:
        """Titles by the sum of their cosines with the first song."""

        def score(name: str) -> float:
            return sum(float(tracks["start"].space(space) @ tracks[name].space(space)) for space in spaces)

        return sorted((name for name in tracks if name != "start"), key=score, reverse=True)

    assert filled.nearest() == ranked(*model.card.spaces)
    orders = set()
    for space in model.card.spaces:
        slide(filled.browser, dict.fromkeys(model.card.spaces, 0) | {space: 100})
        assert filled.nearest() == ranked(space)
        orders.add(tuple(filled.nearest()))
    assert len(orders) > 1, "songs that no slider sorts otherwise show nothing"
    slide(filled.browser, dict.fromkeys(model.card.spaces, 0))
    assert filled.nearest() == []
    assert "raise a slider" in filled.text("#near-note")
    slide(filled.browser, dict.fromkeys(model.card.spaces, 100))
    assert filled.nearest() == ranked(*model.card.spaces)


def test_nearest_songs_say_how_near_in_each_dimension(filled: Site, model: musiczoo.Model) -> None:
    a, b = (model.analyze(filled.songs[name]) for name in ("start", filled.nearest()[0]))
    said = filled.browser.js(
        "[...document.querySelectorAll('#near li:first-child .cosines > span')].map((e) => e.innerText)"
    )
    assert [line.split() for line in said] == [
        [space, f"{float(a.space(space) @ b.space(space)):.2f}"] for space in model.card.spaces
    ]


def test_click_on_the_taggram_plays_from_there_and_keys_move(filled: Site) -> None:
    browser = filled.browser
    browser.js("document.getElementById('plot').scrollIntoView({ block: 'center' })")
    x, y, width = browser.js(
        "(() => { const b = document.getElementById('plot').getBoundingClientRect(); return [b.x, b.y, b.width]; })()"
    )
    browser.js(
        "window.player = document.getElementById('audio'); window.played = 0;"
        "player.addEventListener('playing', () => { window.played = player.currentTime; player.pause(); })"
    )
    browser.click(x + width / 2, y + 10)
    browser.wait("window.played > 0 && player.paused")
    assert browser.js("window.played") == pytest.approx(4.0, abs=0.5)  # the middle of 8 s
    browser.js("document.getElementById('plot').focus()")
    browser.press("Home")
    browser.press("ArrowRight")
    browser.wait("player.currentTime === 3 && !player.seeking")
    assert browser.js("document.getElementById('plot').getAttribute('aria-valuetext')").startswith("0:03 of 0:08: ")
    assert browser.js("document.getElementById('marker').style.left") == "37.5%"


def test_every_control_has_a_name(filled: Site, model: musiczoo.Model) -> None:
    """What a screen reader would call them, as the browser computes it."""
    nodes = filled.browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "checkbox", "progressbar"}
    controls = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in roles]
    named = {node["name"]["value"] for node in controls if node.get("name", {}).get("value")}
    unnamed = [node["role"]["value"] for node in controls if not node.get("name", {}).get("value")]
    assert unnamed == []
    assert {"Choose songs…", "Choose a folder…", "Remove all", "all tags", "Tags over time"} <= named
    assert all(any(name.startswith(space) for name in named) for space in model.card.spaces)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_fits_a_phone_and_can_be_read(filled: Site, dark: bool) -> None:
    """Nothing sticks out at 360 pixels; text stands out from its background as WCAG AA asks, 4.5 to 1."""
    filled.browser.look(360, 780, dark=dark, phone=True)
    assert filled.browser.js("document.documentElement.scrollWidth") == 360
    colours = filled.browser.js(
        "['--back', '--stripe', '--text', '--soft', '--accent', '--bad'].map((name) =>"
        " getComputedStyle(document.documentElement).getPropertyValue(name).trim())"
    )
    back, stripe, *texts = map(luminance, colours)
    assert (back < 0.1) == dark
    for ground in (back, stripe):
        for text in texts:
            assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4.5
    filled.browser.look(1280, 900)


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb (WCAG 2.1)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_dropped_folder_is_unfolded(site: Site, tmp_path: Path) -> None:
    browser = site.browser
    browser.js("document.getElementById('clear').click()")
    album = tmp_path / "album"
    (album / "side b").mkdir(parents=True)
    shutil.copyfile(site.songs["start"], album / "side b" / "2.wav")
    shutil.copyfile(site.songs["fast"], album / "1.wav")
    (album / "cover.txt").write_text("no song")
    browser.js("scrollTo(0, 0)")
    browser.drop_files("#drop", [album])
    browser.wait("document.querySelectorAll('#songs .song').length === 2 && document.getElementById('work').hidden")
    titles = "[...document.querySelectorAll('#songs .song')].map((song) => song.title)"
    assert browser.js(titles) == ["album/1.wav", "album/side b/2.wav"]


def test_nothing_went_wrong_unseen(site: Site) -> None:
    """After all of the above: no exception, no refusal by the page's policy, but the one 404 that a test asks for."""
    assert [error for error in site.browser.errors if "nowhere" not in error] == []


def test_no_request_leaves_this_machine(filled: Site) -> None:
    """As the page's and its workers' own network log says."""
    asked, inside = filled.browser.requests, ("data:", f"blob:{filled.address}", filled.address)
    assert [address for address in asked if not address.startswith(inside)] == []
    assert any(address.endswith("ort-wasm-simd-threaded.wasm") for address in asked), "the worker is not watched"

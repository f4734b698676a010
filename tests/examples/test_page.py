"""The page of one's own with the ES module, in Chromium."""

import functools
import http.server
import re
import shutil
import threading
from pathlib import Path

import pytest
from browser import Browser, chromium
from needs import missing
from toy import write_audio

import musiczoo
from musiczoo import audio, demo
from musiczoo.errors import MissingDependencyError
from musiczoo.export.web import export_web

pytestmark = pytest.mark.web

PAGE = Path(__file__).parents[2] / "examples" / "web" / "index.html"
MODEL = "disentangled-classification"


def test_a_song_is_tagged_by_the_module_of_another_folder(tmp_path: Path) -> None:
    if chromium() is None:
        missing("chromium")
    site = tmp_path / "site"
    found = re.search(r'"musiczoo": "\./(.*)/musiczoo\.js"', PAGE.read_text(encoding="utf-8"))
    assert found
    assert found[1].endswith(f"@{musiczoo.__version__}")
    try:
        export_web(MODEL, site / found[1])
    except MissingDependencyError as error:
        missing(f"npm and its registry: {error}")
    shutil.copy(PAGE, site)
    model = musiczoo.load(MODEL)
    rate = model.card.sample_rate
    song = write_audio(tmp_path / "song.wav", audio.read(demo.PATH, rate, 7), rate, "FLOAT")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(f"http://127.0.0.1:{server.server_address[1]}/index.html")
        browser.wait("document.getElementById('status').textContent === 'Choose a song.'")
        browser.choose_files("#song", [song])
        browser.wait("document.getElementById('status').textContent === 'Done.'")
        shown = browser.js("[...document.querySelectorAll('#tags li')].map((item) => item.textContent.split(': '))")
        broken = tmp_path / "broken.wav"
        broken.write_bytes(b"no song")
        browser.choose_files("#song", [broken])
        browser.wait("document.getElementById('status').textContent.startsWith('Expected audio')")
    finally:
        browser.close()
        server.shutdown()
        server.server_close()
    expected = model.analyze(song).tags.top(5)
    assert [name for name, _ in shown] == [tag.name for tag in expected]
    assert [float(value) for _, value in shown] == pytest.approx([tag.probability for tag in expected], abs=2e-3)

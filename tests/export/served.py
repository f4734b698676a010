"""The exported page of the published model, served from here and open in a browser."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser
from toy import Floats, music, write_audio

import musiczoo
from musiczoo import audio, demo
from musiczoo.export.web import export_web

MODEL = "disentangled-classification"


@dataclass
class Site:
    """The exported page in a browser, and songs on disk."""

    browser: Browser
    address: str
    folder: Path
    songs: dict[str, Path]

    def serve(self, name: str, content: bytes) -> str:
        """JavaScript that is an ArrayBuffer with a file's content."""
        (self.folder / name).write_bytes(content)
        return f"await (await fetch('{name}', {{ cache: 'no-store' }})).arrayBuffer()"

    def samples(self, samples: Floats) -> str:
        """JavaScript that is a Float32Array with these samples."""
        return f"new Float32Array({self.serve('samples', samples.astype('<f4').tobytes())})"

    def module(self, body: str) -> Any:
        """What an async function in which `model` is loaded and `musiczoo` the module returns."""
        return self.browser.js(
            "(async () => { const musiczoo = await import('./musiczoo.js');"
            f"const model = await (window.loaded ??= musiczoo.load()); {body} }})()"
        )

    def nearest(self) -> list[str]:
        """Titles in the list, nearest first."""
        titles: list[str] = self.browser.js("[...document.querySelectorAll('#near .song')].map((e) => e.textContent)")
        return titles

    def text(self, selector: str) -> str:
        """What an element says."""
        return str(self.browser.js(f"document.querySelector({selector!r}).innerText"))


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """The site, until the end of the block; `folder` is an empty one.

    Raises:
        MissingDependencyError: If npm cannot fetch the runtime.
    """
    export_web(MODEL, folder / "page")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder / "page")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = Browser(folder / "profile")
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        browser.look(1280, 900)
        browser.open(f"{address}index.html")
        browser.wait("document.getElementById('startup').hidden")
        yield Site(browser, address, folder / "page", write_songs(folder / "songs"))
    finally:
        browser.close()
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def write_songs(folder: Path) -> dict[str, Path]:
    """Songs at the model's rate, so that no resampling differs: two excerpts of real music, and what can be made of
    them by playing faster, slower and too loud and by taking the treble away; and a tone."""
    folder.mkdir()
    rate = musiczoo.load(MODEL).card.sample_rate
    recording = audio.read(demo.PATH, rate)
    start, end = recording[: 8 * rate], recording[-8 * rate :]
    basses = np.convolve(end, np.ones(60) / 60, "same")
    songs = {
        "start": start, "end": end, "fast": end[::2], "slow": np.repeat(start[: 4 * rate], 2),
        "loud": 0.9 * np.tanh(20 * end), "basses": basses, "tone": music(6, rate),
    }  # fmt: skip
    return {name: write_audio(folder / f"{name}.wav", samples, rate) for name, samples in songs.items()}

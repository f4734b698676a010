"""Chromium without a window, driven through the DevTools protocol over two pipes: no package, no port."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--mute-audio", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps", "--disable-extensions", "--remote-debugging-pipe"),
    "--autoplay-policy=no-user-gesture-required",
)
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends): os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from file 3 and writes answers to file 4."""

TIMEOUT_S = 180
"""Far more than anything takes: the machine may be busy."""


def chromium() -> str | None:
    """The program, if it is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page. `requests` are the addresses that it and its workers asked for, `errors` what went wrong in them."""

    def __init__(self, profile: Path) -> None:
        theirs, self._to = os.pipe()
        self._from, answers = os.pipe()
        program = chromium()
        assert program is not None
        command = [
            sys.executable,
            "-c",
            LAUNCH,
            str(theirs),
            str(answers),
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
        ]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [*command, "about:blank"], pass_fds=(theirs, answers), stdout=quiet, stderr=quiet, start_new_session=True
        )
        os.close(theirs)
        os.close(answers)
        self._poll = select.poll()  # select() takes no file descriptor above 1023
        self._poll.register(self._from, select.POLLIN)
        self._buffer, self._id, self._session = b"", 0, ""
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def call(self, method: str, **params: Any) -> Any:
        """Give a command and wait for its result."""
        asked = self._send(method, params, self._session)
        until = time.monotonic() + TIMEOUT_S
        while True:
            message = self._read(until)
            if message.get("id") == asked:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def js(self, expression: str) -> Any:
        """The value of an expression, or of its promise."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:2000])
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        until = time.monotonic() + TIMEOUT_S
        while not self.js(expression):
            if time.monotonic() > until:
                raise TimeoutError(f"{expression}; {self.errors}")
            time.sleep(0.02)

    def open(self, address: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=address)
        self.wait(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    def choose_files(self, selector: str, paths: list[Path]) -> None:
        """What a person chooses with an <input type="file">."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop_files(self, selector: str, paths: list[Path]) -> None:
        """What a person drags from a folder of the desktop and lets go of over an element."""
        x, y = self.js(
            f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def click(self, x: float, y: float) -> None:
        """A click of the left button."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """A key, by its name such as ``ArrowRight``."""
        codes = {
            "ArrowLeft": 37,
            "ArrowRight": 39,
            "Home": 36,
            "ArrowUp": 38,
            "ArrowDown": 40,
            "Enter": 13,
            "Escape": 27,
            "Tab": 9,
        }
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def look(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """The window's size and colours."""
        scale = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """The whole page as a PNG file."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End it."""
        os.close(self._to)  # chromium ends when its pipe does
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._from)

    def _send(self, method: str, params: dict[str, Any], session: str) -> int:
        self._id += 1
        message = {"id": self._id, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        return self._id

    def _read(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready = self._poll.poll(1000 * max(0, until - time.monotonic()))
            data = os.read(self._from, 1 << 16) if ready else b""
            if not data:
                raise TimeoutError("no answer from chromium")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)  # type: ignore[no-any-return]

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Target.attachedToTarget":  # a worker, which waits until it is watched
            for command in ("Network.enable", "Runtime.enable", "Runtime.runIfWaitingForDebugger"):
                self._send(command, {}, params["sessionId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(json.dumps(params["args"])[:500])

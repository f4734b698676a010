"""The front end that our pages share: one style sheet and a few ES modules, served as they are, with no build step.

- ``style.css``: colours (light, dark, print), type, controls, bars, lists.
- ``text.js``: numbers as people read them, and words as people type them.
- ``elements.js``: elements that hold text, tags with their probabilities, links, sliders, announcements.
- ``colours.js``: the colours of the style sheet, for what is drawn.
- ``player.js``: an audio element that says what it cannot play.
- ``taggram.js``: tags over time, with a marker where the song plays.
- ``points.js``: points that can be moved, zoomed and chosen by pointer, touch and keys.
- ``kinds.js``: points of several kinds, with a legend.

A page that a file server shows (`musiczoo.export.web`) has them in the folder ``web`` beside it (`copy`). `musiczoo
serve` sends them itself (`shared_files`). A page that is one file and opened from disk (`musiczoo.library.map`) cannot
import modules: it holds them as one script (`bundle`).
"""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

FOLDER = "web"
"""Where pages find the shared files, relative to themselves: ``import { clock } from "./web/text.js";``."""

STYLE = "style.css"

_SHARED = files(__package__)
_IMPORT = re.compile(rf'^import (\{{[\w$, ]+\}}) from "\./({FOLDER}/)?(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) ([\w$]+))", re.MULTILINE)


def style() -> str:
    """The shared style sheet."""
    return _SHARED.joinpath(STYLE).read_text(encoding="utf-8")


def copy(page: Path) -> None:
    """Write the shared files into the folder of a page."""
    (page / FOLDER).mkdir()
    for name, contents in shared_files().items():
        (page / FOLDER / name).write_bytes(contents)


def shared_files() -> dict[str, bytes]:
    """Name -> contents of the shared files, for a server that sends them itself."""
    return {file.name: file.read_bytes() for file in _SHARED.iterdir() if file.name.endswith((".css", ".js"))}


def bundle(folder: Traversable, main: str) -> str:
    """Make one classic script of a module and all that it imports.

    Each module becomes a function that is called once, in the order of the imports, and returns what it exports; so no
    name of one meets a name of another. Each import has to be a line ``import { a, b } from "./name.js";``, and each
    export to stand at what it declares.

    Args:
        folder: Of the module, as `importlib.resources.files` gives it.
        main: Its name, without the ending.
    """
    parts: dict[str, str] = {}

    def add(folder: Traversable, name: str) -> None:
        source = folder.joinpath(f"{name}.js").read_text(encoding="utf-8")
        for _, shared, other in _IMPORT.findall(source):
            if other not in parts:
                add(_SHARED if shared else folder, other)
        exports = ", ".join(_EXPORT.findall(source))
        body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = modules.\3;", source))
        parts[name] = f"modules.{name} = (() => {{\n{body}return {{ {exports} }};\n}})();\n"

    add(folder, main)
    return '"use strict";\nconst modules = {};\n' + "".join(parts.values())

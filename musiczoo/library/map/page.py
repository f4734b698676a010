"""The map as one HTML page.

Conventions
-----------
- Nothing of what a file says about itself becomes markup: the data is JSON in which ``<``, ``>`` and ``&`` are escaped,
  and the script writes it as text. The page's own policy lets no script run but that one, and lets nothing load but
  audio: from the disk, or from the server that serves the page.

Importing this module imports Jinja (extra [library]).
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from ...errors import MissingDependencyError
from .colours import KINDS, OTHERS, SCALES
from .content import NEIGHBOURS

try:
    import jinja2
    from markupsafe import Markup
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "The map needs Jinja, which is not installed. Install it with: pip install 'musiczoo[library]'"
    ) from error

TEMPLATE = "page.html.jinja"
STYLE = "page.css"
SCRIPTS = ("data.js", "view.js", "controls.js")
"""One script in the page, in this order."""


def render(title: str, lead: str, content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        title: Of the page.
        lead: A sentence below it.
        content: See `content.content`.
    """
    script = '"use strict";\n' + "\n".join(_file(name) for name in SCRIPTS)
    data = {**content, "neighbours": NEIGHBOURS, "scales": SCALES, "kinds": KINDS, "others": OTHERS}
    return _template().render(
        title=title, lead=lead, data=data, style=Markup(_file(STYLE)), script=Markup(script), policy=_policy(script)
    )


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Not Jinja's own, which sort: dimensions keep their order.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.get_template(TEMPLATE)

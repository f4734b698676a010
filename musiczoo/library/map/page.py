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

from ... import web
from ...errors import MissingDependencyError
from .content import NEIGHBOURS

try:
    import jinja2
    from markupsafe import Markup
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "The map needs Jinja, which is not installed. Install it with: pip install 'musiczoo[library]'"
    ) from error

TEMPLATE, STYLE, SCRIPT = "map.html.jinja", "map.css", "map"


def render(title: str, lead: str, content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        title: Of the page.
        lead: A sentence below it.
        content: See `content.page_content`.
    """
    folder = files(__package__)
    script = web.bundle(folder, SCRIPT)
    style = web.style() + folder.joinpath(STYLE).read_text(encoding="utf-8")
    data = {**content, "neighbours": NEIGHBOURS}
    return _template().render(
        title=title, lead=lead, data=data, style=Markup(style), script=Markup(script), policy=_policy(script)
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

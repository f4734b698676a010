"""A report as one HTML page that needs no other file and no network: text, tables and pictures.

Importing this module imports Jinja (extra [report]).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from musiczoo.errors import MissingDependencyError

from .pictures import pictures
from .sections import lead, sections, title

try:
    import jinja2
    from markupsafe import Markup
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        "The HTML page of a report needs Jinja, which is not installed. Install it with: pip install 'musiczoo[report]'"
    ) from error

TEMPLATE = "page.html.jinja"


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    return _template().render(
        title=title(report),
        lead=lead(report),
        sections=sections(report),
        pictures=pictures(report),
        drawing=Markup,  # svg.py has escaped what is not ours
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)

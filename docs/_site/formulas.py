"""Formulas: LaTeX between dollar signs becomes MathML when the site is built.

Browsers draw MathML themselves, so the site needs no script and no font for it, and screen readers can read it. KaTeX
would look a little better, at the price of scripts and fonts from npm on every page.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Replace what pymdownx.arithmatex has marked."""
    content = _INLINE.sub(lambda found: convert(html.unescape(found[1])), content)
    return _BLOCK.sub(
        lambda found: f'<div class="formula">{convert(html.unescape(found[1]).strip(), display="block")}</div>', content
    )

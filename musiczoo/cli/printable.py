"""Text for a terminal, whoever wrote it: names of files, their titles, what a card says."""

import re

from .._paths import as_text

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What moves the cursor, renames the window or worse; not line breaks and tabs."""


def printable(text: str) -> str:
    """The text with a mark for each control character, and for each byte of a name that is no UTF-8."""
    return _CONTROLS.sub("\ufffd", as_text(text))

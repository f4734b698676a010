"""Names -> model folders.

Conventions
-----------
- A model is a folder with a card.json; its name is the folder's.
- Those in the package's own zoo come first, then those in the user's, ``$MUSICZOO_HOME/zoo`` or
  ``~/.musiczoo/zoo``. One there that bears a packaged model's name is not found by that name, so that a name
  always means the published weights: load it by its path.
"""

import os
from contextlib import suppress
from pathlib import Path

from .card import CARD_FILE
from .errors import UnknownNameError

HOME_VARIABLE = "MUSICZOO_HOME"
"""Environment variable that moves ``~/.musiczoo``."""


def packaged_zoo() -> Path:
    """The folder of the models that come with musiczoo."""
    return Path(__file__).parent / "zoo"


def user_zoo() -> Path:
    """The folder of the models that a user imported or published; it need not exist."""
    home = os.environ.get(HOME_VARIABLE)
    return (Path(home).expanduser() if home else Path.home() / ".musiczoo") / "zoo"


def list_models() -> list[str]:
    """Names of the models that `musiczoo.load` finds, sorted."""
    return sorted(_folders())


def find(name_or_folder: str | os.PathLike[str]) -> Path:
    """The folder of a model.

    Args:
        name_or_folder: One of `list_models`; or a folder's path. A name is looked up first, so a folder that
            bears a model's name is written ``./name``.

    Raises:
        UnknownNameError: If there is neither such a model nor such a folder, with the nearest name.
    """
    text = os.fspath(name_or_folder)
    folders = _folders() if isinstance(name_or_folder, str) else {}
    if text in folders:
        return folders[text]
    if text and os.path.isdir(text):
        return Path(text)
    raise UnknownNameError.of("model", text, list_models())


def named(name: str) -> Path:
    """The folder of one of `list_models`, for names that files hold: no path is followed.

    Raises:
        UnknownNameError: If there is no such model, with the nearest name.
    """
    folders = _folders()
    if name not in folders:
        raise UnknownNameError.of("model", name, list_models())
    return folders[name]


def _folders() -> dict[str, Path]:
    """Name -> folder; the package's come last and so win."""
    found: dict[str, Path] = {}
    for zoo in (user_zoo(), packaged_zoo()):
        with suppress(PermissionError):  # the home of whoever started us may be closed to who we are now
            found |= {card.parent.name: card.parent for card in zoo.glob(f"*/{CARD_FILE}")}
    return found

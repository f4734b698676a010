"""What tests of other runtimes need besides Python packages: browsers, Node, registries."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test; fail it where nothing may be missing, which ``$CI`` says.

    Args:
        what: The thing that the test needs.
    """
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {what}")

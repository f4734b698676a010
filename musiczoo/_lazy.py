"""Names that a package imports when they are first used (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Mapping


def attribute(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a package.

    Args:
        package: Its ``__name__``.
        homes: Public name -> the submodule that it is in.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(f".{homes[name]}", package), name)
        setattr(sys.modules[package], name, value)  # the next time, nobody asks
        return value

    return get

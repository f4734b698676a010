"""Import the public names of a package on first use (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping


def attribute(package: str, homes: Mapping[str, str], modules: Collection[str] = ()) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: ``__name__`` of the package.
        homes: Public name -> the submodule that defines it.
        modules: Submodules that are public themselves.
    """

    def get(name: str) -> object:
        if name in modules:
            return importlib.import_module(f".{name}", package)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(f".{homes[name]}", package), name)
        setattr(sys.modules[package], name, value)  # later accesses do not come here
        return value

    return get

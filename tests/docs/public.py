"""What is public: the functions and classes that the Python reference shows, read without importing them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
ROOMS = {"musiczoo.models": ROOT / "models", "musiczoo.export": ROOT / "export", "musiczoo": ROOT / "musiczoo"}

Definition = ast.FunctionDef | ast.ClassDef


def named() -> list[str]:
    """The names that the pages ask for: `::: musiczoo.load`."""
    texts = (page.read_text(encoding="utf-8") for page in sorted(PAGES.rglob("*.md")))
    return sorted({name for text in texts for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)})


def source(module: str) -> Path | None:
    """The file of a module or package; None if there is none."""
    room = next((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), None)
    if room is None:
        return None
    place = ROOMS[room].joinpath(*module.removeprefix(room).strip(".").split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def _read(module: str) -> ast.Module:
    path = source(module)
    assert path, module
    return ast.parse(path.read_text(encoding="utf-8"))


def _definition(module: str, name: str) -> tuple[str, Definition] | None:
    """A function or class of a module, or of where the module imports it from; and the module that has it."""
    if source(module) is None:  # of another package
        return None
    for node in ast.walk(_read(module)):
        if isinstance(node, Definition) and node.name == name and node in _read(module).body:
            return module, node
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            path = source(module)
            package = module if path and path.name == "__init__.py" else module.rpartition(".")[0]
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            return _definition(".".join([*parts, *(node.module or "").split(".")]).strip("."), name)
    return None


def _inherited(home: str, one: ast.ClassDef) -> list[ast.stmt]:
    """What a class of a module has from bases of our own, which the page shows with it."""
    bases = [_definition(home, base.id) for base in one.bases if isinstance(base, ast.Name)]
    return [node for found in bases if found and isinstance(found[1], ast.ClassDef) for node in found[1].body]


def public(name: str) -> Iterator[tuple[str, str]]:
    """(name, docstring) of the functions and classes that a name shows; of a class by name, its methods too.

    Errors and warnings are left out: nobody calls them.
    """
    if source(name):
        found = [node for node in _read(name).body if isinstance(node, Definition)]
    else:
        module, _, last = name.rpartition(".")
        defined = _definition(module, last)
        assert defined, f"{name}: there is no such function, class or module"
        home, one = defined
        found = [one]
        if isinstance(one, ast.ClassDef):
            for node in [*one.body, *_inherited(home, one)]:
                if isinstance(node, ast.FunctionDef) and not _hidden(node):
                    yield f"{name}.{node.name}", ast.get_docstring(node) or ""
    for node in found:
        if not _hidden(node) and not _raised(node):
            yield (f"{name}.{node.name}" if source(name) else name), ast.get_docstring(node) or ""


def _raised(node: Definition) -> bool:
    """Whether it is an error or a warning."""
    bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
    return any(base.endswith(("Error", "Exception", "Warning")) for base in bases)


def has_example(docstring: str) -> bool:
    """Whether a docstring has an example that runs."""
    return any(line.strip().startswith(">>>") and "+SKIP" not in line for line in docstring.splitlines())


def _hidden(node: Definition) -> bool:
    """Whether a reader does not see it: private, or a property, which has no arguments to show."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return node.name.startswith("_") or "property" in decorators or "overload" in decorators


def modules_with_examples() -> list[str]:
    """Modules of all three rooms whose text has an example."""
    names = []
    for package, folder in ROOMS.items():
        for path in sorted(folder.rglob("*.py")):
            if has_example(path.read_text(encoding="utf-8")):
                parts = path.relative_to(folder).with_suffix("").parts
                names.append(".".join([package, *(part for part in parts if part != "__init__")]))
    return names

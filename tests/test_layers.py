"""The layers of the package: imports point down, and there are no circles.

All imports count, those inside functions too; imports for type checkers only (``if TYPE_CHECKING:``) do not.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"musiczoo": "musiczoo", "models": "musiczoo.models", "export": "musiczoo.export"}

LAYERS = [
    ["musiczoo", "errors", "_files", "_lazy", "_neighbors", "_parallel", "_paths", "_projection", "demo", "zoo"],
    ["taxonomy", "card", "audio", "session", "web", "tag_map", "standard_fields"],
    ["track", "hub", "registry", "model", "file_tags", "plots"],
    ["library", "evaluation", "datasets", "notebook", "sklearn"],
    ["models", "export", "scale"],
    ["server"],
    ["cli"],
    ["beets"],
    ["beetsplug", "__main__"],
]
"""Parts of the package from the bottom up. A part may import those of the layers below."""

SIDEWAYS = {
    # model reads files and finds models, also those of the Hub; a track is what it returns.
    *{
        ("model", "hub"),
        ("registry", "hub"),
        ("model", "track"),
        ("model", "registry"),
        ("file_tags", "track"),
        ("plots", "track"),
    },
    *{("musiczoo", "_lazy"), ("session", "card"), ("_files", "errors"), ("_paths", "errors"), ("_parallel", "errors")},
    *{("evaluation", "datasets"), ("notebook", "library"), ("export", "models"), ("errors", "_paths")},
}
"""Pairs of one layer of which the first may import the second."""

MOST_FRAGMENTS = 10
FRAGMENT_LINES = 80


def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of the package."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


MODULES = modules()


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node)


def imported(name: str, text: str) -> set[str]:
    """Modules of the package that a module's text imports.

    A package's names may come from the modules that its ``__init__`` imports lazily; they count as the package.
    """
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in _nodes(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: -(node.level - 1) or None] if node.level else []
            source = ".".join(parts + ([node.module] if node.module else []))
            for alias in node.names:
                target = f"{source}.{alias.name}"
                found |= {target} if target in MODULES else {source} & set(MODULES)
    return found - {name}


@cache
def import_graph() -> dict[str, set[str]]:
    """Each module and the modules of the package that it imports."""
    return {name: imported(name, path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def part(name: str) -> str:
    """``musiczoo.library.scan`` -> ``library``."""
    return name.split(".")[1] if "." in name else name


def test_every_part_has_a_layer() -> None:
    known = {name for layer in LAYERS for name in layer}
    assert {part(name) for name in MODULES} <= known


def test_imports_point_down() -> None:
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    wrong = [
        f"{name} imports {target}"
        for name, targets in sorted(import_graph().items())
        for target in sorted(targets)
        if (a := part(name)) != (b := part(target))
        and level[a] <= level[b]
        and b != "musiczoo"
        and (a, b) not in SIDEWAYS
    ]
    assert wrong == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other: strongly connected components by two depth-first searches."""
    order: list[str] = []
    reverse = defaultdict(set)
    for name, targets in graph.items():
        for target in targets:
            reverse[target].add(name)

    def visit(start: str, edges: dict[str, set[str]], seen: set[str], done: list[str]) -> None:
        stack = [(start, iter(sorted(edges.get(start, ()))))]
        seen.add(start)
        while stack:
            name, targets = stack[-1]
            following = next((target for target in targets if target not in seen), None)
            if following is None:
                done.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges.get(following, ())))))

    seen: set[str] = set()
    for name in sorted(graph):
        if name not in seen:
            visit(name, graph, seen, order)
    seen, found = set(), []
    for name in reversed(order):
        if name not in seen:
            group: list[str] = []
            visit(name, reverse, seen, group)
            if len(group) > 1:
                found.append(sorted(group))
    return found


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"d2"}, "d2": {"d"}}, [["b", "c"], ["d", "d2"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], expected: list[list[str]]) -> None:
    assert sorted(circles(graph)) == expected


def test_there_are_no_circles() -> None:
    assert circles(import_graph()) == []


def test_there_are_few_fragments() -> None:
    """A short file with one importer belongs in that importer, unless it is a separate concept."""
    importers = defaultdict(set)
    for name, targets in import_graph().items():
        for target in targets:
            importers[target].add(name)
    short = sorted(
        name
        for name, path in MODULES.items()
        if path.name not in ("__init__.py", "__main__.py")
        and len(importers[name]) == 1
        and len(path.read_text(encoding="utf-8").splitlines()) < FRAGMENT_LINES
    )
    assert len(short) <= MOST_FRAGMENTS, short

"""reference/command-line.md, made from the commands themselves: a page that cannot go stale.

docs/_site/commands/NAME.md holds the examples of a command, which tests/docs runs. A command without that file fails
the build.
"""

import enum
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from mkdocs.structure.files import File
from typer.main import get_command

EXAMPLES = Path(__file__).parent / "commands"
PAGE = "reference/command-line.md"

INTRODUCTION = """\
# Command line

Results go to standard output; warnings, errors and progress bars go to standard error. With `--json`, results
are one JSON object a line: see [JSON output](json.md).

| Exit code | Meaning |
|---|---|
| 0 | everything was done |
| 1 | something failed; the error line says what |
| 2 | the command was called wrongly |
| 130, 143 | Ctrl-C, SIGTERM |
| 141 | the reader of a pipe has gone, as when you pipe into `head -1` |

`musiczoo COMMAND --help` shows the same options as this page. The examples on this page are run as tests.
"""

log = logging.getLogger("mkdocs.hooks.command_line")


def commands() -> dict[str, Any]:
    """Each command that does something, by its full name: `tag`, `library stats`."""
    from musiczoo.cli import app

    def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        else:
            for part, child in below.items():
                yield from leaves(child, f"{name} {part}".strip())

    return dict(leaves(get_command(app), ""))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return _cell(option.show_default)
    value = getattr(option.default, "value", option.default)
    if option.is_flag or option.show_default is False or value in (None, (), ""):
        return ""
    return f"`{value}`"


def _names(option: Any, hint: Any) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len, reverse=True))
    if option.is_flag:
        return names
    types = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
    choices = [[member.value for member in kind] for kind in types if issubclass(kind, enum.Enum)]
    if option.metavar is None and choices:
        return f"{names} " + "\\|".join(f"`{value}`" for value in choices[0])
    return f"{names} `{option.metavar or ('N' if int in types else 'X' if float in types else 'TEXT')}`"


def _section(name: str, command: Any) -> str:
    hints = get_type_hints(command.callback)
    options = [param for param in command.params if param.opts[0].startswith("-") and param.name != "help"]
    arguments = [param for param in command.params if not param.opts[0].startswith("-")]
    usage = " ".join(
        ["musiczoo", name, "[OPTIONS]" if options else "", *(_usage(argument) for argument in arguments)]
    ).replace("  ", " ")
    lines = [f"## musiczoo {name}", "", (command.help or "").strip(), "", "```text", usage.strip(), "```", ""]
    if arguments:
        lines += ["| Argument | Meaning |", "|---|---|"]
        lines += [f"| `{_usage(argument)}` | {_cell(argument.help or '')} |" for argument in arguments]
        lines += [""]
    if options:
        lines += ["| Option | Meaning | Default |", "|---|---|---|"]
        for option in options:
            names, meaning = _names(option, hints.get(option.name)), _cell(option.help or "")
            lines += [f"| {names} | {meaning} | {_default(option)} |"]
        lines += [""]
    examples = EXAMPLES / f"{name.replace(' ', '-')}.md"
    if examples.is_file():
        lines += [examples.read_text(encoding="utf-8")]
    else:
        log.warning("musiczoo %s has no example: write %s", name, examples)
    return "\n".join(lines)


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 else str(name)


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([INTRODUCTION, *(_section(name, command) for name, command in sorted(commands().items()))])


def on_files(files: Any, config: Any) -> Any:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=page()))
    return files

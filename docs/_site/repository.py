"""Links to files of the repository that are not part of the site: relative paths in Markdown, addresses on the site."""

import logging
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)((?:#[^)\s]*)?\))")

log = logging.getLogger("mkdocs.hooks.repository")


def address() -> str:
    """Where the repository's files are shown, from pyproject.toml; ends with a slash."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = {name.lower(): url for name, url in project.get("urls", {}).items()}
    home = urls.get("repository") or urls.get("source") or urls.get("homepage") or ""
    return f"{home.rstrip('/')}/blob/main/" if home else ""


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links that lead out of docs/, and warn about those that lead nowhere."""
    base, docs = address(), Path(config.docs_dir)

    def rewritten(found: re.Match[str]) -> str:
        target = (docs / page.file.src_uri).parent.joinpath(found[2]).resolve()
        if target.is_relative_to(docs):
            return found[0]
        if not target.exists():
            log.warning("%s: no such file: %s", page.file.src_uri, found[2])
        return f"{found[1]}{base}{target.relative_to(ROOT).as_posix()}{found[3]}"

    return LINK.sub(rewritten, markdown)

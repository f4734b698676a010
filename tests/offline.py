"""Run a program as a new user would, and see what it writes and whom it calls."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from needs import missing

_TRACED = (
    "%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat"
)
_NOWHERE = ("/dev/", "/proc/", "/sys/")
_PREFIXES = ("ORT_", "XDG_", "MUSICZOO_", "PYTEST_")


@dataclass(frozen=True)
class Traced:
    """What a program did.

    Attributes:
        calls: Its attempts to reach another program or machine, as strace writes them.
        written: The files and folders that it made, or opened to write; None if strace was not asked for.
    """

    calls: list[str]
    written: list[Path]


def environment(folder: Path) -> dict[str, str]:
    """That of a user whose folders are all new and empty, in `folder`, with nothing set for musiczoo or onnxruntime."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)}
    places = {"HOME": "home", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data",
              "XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run", "TMPDIR": "tmp"}  # fmt: skip
    for name, place in places.items():
        (folder / place).mkdir(parents=True)
        kept[name] = str(folder / place)
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def trace(command: Sequence[str | Path], env: dict[str, str], folder: Path, log: Path) -> Traced:
    """Run a command in `folder` under strace, its child processes and all threads with it."""
    if not shutil.which("strace"):
        missing("strace")
    traced = ["strace", "--follow-forks", "--string-limit=4096", f"--trace={_TRACED}", "--output", log, *command]
    done = subprocess.run(traced, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = log.read_text(encoding="utf-8", errors="replace")
    assert "execve" not in text
    assert "openat(" in text, "strace saw nothing"
    return Traced([line for line in text.splitlines() if _is_call(line)], _written(text, folder))


def _is_call(line: str) -> bool:
    """Pairs of sockets within a program are no calls; nor is a look for nscd, which is a file of this machine."""
    return bool(re.search(r" (socket|connect|bind|sendto|sendmsg|sendmmsg)\(", line)) and not (
        "AF_UNIX" in line and ("/nscd/" in line or " socket(" in line)
    )


def _written(text: str, folder: Path) -> list[Path]:
    opened = r'(?:open|openat|creat)\((?:AT_FDCWD, )?"([^"]*)", [^)]*O_(?:WRONLY|RDWR|CREAT)[^)]*\) += \d'
    made = r'(?:mkdir|rename|link|symlink|mknod)(?:at2?)?\((?:.*?, )?"([^"]*)"[^"]*\) += 0'
    found = {folder / path for pattern in (opened, made) for path in re.findall(pattern, text)}
    return sorted(path for path in found if not str(path).startswith(_NOWHERE))

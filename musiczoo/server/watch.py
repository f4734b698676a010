"""Index what arrives in folders, while the server runs.

Conventions
-----------
- The folders are indexed at the start, and again `SETTLE_S` after something in them has changed; changes meanwhile are
  indexed by the next run.
- Indexing is `musiczoo index` in a process of its own, with half of the cores: a file that crashes its decoder does not
  end the server, and answers do not wait for it. The server ends the process when it ends itself.
"""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable
from pathlib import Path

from watchfiles import Change, awatch

from ..audio import SUFFIXES
from .settings import Settings

SETTLE_S = 2.0
"""Seconds from a change to indexing: most files are complete then. Others are indexed again when they are."""

PATIENCE_S = 10.0
"""Seconds in which indexing has to end when the server does."""

_log = logging.getLogger("uvicorn.error")


async def keep_indexed(library: Path, settings: Settings) -> None:
    """Index the folders to watch now and after each change, until this is cancelled."""
    changed = asyncio.Event()
    changed.set()
    watching = asyncio.create_task(_notice(settings.watch, changed))
    try:
        while True:
            await changed.wait()
            changed.clear()
            await _index(library, settings)
            if not changed.is_set():
                await changed.wait()
            await asyncio.sleep(SETTLE_S)
    finally:
        watching.cancel()


async def _notice(folders: Iterable[Path], changed: asyncio.Event) -> None:
    try:
        async for _ in awatch(*folders, watch_filter=concerns, ignore_permission_denied=True):
            changed.set()
    except (OSError, RuntimeError) as error:  # the latter: what else the system's notifications say
        _log.error("Cannot watch %s: %s. What arrives is not indexed.", ", ".join(map(str, folders)), error)


def concerns(change: Change, path: str) -> bool:
    """Return whether a change concerns audio: that of an audio file, or of a folder.

    Example:
        >>> from musiczoo.server.watch import concerns
        >>> from watchfiles import Change
        >>> concerns(Change.added, "/music/a.mp3"), concerns(Change.modified, "/music/music.db-wal")
        (True, False)
    """
    suffix = os.path.splitext(path)[1].lower()
    return suffix in SUFFIXES or not suffix or os.path.isdir(path)


async def _index(library: Path, settings: Settings) -> None:
    workers = max(1, (os.cpu_count() or 1) // 2)
    options = ["--library", str(library), "--workers", str(workers), "--wait", "--json"]
    model = [] if settings.model is None else ["--model", settings.model]
    command = [sys.executable, "-m", "musiczoo", "index", *options, *model, "--", *map(str, settings.watch)]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        out, error = await process.communicate()
    except asyncio.CancelledError:
        await _end(process)
        raise
    if process.returncode:
        lines = error.decode("utf-8", "replace").strip().splitlines()
        _log.error("Indexing failed: %s", lines[-1] if lines else f"exit code {process.returncode}")
        return
    counts = json.loads(out)
    done = ", ".join(f"{counts[what]:,} {what}" for what in ("added", "changed", "removed", "failed") if counts[what])
    if done:
        _log.warning("Indexed: %s", done)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process as Ctrl-C does, or by force if that takes longer than `PATIENCE_S`: nothing is lost either way."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), PATIENCE_S)
    except TimeoutError:
        process.kill()
        await process.wait()

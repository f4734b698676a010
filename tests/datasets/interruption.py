"""Death in the middle of a preparation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch, killed_at: int) -> Iterator[None]:
    """What is run inside is interrupted when it is about to rename its `killed_at`-th file into place."""
    done = 0

    def replace(source: Path, target: Path) -> None:
        nonlocal done
        done += 1
        if done == killed_at:
            raise KeyboardInterrupt
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("musiczoo._files.os.replace", replace)
        with pytest.raises(KeyboardInterrupt):
            yield

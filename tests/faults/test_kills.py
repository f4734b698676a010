"""SIGKILL at some moments; benchmarks/faults/sigkill.py does it at hundreds, and to training (see also test_train)."""

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from killing import rounds
from subjects import BROKEN, SUBJECTS
from test_forks import forks


def killed(subject: str, kills: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="musiczoo-faults-") as folder:
        return list(rounds(SUBJECTS[subject](Path(folder)), kills))[1:]


@forks
@pytest.mark.parametrize(("subject", "kills"), [("library", 8), ("publishing", 30)])
def test_nothing_is_lost_or_half_written(subject: str, kills: int) -> None:
    # Forks want a process without threads and with nothing computed yet.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        results = pool.submit(killed, subject, kills).result()
    assert len(results) == kills
    for result in results:
        assert not result["left"].startswith(BROKEN)
        assert result["equal"]

"""Disks that are full or read-only, and folders of others: an error that says so, and then as if nothing had been."""

import os
from pathlib import Path
from typing import Any

import disks
import pytest
from subjects import BROKEN
from test_forks import forks, in_a_fork

import musiczoo
from musiczoo.registry import HOME_VARIABLE

needs_mounts = pytest.mark.skipif(not disks.namespace(), reason="this system does not let us mount a disk")


def check(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert "FAULT" not in row["ended"]
        assert not row["left"].startswith(BROKEN)
        assert row["equal"]


@needs_mounts
@pytest.mark.parametrize("subject", ["library", "publishing"])
def test_too_little_room_and_no_right_to_write(subject: str) -> None:
    rows = disks.call("report", subject, 6)
    check(rows)
    advice = {"library": "Free disk space", "publishing": "Make room"}[subject]
    assert [advice in row["ended"] for row in rows[:3]] == [True] * 3
    assert "Read-only file system" in rows[6]["ended"]
    assert all("Permission denied" in row["ended"] for row in rows[7:])


@forks
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_that_is_closed_to_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with sudo -u nobody: there may be models of one's own, or not; the packaged ones are there."""
    (tmp_path / "home" / "zoo").mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    expected = musiczoo.list_models()

    def closed() -> None:
        os.setuid(disks.NOBODY)
        assert musiczoo.list_models() == expected

    in_a_fork(closed)

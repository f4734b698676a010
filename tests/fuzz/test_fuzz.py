"""What is kept is replayed, and each target is fuzzed for some seconds; and whether fuzzing finds anything at all."""

import sys
from pathlib import Path

import guard
import pytest
import run
import targets
from targets import broken

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited, and watched, as Linux does it")

SECONDS = 1
"""For each target: more, and guided by coverage, with make fuzz."""


@pytest.mark.parametrize("name", targets.NAMES)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    record = run.fuzz(name, "hypothesis", SECONDS, seed=1, out=tmp_path)
    assert record["findings"] == {}
    kept = [path for kind in ("corpus", "findings") for path in Path(run.HERE, kind, name).glob("*")]
    assert record["inputs"] >= len(kept)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 2)


@pytest.mark.usefixtures("impatient")
def test_all_that_is_wrong_is_found(tmp_path: Path) -> None:
    record = run.fuzz("broken", "replay", 60, seed=1, out=tmp_path)
    found = {Path(path).read_bytes(): what for what, path in record["findings"].items()}
    assert set(found) == set(broken.BAD)
    assert found[b"crash"] == "died of SIGSEGV"
    assert found[b"leave"] == "exit code 3"
    assert found[b"hang"] == "took more than 2 s"
    assert found[b"grow"].startswith("MemoryError at broken.py")
    assert found[b"another error"].startswith("KeyError at broken.py")
    assert found[b"no sentence"].startswith("no sentence")
    assert found[b"write outside"].startswith("open ('../outside'")
    assert record["refused"] >= 1


@pytest.mark.usefixtures("impatient")
def test_hypothesis_goes_on_after_a_death(tmp_path: Path) -> None:
    """The same again, where what died is come upon anew: it is left out from then on."""
    record = run.fuzz("broken", "hypothesis", 6, seed=1, out=tmp_path)
    assert {Path(path).read_bytes() for path in record["findings"].values()} == set(broken.BAD)
    assert record["inputs"] > 100


def test_the_kept_inputs_are_small() -> None:
    """A reader's clone holds them all."""
    sizes = [path.stat().st_size for path in run.HERE.glob("*/*/*") if path.parts[-3] in ("corpus", "findings")]
    assert sum(sizes) < 600_000
    assert max(sizes) < 64_000

"""One process of `run`: one target, in one folder. Not meant to be called by hand."""

import faulthandler
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import guard  # noqa: E402

LONGEST = 1 << 17
"""Bytes of an input."""

ROUNDS = 4
"""Most changes that are made to an input at a time."""


class Fuzzed:
    """Runs inputs, counts them, and keeps what should not have happened."""

    def __init__(self, target: Any, work: Path, skip: set[str]) -> None:
        self.target, self.skip = target, skip
        self.folder = work / "folder"
        self._stats = os.open(work / "stats", os.O_CREAT | os.O_WRONLY)
        self._current = os.open(work / "current", os.O_CREAT | os.O_WRONLY)
        self.counts: dict[str, Any] = {"inputs": 0, "refused": 0, "findings": {}, "beat": 0}
        self._began = self._said = time.monotonic()
        self._memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def begin(self) -> None:
        """Enter the folder, and be watched from now on."""
        self.folder.mkdir()
        for name in ("HOME", "TMPDIR", "MUSICZOO_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = str(self.folder)
        os.chdir(self.folder)
        faulthandler.register(signal.SIGQUIT, os.dup(2))  # the parent asks where we are before it ends us
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        guard.limit_memory()
        guard.watch(self.folder)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the first input."""
        return time.monotonic() - self._began

    def __call__(self, data: bytes) -> None:
        """Run one input."""
        signal.setitimer(signal.ITIMER_REAL, 0)  # libFuzzer's, which would end us where somebody resets the handler
        if self.skip and sha256(data).hexdigest() in self.skip:
            return
        os.ftruncate(self._current, 0)
        os.pwrite(self._current, data, 0)
        from musiczoo.errors import MusicZooError

        self.counts["inputs"] += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.target.run(data)
        except MusicZooError as error:
            self.counts["refused"] += 1
            if len(str(error).split()) < 4:
                self._found(f"no sentence: {error!r}", data)
        except BaseException as error:  # noqa: BLE001  no exception is expected here
            self._found(_where(error), data)
        while guard.violations:
            self._found(guard.violations.pop(), data)
        self._clear()
        os.ftruncate(self._current, 0)
        self.say()

    def say(self, last: bool = False) -> None:
        """Tell the parent how it goes, now and then."""
        now = time.monotonic()
        if not last and now - self._said < 0.2 and self.counts["beat"]:
            return
        self._said = now
        self.counts["beat"] += 1
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self._memory
        text = json.dumps(self.counts | {"seconds": self.seconds, "peak_mb": memory >> 10}).encode()
        os.pwrite(self._stats, text.ljust(os.fstat(self._stats).st_size), 0)

    def _found(self, what: str, data: bytes) -> None:
        if what not in self.counts["findings"]:
            self.counts["findings"][what] = data.hex()
            self.counts["beat"] = 0  # say so now

    def _clear(self) -> None:
        os.chdir(self.folder)
        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def _where(error: BaseException) -> str:
    """What was raised, and the last lines of ours that it went through: the same for the same fault."""
    ours = ("/musiczoo/", "/fuzz/targets")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if any(part in f.filename for part in ours)]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}:{f.name}" for f in frames[:-4:-1])
    return f"{type(error).__name__} at {places}"


def known(name: str) -> list[bytes]:
    """The inputs that tests/fuzz keeps for a target."""
    folders = [HERE / kind / name for kind in ("corpus", "findings")]
    return [path.read_bytes() for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def with_hypothesis(fuzzed: Fuzzed, seeds: list[bytes], seconds: float, seed: int) -> None:
    """Seeds and mutations that hypothesis chooses, until the time is over."""
    import hypothesis
    from hypothesis import strategies
    from hypothesis.configuration import set_hypothesis_home_dir

    set_hypothesis_home_dir(fuzzed.folder / "hypothesis")

    @hypothesis.settings(
        max_examples=50, deadline=None, database=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategies.sampled_from(seeds), strategies.integers(1, ROUNDS), strategies.integers(0, 2**32))
    def one(data: bytes, rounds: int, chance: int) -> None:
        if fuzzed.seconds < seconds:
            dice = random.Random(chance)
            for _ in range(rounds):
                data = fuzzed.target.mutate(data, dice)[:LONGEST]
            fuzzed(data)

    while fuzzed.seconds < seconds:
        hypothesis.seed(seed)(one)()
        seed += 1


def with_atheris(fuzzed: Fuzzed, seeds: list[bytes], seconds: float, seed: int, corpus: Path, work: Path) -> None:
    """Inputs guided by the coverage of musiczoo's code. Does not return: libFuzzer ends the process."""
    import atheris

    seeded = work / "seeds"
    for folder in (seeded, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        (seeded / sha256(data).hexdigest()).write_bytes(data)

    def mutate(data: bytes, most: int, chance: int) -> bytes:
        dice = random.Random(chance)
        if dice.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        # Most of the corpus is refused early: well-formed inputs reach the code behind.
        data = dice.choice(seeds) if dice.random() < 0.3 else data
        for _ in range(dice.randint(1, ROUNDS)):
            data = fuzzed.target.mutate(data, dice)[:most]
        return data

    options = [
        *(f"-max_len={LONGEST}", f"-seed={seed}", f"-max_total_time={max(round(seconds), 1)}", "-rss_limit_mb=0"),
        *("-timeout=0", "-len_control=0", "-verbosity=0", f"-artifact_prefix={work}/", str(corpus), str(seeded)),
    ]
    atheris.Setup([sys.argv[0], *options], fuzzed, custom_mutator=mutate)
    fuzzed.begin()
    atheris.Fuzz()


def main() -> None:
    """Arguments: target, engine, seconds, seed, working folder, corpus folder or nothing, inputs to leave out."""
    name, engine, seconds, seed, work, corpus, *skip = sys.argv[1:]
    if engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["musiczoo"], enable_loader_override=False):
            for module in ("musiczoo.model", "musiczoo.library.library", "musiczoo.cli", f"targets.{name}"):
                importlib.import_module(module)
    import targets

    target = targets.load(name)
    fuzzed = Fuzzed(target, Path(work), set(skip))
    seeds = [*target.seeds(), *known(name)]
    if engine == "atheris":
        place = Path(corpus, name) if corpus else Path(work, "corpus")
        with_atheris(fuzzed, seeds, float(seconds), int(seed), place, Path(work))
    if engine == "hypothesis":
        import hypothesis.internal.conjecture.providers  # noqa: F401  (it looks at the disk when it is imported)
    fuzzed.begin()
    for data in seeds:
        fuzzed(data)
    if engine == "hypothesis":
        with_hypothesis(fuzzed, seeds, float(seconds), int(seed))
    fuzzed.say(last=True)


if __name__ == "__main__":
    main()

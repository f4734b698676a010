"""Fuzz musiczoo: ``python tests/fuzz/run.py --seconds 60 [TARGET ...]``.

Each target runs in a separate process and folder, watched by `guard`. A process that dies or hangs is
started anew for the rest of its time; the input that did it is kept. With the package atheris, inputs are guided by the
coverage of musiczoo's code; without, hypothesis chooses seeds and mutations.

Exit code 1 if there are findings; they lie in ``--out``. Move one to tests/fuzz/findings/TARGET/ when it is fixed:
test_fuzz.py replays it from then on.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import guard  # noqa: E402
import targets  # noqa: E402

STARTS = 50
"""Most processes that one target may use up."""

START_S = 120
"""Most that a process may take before its first input."""


def main(arguments: list[str] | None = None) -> int:
    """Run the targets one after the other, print a line for each, and say whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"out of {', '.join(targets.NAMES)}; default: all")
    parser.add_argument("--seconds", type=float, default=10, help="for each target, after it has started")
    parser.add_argument("--engine", choices=("atheris", "hypothesis", "replay"), help="default: atheris if it is there")
    parser.add_argument("--seed", type=int, default=1, help="of the chance")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="where inputs go that broke something")
    parser.add_argument("--corpus", type=Path, help="a folder that atheris reads and adds to; default: a temporary one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    engine = options.engine or ("atheris" if find_spec("atheris") else "hypothesis")
    failed = False
    for name in options.targets or targets.NAMES:
        record = fuzz(name, engine, options.seconds, options.seed, options.out.resolve(), options.corpus)
        failed |= bool(record["findings"])
        print(json.dumps(record) if options.json else _line(record), flush=True)
    return int(failed)


def fuzz(name: str, engine: str, seconds: float, seed: int, out: Path, corpus: Path | None = None) -> dict[str, Any]:
    """Run one target for so long; what came of it."""
    record: dict[str, Any] = {"target": name, "engine": engine, "inputs": 0, "refused": 0, "seconds": 0.0, "peak_mb": 0}
    findings: dict[str, str] = {}
    skip: set[str] = set()
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as scratch:
        for start in range(STARTS):
            left = seconds - record["seconds"]
            if start and (left < 1 or (engine == "replay" and not skip)):
                break
            work = Path(scratch, str(start))
            work.mkdir()
            ended = _child(name, engine, max(left, 0), seed + start, work, corpus, skip)
            for key in ("inputs", "refused", "seconds"):
                record[key] += ended[key]
            record["peak_mb"] = max(record["peak_mb"], ended["peak_mb"])
            found = ended["findings"]
            if ended["died"]:
                data = (work / "current").read_bytes()  # empty if it was between two inputs
                skip.add(sha256(data).hexdigest())
                found = {**found, ended["died"]: data.hex()}
                record["seconds"] += 1  # so that a target which dies at once comes to an end
            for what, data in found.items():
                if what not in findings:
                    told = (work / "log").read_text(errors="replace") if what == ended["died"] else ""
                    findings[what] = _keep(out, name, bytes.fromhex(data), f"{what}\n{told[-5000:]}")
            if not ended["died"]:
                break
            shutil.rmtree(work, ignore_errors=True)
    return record | {"seconds": round(record["seconds"], 1), "findings": findings}


def _child(
    name: str, engine: str, seconds: float, seed: int, work: Path, corpus: Path | None, skip: set[str]
) -> dict[str, Any]:
    """One process: what it says of itself, and how it died, if it did."""
    command = [sys.executable, str(HERE / "child.py"), name, engine, str(seconds), str(seed), str(work)]
    command += [str(corpus.resolve()) if corpus else "", *skip]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with Path(work, "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        died = _watch(process, work, seconds)
    stats = {"inputs": 0, "refused": 0, "seconds": 0.0, "peak_mb": 0, "findings": {}} | _stats(work)
    if died and not stats["inputs"]:
        log = Path(work, "log").read_text(errors="replace")[-3000:]
        raise SystemExit(f"{name}: {died} before the first input:\n{log}")
    if died and stats["seconds"] >= seconds and not Path(work, "current").read_bytes():
        died = ""  # of its own end, when it was done: libFuzzer's may hang beside threads
    return stats | {"died": died}


def _watch(process: subprocess.Popen[bytes], work: Path, seconds: float) -> str:
    """Wait for a process; how it died, or nothing. One whose input does not end is killed."""
    since, seen = time.monotonic(), 0
    while process.poll() is None:
        time.sleep(0.02)
        now = _stats(work).get("beat", 0)
        if now != seen:
            since, seen = time.monotonic(), now
        if time.monotonic() - since > (guard.SECONDS if seen else START_S):
            process.send_signal(signal.SIGQUIT)  # it writes where it is
            time.sleep(0.2)
            process.kill()
            process.wait()
            return f"took more than {guard.SECONDS} s"
    code = process.returncode
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    return f"exit code {code}" if code else ""


def _stats(work: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(Path(work, "stats").read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def _keep(out: Path, name: str, data: bytes, what: str) -> str:
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(what)
    return str(path)


def _line(record: dict[str, Any]) -> str:
    findings = "".join(f"\n  {path}: {what.strip().splitlines()[-1]}" for what, path in record["findings"].items())
    return (
        f"{record['target']:13} {record['inputs']:9,} inputs, {record['refused']:9,} refused, in "
        f"{record['seconds']:6.1f} s ({record['engine']}, at most {record['peak_mb']} MB more): "
        f"{len(record['findings'])} findings{findings}"
    )


if __name__ == "__main__":
    sys.exit(main())

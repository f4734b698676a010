"""The worker that tags a queue folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy import music, write_audio

import musiczoo

WORKER = Path(__file__).parents[2] / "examples" / "python-queue" / "worker.py"


def work(queue: Path, folder: Path) -> None:
    subprocess.run([sys.executable, WORKER, queue, folder, "--once"], check=True, capture_output=True)


def names(queue: Path, folder: str) -> list[str]:
    return sorted(path.relative_to(queue / folder).as_posix() for path in (queue / folder).rglob("*") if path.is_file())


def test_a_queue(tmp_path: Path, toy: musiczoo.Model, toy_folder: Path) -> None:
    queue = tmp_path / "queue"
    for name in ("new", "working/worker"):
        (queue / name).mkdir(parents=True)
    for number, name in enumerate(("new/a.wav", "new/b.flac", "working/worker/interrupted.wav")):
        write_audio(queue / name, music(4, seed=number))
    (queue / "new" / "broken.mp3").write_bytes(b"no music")
    (queue / "done").mkdir()
    (queue / "done" / ".interrupted.wav.json.unfinished").write_text("{")  # by the worker that was killed
    expected = toy.analyze(queue / "new" / "a.wav")
    work(queue, toy_folder)
    assert names(queue, "new") == names(queue, "working") == []
    assert names(queue, "failed") == ["broken.mp3", "broken.mp3.json"]
    songs = ["a.wav", "b.flac", "interrupted.wav"]
    assert names(queue, "done") == sorted([*songs, *(f"{song}.json" for song in songs)])
    answer = json.loads((queue / "done" / "a.wav.json").read_text())
    assert list(answer["tags"]) == list(toy.card.tags)
    np.testing.assert_allclose(list(answer["tags"].values()), expected.tags.probabilities, atol=1e-4)
    np.testing.assert_allclose(answer["embedding"], expected.embedding, atol=1e-6)
    assert answer["predicted"] == [tag.name for tag in expected.tags.above_threshold()]
    assert answer["space_id"] == toy.card.space_id
    assert "broken.mp3" in json.loads((queue / "failed" / "broken.mp3.json").read_text())["error"]

    shutil.move(queue / "done" / "a.wav", queue / "new" / "a.wav")
    work(queue, toy_folder)  # a queue that exists
    assert json.loads((queue / "done" / "a.wav.json").read_text()) == answer


def test_it_is_short_and_without_http() -> None:
    text = WORKER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert "http" not in text.lower().replace("http-free", "")


@pytest.mark.parametrize("arguments", [[], ["queue", "no-such-model", "--once"]])
def test_wrong_arguments(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, WORKER, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode
    assert "queue" in done.stderr or "no-such-model" in done.stderr

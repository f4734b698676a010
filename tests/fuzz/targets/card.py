"""card.json, which comes with a model."""

import json
import random
from pathlib import Path
from typing import Any

import havoc

from musiczoo.card import CARD_FILE, FrontEnd, ModelCard, read_card, verify_files
from musiczoo.registry import packaged_zoo

MODEL = "m.onnx"
CARD = ModelCard(
    name="small", version="1", summary="Two tags.", licence="MIT", sample_rate=8, excerpt_samples=8, embedding_size=4,
    spaces={"a": (0, 2), "b": (2, 4)}, space_id="small-1", tags=("x", "y"), dimensions={"a": ("x",), "b": ("y",)},
    thresholds={"x": 0.5, "y": 0.5}, front_end=FrontEnd(n_fft=4, n_mels=2, gain=10), parameters=0,
    files={MODEL: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    metrics={"test": {"roc_auc": {"value": 0.5, "interval": [0.4, 0.6]}}}, limits=("none",),
)  # fmt: skip

WORDS = (
    *("", "a", "x", "..", "../m.onnx", "/etc/passwd", "m.onnx\0", ".", "é", "\ud800", "\x1b[31m", "<b>", "NaN", "-1"),
    "a" * 300,
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, 0, -1, 0.5, 1e308, float("nan"), float("inf")),
    *([0, 4], [4, 0], {"a": [0, 4]}, ["x", "y"]),
    *({"x": 2}, {"x": {"y": {}}}, [[]], [0], *havoc.NUMBERS, 10**30, *WORDS),
)


def seeds() -> list[bytes]:
    """A small card, a large one, and what JSON can be beside."""
    large = read_card(packaged_zoo() / "disentangled-classification").to_json()
    return [CARD.to_json().encode(), large.encode(), b"[" * 5000, b'{"format":1}', b"null", b'"\\ud800"']


def run(data: bytes) -> None:
    """Read it, and do with it what needs no model."""
    Path(CARD_FILE).write_bytes(data)
    Path(MODEL).write_bytes(b"")
    card = read_card(Path())
    assert ModelCard.from_json(card.to_json()) == card or "NaN" in card.to_json()
    card.metadata()
    from musiczoo.cli.tables import print_models
    from musiczoo.library.records import LibraryConfig

    config = LibraryConfig.from_card(card)
    assert LibraryConfig.from_dict(config.to_dict()) == config or "NaN" in card.to_json()
    assert card.excerpt_seconds > 0
    print_models([(card, Path())])
    verify_files(card, Path())


def mutate(data: bytes, dice: random.Random) -> bytes:
    """A value somewhere in the JSON replaced, removed or added; or bytes changed."""
    try:
        card = json.loads(data)
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict) or dice.random() < 0.2:
        return havoc.mutate(data, dice)
    value = card
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = dice.choice(keys)
        if not isinstance(value[key], dict | list) or dice.random() < 0.4:
            if dice.random() < 0.1:
                del value[key]
            elif dice.random() < 0.15 and isinstance(value, dict):
                value[dice.choice(WORDS)] = dice.choice(VALUES)
            else:
                value[key] = dice.choice(VALUES)
            break
        value = value[key]
    return json.dumps(card).encode()

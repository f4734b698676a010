"""Cards: what is read, what is refused, and what protects a model's files."""

import dataclasses
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import CARD, write_model

from musiczoo import card
from musiczoo.card import CARD_FILE, MODEL_FILE, FrontEnd, ModelCard
from musiczoo.errors import CardError, ModelFileError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
FIELDS = json.loads(CARD.to_json())


def changed(**values: Any) -> str:
    return json.dumps({**FIELDS, **values})


def test_a_card_survives_being_written_and_read() -> None:
    assert ModelCard.from_json(CARD.to_json()) == CARD
    assert CARD.excerpt_seconds == 3.0


@st.composite
def some_cards(draw: st.DrawFn) -> ModelCard:
    """Any valid card of one to eight tags."""
    tags = tuple(draw(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=8, unique=True)))
    cut = draw(st.integers(0, len(tags)))
    edges = [0, *sorted(draw(st.sets(st.integers(1, 999), min_size=1, max_size=4)))]
    return ModelCard(
        name=draw(st.text(max_size=9)),
        version=draw(st.text(max_size=9)),
        summary=draw(st.text()),
        licence="MIT",
        sample_rate=draw(st.integers(1, 10**6)),
        excerpt_samples=draw(st.integers(1, 10**7)),
        embedding_size=edges[-1],
        spaces={f"s{i}": (a, b) for i, (a, b) in enumerate(pairwise(edges))},
        space_id=draw(st.text(max_size=9)),
        tags=tags,
        dimensions={"left": tags[:cut], "right": tags[cut:]},
        thresholds={tag: draw(st.floats(0, 1)) for tag in tags},
        front_end=FrontEnd(1024, 128, draw(st.floats(0.1, 1e5))),
        parameters=draw(st.integers(0)),
        limits=tuple(draw(st.lists(st.text(), max_size=3))),
        metrics=draw(st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=3)),
    )


@given(some_cards())
def test_any_card_survives_being_written_and_read(any_card: ModelCard) -> None:
    text = any_card.to_json()
    assert ModelCard.from_json(text) == any_card
    assert json.loads(text)["tags"] == list(any_card.tags)


@given(st.text() | json_values.map(json.dumps))
def test_junk_is_a_card_error(text: str) -> None:
    with pytest.raises(CardError):
        ModelCard.from_json(text)


@given(st.sampled_from(sorted(FIELDS)), json_values)
def test_junk_in_one_field_is_a_card_error_or_a_card(name: str, value: Any) -> None:
    try:
        read = ModelCard.from_json(changed(**{name: value}))
    except CardError:
        return
    assert ModelCard.from_json(read.to_json()) == read or value != value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2}, "card format 2 is newer than 1.*pip install -U musiczoo"),
        ({"format": "1"}, "whole number as format"),
        ({"format": 0}, "whole number as format"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"excerpt_samples": -1}, "excerpt_samples"),
        ({"tags": ["a", "a"]}, "tags"),
        ({"tags": []}, "tags"),
        ({"dimensions": {"genre": ["rock"]}}, "dimensions"),
        ({"thresholds": {}}, "thresholds"),
        ({"thresholds": {tag: 1.5 for tag in CARD.tags}}, "thresholds"),
        ({"spaces": {"a": [0, 100], "b": [101, 256]}}, "spaces"),
        ({"spaces": {"a": [0, 100], "b": [90, 256]}}, "spaces"),
        ({"spaces": {"a": [0, 255]}}, "spaces"),
        ({"spaces": {}}, "spaces"),
        ({"front_end": {"fft": 3}}, "wrong type"),
        *(
            ({name: value}, name)
            for name in ("name", "tags", "spaces", "files", "thresholds", "metrics")
            for value in (5, None)
        ),
        *(({"sample_rate": value}, "sample_rate") for value in ("x", True, 0, 10_000_000, 22050.5)),
        ({"embedding_size": 10**12}, "embedding_size"),
        ({"tags": [["x"]]}, "tags"),
        ({"spaces": {"a": [0, 256, 1]}}, "spaces"),
        ({"nonsense": 1}, "unknown fields.*nonsense"),
    ],
)
def test_contradictions_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError, match=rf"(?s)a/card\.json.*{message}"):
        ModelCard.from_json(changed(**values), source="a/card.json")


@pytest.mark.parametrize("text", ["", "[" * 5000, "[" * 500_000, '{"format": "1"}', '"\\ud800"', "NaN", "[]", "5"])
def test_malformed_cards_are_refused(text: str) -> None:
    with pytest.raises(CardError, match=r"a/card\.json: expected"):
        ModelCard.from_json(text, source="a/card.json")


def test_halves_of_characters_are_no_text() -> None:
    """JSON may hold them; no file, database or terminal takes them."""
    with pytest.raises(CardError, match="does not parse"):
        ModelCard.from_json(changed(name="x\ud800"))


def test_a_missing_field_is_named() -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "space_id"}
    with pytest.raises(CardError, match=r"missing fields \['space_id'\]"):
        ModelCard.from_json(json.dumps(fields))


def test_metadata_holds_what_decides_the_meaning_of_the_numbers() -> None:
    metadata = CARD.metadata()
    assert json.loads(metadata["musiczoo.tags"]) == list(CARD.tags)
    assert json.loads(metadata["musiczoo.sample_rate"]) == 22050
    assert json.loads(metadata["musiczoo.spaces"])["mood"] == [64, 128]


def test_read_card_needs_a_card(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ModelFileError, match=r"card\.json"):
            card.read_card(folder)
    (tmp_path / CARD_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(CardError, match="UTF-8"):
        card.read_card(tmp_path)


def test_files_must_be_there_and_unaltered(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "toy")
    read = card.read_card(folder)
    card.verify_files(read, folder)
    with (folder / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelFileError, match=r"model\.onnx was altered: expected sha256"):
        card.verify_files(read, folder)
    (folder / MODEL_FILE).unlink()
    with pytest.raises(ModelFileError, match=r"No such file: .*model\.onnx"):
        card.verify_files(read, folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b"])
def test_files_outside_the_folder_are_not_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="plain file names"):
        card.verify_files(dataclasses.replace(CARD, files={name: ""}), tmp_path)


def test_a_link_is_followed_to_what_the_card_knows_the_sum_of(tmp_path: Path) -> None:
    """As installers make them: wherever it leads, what is there is what was published, or it is refused."""
    folder = write_model(tmp_path / "toy")
    (folder / MODEL_FILE).rename(tmp_path / "stored")
    (folder / MODEL_FILE).symlink_to(tmp_path / "stored")
    assert card.verify_files(card.read_card(folder), folder, [MODEL_FILE])[MODEL_FILE] == (
        (tmp_path / "stored").read_bytes()
    )
    (folder / MODEL_FILE).unlink()
    (folder / MODEL_FILE).symlink_to("/etc/passwd")
    with pytest.raises(ModelFileError, match="was altered"):
        card.verify_files(card.read_card(folder), folder, [MODEL_FILE])
    (folder / MODEL_FILE).unlink()
    (folder / MODEL_FILE).symlink_to("..", target_is_directory=True)
    with pytest.raises(ModelFileError, match="No such file"):
        card.verify_files(card.read_card(folder), folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
@pytest.mark.parametrize("name", [CARD_FILE, MODEL_FILE])
@pytest.mark.parametrize("endless", ["/dev/zero", "pipe"])
def test_what_has_no_end_is_not_read(tmp_path: Path, name: str, endless: str) -> None:
    folder = write_model(tmp_path / "toy")
    (folder / name).unlink()
    if endless == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(endless)
    with pytest.raises(ModelFileError):
        card.verify_files(card.read_card(folder), folder, [MODEL_FILE])


@pytest.mark.parametrize(("name", "size"), [(CARD_FILE, card.LARGEST_CARD + 1), (MODEL_FILE, card.LARGEST_FILE + 1)])
def test_what_is_too_large_is_not_read(tmp_path: Path, name: str, size: int) -> None:
    folder = write_model(tmp_path / "toy")
    with (folder / name).open("r+b") as file:
        file.truncate(size)  # sparse: it takes no room
    with pytest.raises(ModelFileError, match=f"a file of {size} bytes"):
        card.verify_files(card.read_card(folder), folder, [MODEL_FILE])


def test_names_that_no_file_has_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "toy")
    for name in ("x" * 300, "..", ".", "", "a\0b"):
        with pytest.raises(ModelFileError):
            card.verify_files(dataclasses.replace(CARD, files={name: ""}), folder)


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    """NIST's example: sha256("abc")."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert card.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")

"""An export becomes a model that loads by name. No TensorFlow here: publishing needs none."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from toy import CARD, SIZE, write_model

import musiczoo
from musiczoo import registry
from musiczoo.card import CARD_FILE, MODEL_FILE, POINTS_FILE, README_FILE, read_card, sha256, verify_files
from musiczoo.errors import CardError, InputError, ModelFileError, WriteError
from musiczoo.export.publish import publish
from musiczoo.export.readme import readme
from musiczoo.registry import HOME_VARIABLE

FULL = dataclasses.replace(
    CARD,
    name="toy-published",
    summary="A toy.",
    licence="CC-BY-4.0",
    parameters=1234567,
    data="Noise.",
    labels="A coin.",
    metrics={"test": {"ROC-AUC": 0.51234, "tracks": 12}},
    recipe={"seed": 7},
    limits=("Hears nothing.",),
    intended_use="Tests | only.",
    sources=("A. Uthor, 2020.",),
)


@pytest.fixture
def export_dir(tmp_path: Path) -> Path:
    return write_model(tmp_path / "export", FULL)


def test_publish_then_load_by_name(export_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    folder = publish(export_dir)
    assert folder == tmp_path / "home" / "zoo" / "toy-published"
    assert "toy-published" in musiczoo.list_models()
    model = musiczoo.load("toy-published")
    assert model.tag(np.zeros((2, SIZE), np.float32)).shape == (2, 50)


def test_folder_holds_three_files_with_their_sums(export_dir: Path, tmp_path: Path) -> None:
    folder = publish(export_dir, tmp_path / "zoo")
    assert sorted(path.name for path in folder.iterdir()) == [README_FILE, CARD_FILE, MODEL_FILE]
    card = read_card(folder)
    verify_files(card, folder)
    assert set(card.files) == {MODEL_FILE, README_FILE}
    assert (folder / MODEL_FILE).read_bytes() == (export_dir / MODEL_FILE).read_bytes()
    assert dataclasses.replace(card, files={}) == FULL


def test_publish_replaces_and_leaves_nothing_else(export_dir: Path, tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    publish(export_dir, zoo)
    text = dataclasses.replace(FULL, version="2").to_json()
    (export_dir / CARD_FILE).write_text(text, encoding="utf-8")
    folder = publish(export_dir, zoo)
    assert read_card(folder).version == "2"
    assert [path.name for path in zoo.iterdir()] == ["toy-published"]


def test_failed_publish_keeps_the_old_model(export_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = tmp_path / "zoo"
    folder = publish(export_dir, zoo)
    before = sha256(folder / CARD_FILE)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full_disk)
    with pytest.raises(WriteError, match="No space left"):
        publish(export_dir, zoo)
    assert sha256(folder / CARD_FILE) == before
    assert [path.name for path in zoo.iterdir()] == ["toy-published"]


def test_readme_says_what_the_card_says() -> None:
    text = readme(FULL)
    for part in (
        "# toy-published", "A toy.", "CC-BY-4.0", "1,234,567", "22,050 Hz", "`[N, 66150]` float32",
        "mood 64:128", 'musiczoo.load("toy-published")', "## Data\n\nNoise.", "## Labels\n\nA coin.",
        "| test.ROC-AUC | 0.5123 |", "| test.tracks | 12 |", "- Hears nothing.", "| seed | 7 |",
        "- instrument: female vocalists,", "## Intended use\n\nTests | only.", "- A. Uthor, 2020.",
    ):  # fmt: skip
        assert part in text
    assert "## Metrics" not in readme(CARD)


def test_table_cells_keep_their_bars() -> None:
    assert r"| note | a \| b |" in readme(dataclasses.replace(FULL, recipe={"note": "a | b"}))


FIGURE = {"value": 0.9, "interval": [0.8, 0.95]}


def _report(tmp_path: Path, split: str = "test", space_id: str = FULL.space_id, **tasks: object) -> Path:
    entry = {"name": "toy", "space_id": space_id, **tasks}
    data = {"name": "open_music", "split": split, "tracks": 51, "teachers": ["a", "b"]}
    path = tmp_path / "report.json"
    other = {"name": "other", "space_id": "other", "agreement": {}}
    path.write_text(json.dumps({"format": 1, "data": data, "models": [other, entry]}), encoding="utf-8")
    return path


OTHER = {"value": 0.6, "interval": [0.5, 0.7]}
AGREEMENT = {"teacher_roc_auc": FIGURE, "spearman": FIGURE, "top_k_overlap": FIGURE, "left_out": ["sad"]}


def test_report_goes_into_the_card_first(export_dir: Path, tmp_path: Path) -> None:
    folder = publish(export_dir, tmp_path / "zoo", _report(tmp_path, split="validation", agreement=AGREEMENT))
    metrics = read_card(folder).metrics
    assert list(metrics) == ["validation", "test"]
    assert metrics["validation"] == {
        "teacher_roc_auc": FIGURE, "spearman": FIGURE, "top_k_overlap": FIGURE,
        "dataset": "open_music", "tracks": 51, "teachers": ["a", "b"],
    }  # fmt: skip
    assert "| validation.teacher_roc_auc | 0.9 (95 %: 0.8 to 0.95) |" in (folder / README_FILE).read_text(
        encoding="utf-8"
    )


def test_reports_of_before_give_the_same_card(export_dir: Path, tmp_path: Path) -> None:
    """They call the agreement with teachers by the name of tagging's metric, which comes first in the card."""
    old = {"roc_auc" if name == "teacher_roc_auc" else name: value for name, value in AGREEMENT.items()}
    tagging = {"roc_auc": OTHER, "average_precision": OTHER, "tags": {}}
    metrics = []
    for i, agreement in enumerate((AGREEMENT, old)):
        (tmp_path / str(i)).mkdir()
        report = _report(tmp_path / str(i), split="validation", agreement=agreement, tagging=tagging)
        metrics.append(read_card(publish(export_dir, tmp_path / f"zoo{i}", report)).metrics["validation"])
    assert metrics[0] == metrics[1]
    assert next(iter(metrics[0])) == "roc_auc"
    assert metrics[0]["roc_auc"] == OTHER
    assert metrics[0]["teacher_roc_auc"] == FIGURE


def test_figures_of_the_other_tasks_go_by_their_task(export_dir: Path, tmp_path: Path) -> None:
    counted = FIGURE | {"count": 40000}
    report = _report(
        tmp_path,
        split="validation",
        tagging={"roc_auc": FIGURE, "average_precision": FIGURE, "tags": {}},
        retrieval={"all": {"recall": {"1": FIGURE}, "hit_rate": {}, "queries": 51}},
        triplets={"whole": {"genre": counted, "overall": counted}, "track": counted},
    )
    folder = publish(export_dir, tmp_path / "zoo", report)
    assert read_card(folder).metrics["validation"] == {
        "roc_auc": FIGURE, "average_precision": FIGURE,
        "retrieval": {"recall_at_1": FIGURE},
        "triplets": {"whole": FIGURE, "track": FIGURE},
        "dataset": "open_music", "tracks": 51, "teachers": ["a", "b"],
    }  # fmt: skip
    text = (folder / README_FILE).read_text(encoding="utf-8")
    assert "| validation.triplets.whole | 0.9 (95 %: 0.8 to 0.95) |" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "got a report on other, toy/other"), ("[]", "--out"), ("{", "--out"), ("[" * 9999, "--out")],
)
def test_report_on_other_models_is_refused(export_dir: Path, tmp_path: Path, content: str | None, message: str) -> None:
    report = _report(tmp_path, space_id="toy/other", agreement=AGREEMENT)
    if content is not None:
        report.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        publish(export_dir, tmp_path / "zoo", report)
    assert not (tmp_path / "zoo").exists()


def test_no_export(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=CARD_FILE):
        publish(tmp_path, tmp_path / "zoo")


def test_card_without_model(export_dir: Path, tmp_path: Path) -> None:
    (export_dir / MODEL_FILE).unlink()
    with pytest.raises(ModelFileError, match="Export the run first"):
        publish(export_dir, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_malformed_card(export_dir: Path, tmp_path: Path) -> None:
    (export_dir / CARD_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(CardError):
        publish(export_dir, tmp_path / "zoo")


@pytest.mark.parametrize("name", [MODEL_FILE, POINTS_FILE])
def test_links_out_of_the_folder_are_not_published(export_dir: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("a key")
    (export_dir / name).unlink(missing_ok=True)
    (export_dir / name).symlink_to(tmp_path / "secret")
    with pytest.raises(ModelFileError, match=r"got a link to .*secret"):
        publish(export_dir, tmp_path / "zoo")
    assert list((tmp_path / "zoo").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", ".."])
def test_name_that_is_no_folder_name(export_dir: Path, tmp_path: Path, name: str) -> None:
    text = dataclasses.replace(FULL, name=name).to_json()
    (export_dir / CARD_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="must be a folder name"):
        publish(export_dir, tmp_path / "zoo")
    assert not (tmp_path / "evil").exists()


def test_zoo_that_is_a_file(export_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "zoo").write_text("not a folder")
    with pytest.raises(WriteError, match=r"zoo.*Not a directory"):
        publish(export_dir, tmp_path / "zoo")


def test_the_int8_version_goes_with_its_model(tmp_path: Path) -> None:
    published = registry.find("disentangled-classification")
    folder = publish(published, tmp_path / "zoo")
    space_id = read_card(published).metrics["int8"]["space_id"]
    assert musiczoo.load(folder, precision="int8").card.space_id == space_id
    assert set(read_card(folder).files) == set(read_card(published).files)


def test_an_int8_version_that_the_card_does_not_name_stays_behind(export_dir: Path, tmp_path: Path) -> None:
    (export_dir / "model.int8.onnx").write_bytes(b"of another version")
    folder = publish(export_dir, tmp_path / "zoo")
    assert sorted(path.name for path in folder.iterdir()) == [README_FILE, CARD_FILE, MODEL_FILE]

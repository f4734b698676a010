"""The README of a model begins with metadata that the Hugging Face Hub reads, made from the card."""

import dataclasses
import subprocess
import sys

import pytest
from hub_server import Hub
from toy import CARD

import musiczoo
from musiczoo.card import ModelCard, read_card
from musiczoo.export.readme import readme
from musiczoo.registry import find

client = pytest.importorskip("huggingface_hub")

FIGURE = {"value": 0.91239, "interval": [0.8, 0.95]}
MEASURED = dataclasses.replace(
    CARD,
    data="open_music: 3 training tracks.",
    metrics={
        "test": {
            "roc_auc": FIGURE,
            "retrieval": {"recall_at_1": FIGURE},
            "triplets": {"sub-space": {"value": 0.5, "interval": [0.4, 0.6]}},
            "dataset": "open_music",
            "tracks": 51,
            "teachers": ["a"],
        },
        "validation": {"loss": 0.1, "roc_auc": FIGURE},
        "int8": {"tracks": 45, "cosine": 0.99},
    },
)


def card_of(card: ModelCard) -> "client.ModelCard":
    return client.ModelCard(readme(card))


def test_the_metadata() -> None:
    assert card_of(MEASURED).data.to_dict() == {
        "datasets": ["open_music"],
        "library_name": "musiczoo",
        "license": "mit",
        "metrics": ["roc_auc", "retrieval.recall_at_1", "triplets.sub-space"],
        "pipeline_tag": "audio-classification",
        "tags": ["music", "music-tagging", "music-similarity", "onnx", "disentangled"],
        "model-index": [
            {
                "name": "toy",
                "results": [
                    {
                        "task": {"type": "audio-classification", "name": "Music tagging"},
                        "dataset": {"type": "open_music", "name": "open_music (51 tracks)", "split": "test"},
                        "metrics": [{"type": "roc_auc", "value": 0.9124}],
                    },
                    {
                        "task": {"type": "feature-extraction", "name": "Music similarity"},
                        "dataset": {"type": "open_music", "name": "open_music (51 tracks)", "split": "test"},
                        "metrics": [
                            {"type": "retrieval.recall_at_1", "value": 0.9124},
                            {"type": "triplets.sub-space", "value": 0.5},
                        ],
                    },
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", ("mit", None)),
        ("CC-BY-SA-4.0", ("cc-by-sa-4.0", None)),
        ("unspecified", ("other", "unspecified")),
        ("MIT (head), ISC (encoder)", ("other", "mit-head-isc-encoder")),
        ("", ("other", None)),
    ],
)
def test_licences(licence: str, expected: tuple[str, str | None]) -> None:
    data = card_of(dataclasses.replace(CARD, licence=licence)).data
    assert (data.license, data.license_name) == expected


def test_a_card_without_measured_metrics() -> None:
    data = card_of(dataclasses.replace(CARD, metrics={"validation": {"loss": 0.1}}, data="Noise.")).data.to_dict()
    assert {"metrics", "model-index", "datasets"} & set(data) == set()


@pytest.mark.parametrize("name", ["'quoted': \"yes\"", "a: b", "# no comment", "ünï\U0001f3b5", "- x", "null", "1.0"])
def test_names_that_yaml_would_read_otherwise(name: str) -> None:
    card = card_of(dataclasses.replace(MEASURED, name=name))
    assert card.data.model_name == name
    assert f"\n# {name}\n" in card.text


@pytest.mark.parametrize("name", musiczoo.list_models())
def test_published_readmes_are_read_and_written_by_the_client(name: str) -> None:
    path, card = find(name) / "README.md", read_card(find(name))
    loaded = client.ModelCard.load(path)
    assert str(loaded) == path.read_text(encoding="utf-8")
    data = loaded.data
    assert (data.license, data.library_name, data.datasets) == (card.licence.lower(), "musiczoo", ["open_music"])
    found = {result.metric_type: result.metric_value for result in data.eval_results}
    assert found["roc_auc"] == round(card.metrics["test"]["roc_auc"]["value"], 4)
    assert found["retrieval.recall_at_1"] == round(card.metrics["test"]["retrieval"]["recall_at_1"]["value"], 4)
    assert {result.dataset_split for result in data.eval_results} == {"test"}


def test_the_hub_s_check_of_metadata() -> None:
    server = Hub()
    address = f"{server.url}/api/validate-yaml"

    def errors(text: str) -> list[str]:
        answer = client.get_session().post(address, json={"repoType": "model", "content": text}).json()
        return [error["message"] for error in answer["errors"]]

    assert {name: errors(readme(read_card(find(name)))) for name in musiczoo.list_models()} == {
        name: [] for name in musiczoo.list_models()
    }
    assert "library_name" in errors("---\nlicense: mit\n---\n# Toy\n")[0]
    server.close()


def test_without_the_client_the_readme_begins_with_its_title() -> None:
    program = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from musiczoo.card import read_card; from musiczoo.registry import find\n"
        "from musiczoo.export.readme import readme; print(readme(read_card(find('proxy')))[:7])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "# proxy\n"

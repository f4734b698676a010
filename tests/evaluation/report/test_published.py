"""The paper's tables, spot-checked against its pages."""

import pytest

from musiczoo.evaluation.report import published
from musiczoo.evaluation.report.metric import metric_at

MODELS = {model["name"]: model for model in published.models()}


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("triplet", ("time", "ratio"), 1.87),
        ("disentangled-triplet-track", ("time", "ratio"), 3.05),
        ("disentangled-triplet-track", ("triplets", "dim_sim"), 0.852),
        ("proxy", ("retrieval", "all", "recall", "1"), 0.45),
        ("classification-unnormalized", ("retrieval", "all", "recall", "8"), 0.359),
        ("classification", ("tagging", "roc_auc"), 0.887),
        ("disentangled-classification", ("triplets", "track"), 0.984),
        ("disentangled-classification", ("retrieval", "all", "recall", "4"), 0.707),
        ("triplet", ("triplets", "whole", "instrument"), 0.653),
        ("classification-unnormalized", ("triplets", "whole", "overall"), 0.728),
        ("disentangled-triplet", ("triplets", "sub-space", "era"), 0.797),
        ("disentangled-proxy", ("triplets", "sub-space", "overall"), 0.738),
    ],
)
def test_numbers_are_the_papers(name, path, value):
    found = metric_at(MODELS[name], *path)
    assert found is not None
    assert found.value == pytest.approx(value, abs=1e-12)


def test_eight_models_of_which_four_have_sub_spaces():
    assert len(MODELS) == 8
    disentangled = {name for name in MODELS if name.startswith("disentangled-")}
    assert {name for name, model in MODELS.items() if "sub-space" in model["triplets"]} == disentangled


def test_overall_is_the_mean_of_the_dimensions():
    """The paper does not say so; its numbers do, within rounding."""
    for model in MODELS.values():
        for space in ("whole", "sub-space"):
            values = {name: item["value"] for name, item in model["triplets"].get(space, {}).items()}
            if values:
                overall = values.pop("overall")
                assert overall == pytest.approx(sum(values.values()) / 4, abs=0.0011)

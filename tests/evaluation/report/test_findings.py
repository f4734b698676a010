import copy

import pytest

from musiczoo.evaluation.report import published
from musiczoo.evaluation.report.findings import (
    FAILS,
    HOLDS,
    UNKNOWN,
    classification,
    disentangling,
    findings,
    normalisation,
    triplets,
)


def recall(name, *shares):
    """A model with R@1, 2, 4, 8 of these shares, each with an interval of +-0.05."""
    found = {
        str(k): {"value": share, "interval": [share - 0.05, share + 0.05]}
        for k, share in zip((1, 2, 4, 8), shares, strict=True)
    }
    return {"name": name, "retrieval": {"all": {"recall": found}}}


def accuracy(name, whole=None, sub=None):
    part = {
        space: {"overall": {"value": value}}
        for space, value in (("whole", whole), ("sub-space", sub))
        if value is not None
    }
    return {"name": name, "triplets": part}


def named(*models):
    return {model["name"]: model for model in models}


def test_all_hold_for_the_papers_own_metrics():
    found = findings(published.models())
    assert [finding.verdict for finding in found] == [HOLDS] * 4
    assert [len(finding.comparisons) for finding in found] == [4, 5, 3, 4]


def test_the_metrics_that_decide_are_the_papers():
    _, groups, wins, helps = findings(published.models())
    assert str(groups.comparisons[0]) == "R@1: classification 43.8 > disentangled-triplet 36.5"
    assert str(groups.comparisons[4]) == "ROC-AUC: classification 0.887 > disentangled-triplet 0.825"
    assert str(wins.comparisons[0]) == "triplets, whole: disentangled-triplet 0.733 > classification-unnormalized 0.728"
    assert str(wins.comparisons[1]) == "triplets, sub-space: disentangled-triplet 0.792 > disentangled-proxy 0.738"
    assert str(wins.comparisons[2]) == "lead of the triplet models: in the sub-spaces 0.054 > in the whole space 0.005"
    assert str(helps.comparisons[2]) == "disentangled-proxy: in its sub-spaces 0.738 > proxy in its whole space 0.714"


def test_normalisation_must_help_at_each_k():
    good = named(
        recall("classification", 0.3, 0.4, 0.5, 0.6), recall("classification-unnormalized", 0.1, 0.2, 0.3, 0.4)
    )
    assert normalisation(good).verdict == HOLDS
    assert normalisation(good).caveat == ""
    bad = named(recall("classification", 0.3, 0.4, 0.5, 0.4), recall("classification-unnormalized", 0.1, 0.2, 0.3, 0.4))
    assert normalisation(bad).verdict == FAILS  # a tie is not better
    assert str(normalisation(bad).comparisons[3]).endswith(
        "classification 40.0 (35.0 to 45.0) = classification-unnormalized 40.0 (35.0 to 45.0)"
    )


def test_overlapping_intervals_are_named():
    close = named(
        recall("classification", 0.3, 0.4, 0.5, 0.6), recall("classification-unnormalized", 0.1, 0.31, 0.3, 0.59)
    )
    finding = normalisation(close)
    assert finding.verdict == HOLDS
    assert finding.caveat.startswith("In 2 of 4 comparisons the intervals overlap (R@2, R@8)")


def test_one_triplet_model_above_one_other_is_enough_to_fail():
    models = named(*copy.deepcopy(published.models()))
    models["proxy"]["tagging"]["roc_auc"]["value"] = 0.82  # below disentangled-triplet's 0.825
    finding = classification(models)
    assert finding.verdict == FAILS
    assert [comparison.holds for comparison in finding.comparisons] == [True] * 4 + [False]
    assert str(finding.comparisons[4]) == "ROC-AUC: proxy 0.820 < disentangled-triplet 0.825"


def test_triplets_must_win_by_more_in_the_sub_spaces():
    assert (
        triplets(named(accuracy("disentangled-triplet", 0.9, 0.8), accuracy("disentangled-proxy", 0.7, 0.7))).verdict
        == FAILS
    )
    assert (
        triplets(named(accuracy("disentangled-triplet", 0.8, 0.9), accuracy("disentangled-proxy", 0.7, 0.7))).verdict
        == HOLDS
    )


def test_the_unnormalised_baseline_counts_among_the_others_for_triplets_only():
    models = named(*copy.deepcopy(published.models()))
    models["classification-unnormalized"]["triplets"]["whole"]["overall"]["value"] = 0.74
    assert triplets(models).verdict == FAILS
    assert classification(models).verdict == HOLDS  # though its R@1 is below the triplet models'


def test_disentangling_is_judged_by_the_pairs_there_are():
    pair = named(
        accuracy("proxy", 0.7), accuracy("disentangled-proxy", 0.6, 0.8), accuracy("disentangled-triplet", 0.6, 0.65)
    )
    assert [comparison.metric for comparison in disentangling(pair).comparisons] == ["disentangled-proxy"]
    assert disentangling(pair).verdict == HOLDS
    assert disentangling(named(accuracy("proxy", 0.8), accuracy("disentangled-proxy", 0.7, 0.8))).verdict == FAILS


@pytest.mark.parametrize("model", published.models(), ids=lambda model: model["name"])
def test_one_model_alone_tells_nothing(model):
    for finding in findings([model]):
        assert finding.verdict == UNKNOWN
        assert finding.caveat.startswith("Missing: ")


def test_what_is_missing_is_named_once():
    finding = normalisation(named(recall("classification", 0.3, 0.4, 0.5, 0.6)))
    assert finding.missing == ("a model: classification-unnormalized",)


def test_a_figure_that_is_null_is_missing():
    models = named(
        recall("classification", 0.3, 0.4, 0.5, 0.6), recall("classification-unnormalized", 0.1, 0.2, 0.3, 0.4)
    )
    models["classification"]["retrieval"]["all"]["recall"]["4"] = {"value": None, "interval": [None, None]}
    finding = normalisation(models)
    assert finding.verdict == UNKNOWN
    assert finding.missing == ("R@4 of classification",)
    assert len(finding.comparisons) == 3


def test_metrics_without_interval_are_named_in_the_caveat():
    assert "no interval" in findings(published.models())[0].caveat

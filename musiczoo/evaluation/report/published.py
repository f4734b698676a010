"""The results that the paper prints.

Source: Lee et al., ISMIR 2020 (arXiv:2008.03729), sections 4.1 to 4.4: time ratio, R@K in percent, ROC-AUC,
accuracy on track triplets and on the human triplets of dim-sim, and accuracy on triplets by dimension.
"""

from typing import Any

DATA_SET = "Million Song Dataset, Last.fm tags, 28,435 test tracks"
KS = (1, 2, 4, 8)
DIMENSIONS = ("genre", "mood", "instrument", "era")

# name: time ratio, R@1, R@2, R@4, R@8, ROC-AUC, track triplets, human triplets
_RESULTS: dict[str, tuple[float, ...]] = {
    "triplet": (1.87, 31.8, 45.2, 59.9, 73.0, 0.815, 0.957, 0.820),
    "disentangled-triplet": (2.37, 36.5, 50.5, 64.1, 76.0, 0.825, 0.964, 0.820),
    "disentangled-triplet-track": (3.05, 33.9, 47.5, 61.9, 74.3, 0.813, 0.961, 0.852),
    "proxy": (1.11, 45.0, 58.5, 71.0, 80.9, 0.890, 0.978, 0.784),
    "disentangled-proxy": (1.29, 44.7, 58.2, 70.7, 80.6, 0.890, 0.978, 0.791),
    "classification-unnormalized": (1.00, 6.1, 11.5, 21.1, 35.9, 0.887, 0.978, 0.780),
    "classification": (1.00, 43.8, 57.8, 70.3, 80.3, 0.887, 0.978, 0.795),
    "disentangled-classification": (1.27, 44.7, 58.4, 70.7, 80.9, 0.890, 0.984, 0.801),
}
# name: genre, mood, instrument, era, overall
_WHOLE: dict[str, tuple[float, ...]] = {
    "triplet": (0.771, 0.725, 0.653, 0.701, 0.712),
    "disentangled-triplet": (0.762, 0.744, 0.696, 0.733, 0.733),
    "disentangled-triplet-track": (0.757, 0.733, 0.673, 0.715, 0.720),
    "proxy": (0.774, 0.742, 0.645, 0.693, 0.714),
    "disentangled-proxy": (0.762, 0.742, 0.660, 0.716, 0.720),
    "classification-unnormalized": (0.783, 0.745, 0.659, 0.723, 0.728),
    "classification": (0.776, 0.747, 0.647, 0.704, 0.719),
    "disentangled-classification": (0.758, 0.742, 0.659, 0.715, 0.719),
}
_SUB_SPACE: dict[str, tuple[float, ...]] = {
    "disentangled-triplet": (0.790, 0.785, 0.798, 0.797, 0.792),
    "disentangled-triplet-track": (0.775, 0.748, 0.743, 0.742, 0.752),
    "disentangled-proxy": (0.777, 0.740, 0.734, 0.700, 0.738),
    "disentangled-classification": (0.775, 0.739, 0.732, 0.701, 0.737),
}


def models() -> list[dict[str, Any]]:
    """Return the paper's eight models in the form of the ``"models"`` of a report.

    Example:
        >>> models()[0]["name"], models()[0]["tagging"]["roc_auc"]["value"]
        ('triplet', 0.815)
    """
    return [_model(name) for name in _RESULTS]


def _model(name: str) -> dict[str, Any]:
    time, *recall, roc_auc, track, human = _RESULTS[name]
    triplets: dict[str, Any] = {
        "whole": _triplets(_WHOLE[name]),
        "track": {"value": track},
        "dim_sim": {"value": human},
    }
    if name in _SUB_SPACE:
        triplets["sub-space"] = _triplets(_SUB_SPACE[name])
    return {
        "name": name,
        "tagging": {"roc_auc": {"value": roc_auc}},
        "retrieval": {"all": {"recall": {str(k): {"value": r / 100} for k, r in zip(KS, recall, strict=True)}}},
        "triplets": triplets,
        "time": {"ratio": time},
    }


def _triplets(accuracy: tuple[float, ...]) -> dict[str, dict[str, float]]:
    return {name: {"value": value} for name, value in zip((*DIMENSIONS, "overall"), accuracy, strict=True)}

"""A small report, made by hand: two tags, three models, one of them disentangled."""

from typing import Any

LABELS = "The labels are those of two networks"
CURVE = {
    "edges": [i / 10 for i in range(11)],
    "count": [90, 0, 10, 0, 0, 0, 0, 0, 0, 0],
    "mean_probability": [0.037, None, 0.242, *[None] * 7],
    "share_positive": [0.048, None, 0.361, *[None] * 7],
}


def metric(value: float | None, half: float = 0.02) -> dict[str, Any]:
    return {"value": value, "interval": [None, None] if value is None else [value - half, value + half]}


def retrieval(first: float) -> dict[str, Any]:
    shares = {str(k): first + 0.07 * i for i, k in enumerate((1, 2, 4, 8))}
    return {
        "recall": {k: metric(share) for k, share in shares.items()},
        "hit_rate": {k: metric(share + 0.011) for k, share in shares.items()},
        "queries": 51,
    }


def triplets(first: float) -> dict[str, Any]:
    names = ("genre", "mood", "instrument", "era", "overall")
    return {name: metric(first + 0.013 * i, 0.001) | {"count": 40000} for i, name in enumerate(names)}


def model(name: str, base: float, disentangled: bool = False) -> dict[str, Any]:
    """All tasks; each metric is `base` plus an offset that no other metric has."""
    points = [[float(i), float(i * i)] for i in range(4)]
    result: dict[str, Any] = {
        "name": name,
        "version": "0.2.0",
        "space_id": f"{name}-1",
        "parameters": 1_234_567,
        "spaces": ["genre", "mood", "instrument", "era"] if disentangled else ["all"],
        "normalized": True,
        "tagging": {
            "roc_auc": metric(base + 0.101),
            "average_precision": metric(base - 0.203),
            "tags": {
                "rock": {"positives": 23, "roc_auc": base + 0.104, "average_precision": base + 0.029},
                "guitar": {"positives": 1, "roc_auc": None, "average_precision": None},
            },
            "left_out": ["guitar"],
            "reliability": CURVE,
        },
        "retrieval": {"all": retrieval(base - 0.3)},
        "retrieval_whole": {"genre": retrieval(base - 0.314)},
        "triplets": {"whole": triplets(base), "track": metric(base + 0.207) | {"count": 40000}},
        "time": {
            "seconds_per_epoch": 100 * base,
            "epoch_ratio": 1.37 + base,
            "epochs_to_stop": 43,
            "ratio": 2.11 + base,
        },
        "agreement": {
            key: metric(base + shift)
            for key, shift in (
                ("spearman", 0.017),
                ("spearman_by_track", 0.033),
                ("top_k_overlap", 3.1),
                ("teacher_roc_auc", 0.113),
            )
        },
        "artists": {
            task: {
                "precision_at_1": metric(base + shift),
                "precision_at_5": metric(base + shift - 0.111),
                "mean_average_precision": metric(base + shift - 0.222),
                "chance": 0.0456,
                "queries": 43,
            }
            for task, shift in (("artist", 0.2345), ("artist, other albums", 0.1345), ("album", 0.0345))
        },
        "voices": {
            **{key: metric(base + shift) for key, shift in (("slope", 0.012), ("r", 0.024), ("voice_auc", 0.036))},
            "register_auc": {"value": None, "interval": [None, None]},
            "pairs": 33,
            "nearer": {space: metric(base + 0.048) for space in ("all", "genre")},
        },
        "projection": {
            "method": "PCA",
            "space": "instrument",
            "whole": points,
            "sub": points if disentangled else None,
            "highlight": {"guitar": [True, False, False, True], "instrumental": [False, True, False, True]},
        },
        "skipped": {},
    }
    if disentangled:
        result["retrieval"]["genre"] = retrieval(base - 0.28)
        result["triplets"]["sub-space"] = triplets(base + 0.0615)
    return result


def report(*models: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 1,
        "data": {
            "name": "open_music",
            "split": "test",
            "tracks": 51,
            "excerpts": 1630,
            "labels": LABELS,
            "teachers": ["musicnn-msd", "vgg-msd"],
            "tag_counts": {"rock": 23, "guitar": 1},
            "tracks_left_out": [{"id": "song-7", "reason": "cannot be decoded"}],
        },
        "settings": {"ks": [1, 2, 4, 8], "triplets_per_dimension": 40000, "track_triplets": 40000, "seed": 0},
        "models": list(models),
        "models_left_out": [],
    }


def whole_report() -> dict[str, Any]:
    return report(
        model("triplet", 0.62),
        model("classification", 0.66),
        model("disentangled-classification", 0.69, disentangled=True),
    )

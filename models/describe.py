"""The card of a model that was trained here: what it learnt from, how well, and what not to expect."""

from collections import Counter
from typing import Any

from musiczoo import __version__
from musiczoo.card import ModelCard
from musiczoo.datasets.store import Store
from musiczoo.models.frontend import EXCERPT_SAMPLES, FRONT_END, SAMPLE_RATE
from musiczoo.models.recipe import Recipe
from musiczoo.models.variants import variant
from musiczoo.taxonomy import DIMENSION_TAGS, EMBEDDING_SIZE, PLAIN_SPACE, TAGS

RARE = 5
"""A tag that fewer training tracks have among their top tags is named as a limit."""


def describe(recipe: Recipe, store: Store, result: dict[str, Any], weights_id: str, parameters: int) -> ModelCard:
    """The card of a finished run.

    Args:
        recipe: Of the run.
        store: The data set of the run.
        result: What the run's result.json holds.
        weights_id: Hash of the weights: it makes the embedding-space id unique.
        parameters: Trained parameters.
    """
    config = variant(recipe.model)
    train, counts = store.split("train"), result["train_positives"]
    hours = sum(track.duration_s for track in train) / 3600
    packages = sorted({track.package for track in train})
    licences = Counter(track.licence for track in train)
    rare = [tag for tag in TAGS if counts[tag] < RARE]
    validation = result["validation"]
    return ModelCard(
        name=recipe.model,
        version=__version__,
        summary=config.summary,
        licence="MIT",
        sample_rate=SAMPLE_RATE,
        excerpt_samples=EXCERPT_SAMPLES,
        embedding_size=EMBEDDING_SIZE,
        spaces=dict(config.spaces),
        space_id=f"{recipe.model}/{weights_id}",
        tags=TAGS,
        dimensions=DIMENSION_TAGS if config.disentangled else {PLAIN_SPACE: TAGS},
        thresholds=result["thresholds"],
        front_end=FRONT_END,
        parameters=parameters,
        data=(
            f"{store.dataset}: {len(train)} training tracks, {hours:.1f} h, of freely licensed music from "
            f"{len(packages)} Debian packages of games ({', '.join(packages)}). Licences of the training "
            f"tracks: {', '.join(f'{name} ({count})' for name, count in licences.most_common())}."
        ),
        labels=(
            "Pseudo-labels: no person tagged this music. Each excerpt's target is the mean of the tag "
            f"probabilities of {' and '.join(recipe.teachers)} (Pons and Serra, 2019; trained on the Million Song "
            "Dataset with Last.fm tags), so the model imitates them, mistakes included. They were asked about "
            f"{store.labelled_share('train', recipe.teachers):.0%} of the training excerpts; the other labels are "
            "interpolated between neighbours."
        ),
        metrics={
            "validation": {
                "loss": validation["loss"],
                "calibration_error": validation["calibration_error"],
                **{name: validation["agreement"][name] for name in ("roc_auc", "spearman", "top_k_overlap")},
            }
        },
        recipe={**recipe.plain(), "epochs_run": result["epochs"]},
        limits=(
            "Trained on instrumental game music: vocals above all are nearly absent from the training data, and "
            "so are most popular genres.",
            "Tags that hardly any training track has: " + (", ".join(rare) or "none") + ".",
            "Thresholds of these tags are common to all of them, since the validation split holds too few examples: "
            + (", ".join(result["common_threshold"]) or "none") + ".",
            "Figures measure agreement with the teachers, not with listeners, and cannot be compared with "
            "results on human tags.",
        ),
        intended_use=(
            "Tagging, exploring and searching music collections by similarity, and research on disentangled music "
            "representations. Not for decisions about people, for detecting who owns a recording, or as ground truth."
        ),
        sources=(
            "Lee, Bryan, Salamon, Jin, Nam: Metric Learning vs Classification for Disentangled Music "
            "Representation Learning, ISMIR 2020 (arXiv:2008.03729)",
            "Lee, Bryan, Salamon, Jin, Nam: Disentangled Multidimensional Metric Learning for Music Similarity, "
            "ICASSP 2020 (arXiv:2008.03720)",
            "Pons, Serra: musicnn: Pre-trained convolutional neural networks for music audio tagging, "
            "ISMIR 2019 late-breaking (arXiv:1909.06654)",
        ),
    )  # fmt: skip

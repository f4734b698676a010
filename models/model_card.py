"""The card of a trained model: training data, labels, metrics and limits."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from musiczoo import __version__
from musiczoo.card import ModelCard
from musiczoo.datasets import hard_tags, open_music, rendered_music
from musiczoo.datasets.prepared import ANNOTATIONS, Store
from musiczoo.evaluation.metrics import agreement
from musiczoo.models.architectures import architecture
from musiczoo.models.encoder import BLOCKS
from musiczoo.models.frontend import EXCERPT_SAMPLES, FRONT_END, SAMPLE_RATE
from musiczoo.models.frozen_encoder import Encoder, encoder_fields
from musiczoo.models.recipe import Recipe
from musiczoo.taxonomy import EMBEDDING_SIZE, PLAIN_SPACE

RARE = 5
"""Tags with fewer training tracks are listed as a limit."""

UNSPECIFIED = "unspecified"
"""Licence of weights trained on a user's music: the user chooses one."""

_MUSICNN = ("musicnn-msd", "vgg-msd")

_PAPERS = (
    "Lee, Bryan, Salamon, Jin, Nam: Metric Learning vs Classification for Disentangled Music "
    "Representation Learning, ISMIR 2020 (arXiv:2008.03729)",
    "Lee, Bryan, Salamon, Jin, Nam: Disentangled Multidimensional Metric Learning for Music Similarity, "
    "ICASSP 2020 (arXiv:2008.03720)",
)
_MUSICNN_PAPER = (
    "Pons, Serra: musicnn: Pre-trained convolutional neural networks for music audio tagging, "
    "ISMIR 2019 late-breaking (arXiv:1909.06654)"
)


def make_card(recipe: Recipe, store: Store, result: dict[str, Any], weights_id: str, parameters: int) -> ModelCard:
    """Return the card of a finished run.

    Args:
        recipe: The recipe of the run.
        store: The data set of the run.
        result: The content of the run's result.json.
        weights_id: Hash of the weights, which makes the embedding-space id unique.
        parameters: Number of trained parameters.
    """
    config = architecture(recipe.model)
    ours = _ours(store) and not recipe.base
    name = f"{recipe.base.rpartition(' ')[0] or recipe.base}-finetuned" if recipe.base else recipe.model
    summary = f"{len(store.tags)} user-defined tags on the encoder of {recipe.base}."
    return ModelCard(
        name=name,
        version=__version__,
        summary=summary if recipe.base else config.summary(store.vocabulary),
        licence="MIT" if ours else UNSPECIFIED,
        sample_rate=SAMPLE_RATE,
        excerpt_samples=EXCERPT_SAMPLES,
        embedding_size=EMBEDDING_SIZE,
        spaces=config.spaces(store.vocabulary),
        space_id=recipe.base_space if recipe.keeps_space else f"{name}/{weights_id}",
        tags=store.tags,
        dimensions=dict(store.dimensions) if config.disentangled or recipe.base else {PLAIN_SPACE: store.tags},
        thresholds=result["thresholds"],
        front_end=FRONT_END,
        parameters=parameters,
        normalized=config.normalized,
        data=_data(recipe, store),
        labels=_labels(recipe, store),
        metrics={"validation": _metrics(result["validation"])},
        recipe={**recipe.plain(), "epochs_run": result["epochs"]},
        limits=_limits(recipe, store, result),
        intended_use=(
            "Tagging, exploring and searching music collections by similarity, and research on disentangled music "
            "representations. Not for decisions about people, for detecting who owns a recording, or as ground truth."
        ),
        sources=(*_PAPERS, _MUSICNN_PAPER) if ours or set(recipe.teachers) & set(_MUSICNN) else _PAPERS,
    )


def make_head_card(
    recipe: Recipe, store: Store, result: dict[str, Any], weights_id: str, parameters: int, encoder: Encoder
) -> ModelCard:
    """The card of a head that was trained on a frozen encoder, once the two are joined.

    Args:
        recipe: Of the run.
        store: The data set of the run.
        result: What the run's result.json holds.
        weights_id: Hash of the head's weights.
        parameters: Trained parameters of the head.
        encoder: What it was trained on.
    """
    card, source = make_card(recipe, store, result, weights_id, parameters), encoder.card
    name = f"{source.name}-{recipe.model}"
    licence = source.licence if card.licence == source.licence else f"{card.licence} (head), {source.licence} (encoder)"
    return dataclasses.replace(
        card,
        name=name,
        summary=f"{card.summary[:-1]}, on the frozen encoder of {source.name}.",
        licence=licence,
        sample_rate=source.sample_rate,
        excerpt_samples=source.excerpt_samples,
        front_end=source.front_end,
        space_id=f"{name}/{hashlib.sha256(f'{encoder.id} {weights_id}'.encode()).hexdigest()[:12]}",
        parameters=card.parameters + source.parameters,
        data=f"The head: {card.data} The encoder, {source.name}: {source.data or 'not known.'}",
        recipe={**card.recipe, **encoder_fields(encoder)},
        limits=(
            "Only the head was trained on this music: what the encoder does not distinguish, no head can.",
            *(limit for limit in card.limits if not limit.startswith("Trained on")),
        ),
        sources=tuple(dict.fromkeys((*card.sources, *source.sources))),
    )


def _ours(store: Store) -> bool:
    """Return whether all data sets are those of the published weights."""
    return set(store.datasets) <= {open_music.NAME, rendered_music.NAME}


def _data(recipe: Recipe, store: Store) -> str:
    """Describe the training data of the run and of its base."""
    text = " ".join(_one_data_set(part, recipe.repeats.get(part.dataset, 1)) for part in store.parts or (store,))
    text += describe_start(recipe)
    if recipe.base:
        text += (
            f" Fine-tuned from {recipe.base} (embedding space {recipe.base_space}); its card names its training data. "
        )
        text += (
            "Only the tags were trained: the embeddings are those of that model."
            if recipe.keeps_space
            else "The encoder was trained further: the embedding space is a new one."
        )
    return text


def _one_data_set(store: Store, repeats: int) -> str:
    train = store.split("train")
    hours = sum(track.duration_s for track in train) / 3600
    text = f"{store.dataset}: {len(train)} training tracks, {hours:.1f} h"
    if store.dataset == open_music.NAME:
        packages = sorted({track.package for track in train})
        text += f", of freely licensed music from {len(packages)} Debian packages of games ({', '.join(packages)})"
    if store.dataset == rendered_music.NAME:
        sung = sum(bool(rendered_music.voice_of(track)) for track in train)
        text += (
            f", rendered for the purpose: accompaniment in {len({track.genre for track in train if track.genre})} "
            f"families of styles, {sung} songs whose singing was made of recorded speech by a vocoder, the same music "
            "without the voice, mixtures and damaged copies"
        )
    if repeats > 1:
        text += f"; each excerpt occurs {repeats} times in a pass"
    text += "."
    licences = Counter(track.licence for track in train if track.licence)
    if licences:
        text += (
            f" Licences of the training tracks: {', '.join(f'{n} ({count})' for n, count in licences.most_common())}."
        )
    return text


def describe_start(recipe: Recipe) -> str:
    """Describe the weights that a run did not start at random: models with one start have much in common."""
    if recipe.start_model:
        return f" Training continued from all weights of {recipe.start_model}."
    if not recipe.start:
        return ""
    if recipe.start_layers == "all":
        return f" Training continued from all weights of an earlier run, {recipe.start}, on the same music."
    text = f" The encoder started from that of an earlier run, {recipe.start}, on the same music"
    if recipe.frozen_blocks:
        text += f"; the stem and the first {recipe.frozen_blocks} of {BLOCKS} blocks were frozen"
    return text + ". Other models share that start. The embedding layer and the tags were trained from random weights."


def _labels(recipe: Recipe, store: Store) -> str:
    if recipe.teachers == (ANNOTATIONS,):
        return (
            f"Annotations of whole tracks by people, {len(store.tags)} tags: {', '.join(store.tags)}. Each excerpt "
            "of a track has all its tags."
        )
    trained_on = (
        " (Pons and Serra, 2019; trained on the Million Song Dataset with Last.fm tags)"
        if set(recipe.teachers) <= set(_MUSICNN)
        else ""
    )
    return (
        "Pseudo-labels: no person tagged this music. The target of each excerpt is the mean of the tag "
        f"probabilities of {' and '.join(recipe.teachers)}{trained_on}, so the model imitates them, mistakes included. "
        f"They labelled {store.labelled_share('train', recipe.teachers):.0%} of the training excerpts; the "
        "other labels are interpolated between neighbours."
    )


def _metrics(validation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the main metrics of a run, the headline first. Older runs with teachers have no ``"tagging"``."""
    scores = {name: validation.get("tagging", {}).get(name) for name in ("roc_auc", "average_precision")}
    metrics = {name: score for name, score in scores.items() if score is not None and score["value"] is not None}
    metrics |= {"loss": validation["loss"], "calibration_error": validation["calibration_error"]}
    if "agreement" in validation:
        found = agreement.current_names(validation["agreement"])
        metrics |= {name: found[name] for name in ("teacher_roc_auc", "spearman", "top_k_overlap")}
    return metrics


def _counted(recipe: Recipe) -> str:
    """Return how `musiczoo.models.calibration.train_positives` counts, where that is not by annotations."""
    if recipe.teachers == (ANNOTATIONS,):
        return ""
    return f" (tracks with the tag among the teachers' {agreement.TOP_K} likeliest)"


def _rule(recipe: Recipe) -> str:
    """Return the rule for the tags of a track, where these are not annotations."""
    if recipe.teachers == (ANNOTATIONS,):
        return ""
    return (
        f"; a track has a tag if the teachers' score is at least {hard_tags.TIMES_PRIOR:g} times the tag's mean over "
        f"the training tracks, at least 1 tag and at most {hard_tags.MOST}"
    )


def _limits(recipe: Recipe, store: Store, result: Mapping[str, Any]) -> tuple[str, ...]:
    rare = [tag for tag in store.tags if result["train_positives"][tag] < RARE]
    limits = [
        f"Tags with fewer than {RARE} training tracks{_counted(recipe)}: " + (", ".join(rare) or "none") + ".",
        f"Thresholds maximise F1 on the validation tracks{_rule(recipe)}.",
        "Tags that share one threshold, because they have too few validation tracks: "
        + (", ".join(result["common_threshold"]) or "none") + ".",
    ]  # fmt: skip
    if rendered_music.NAME in store.datasets:
        limits.insert(
            0,
            "The songs with singers in its training data are rendered, with voices made of speech; real singing is "
            "nearly absent.",
        )
    elif store.dataset == open_music.NAME:
        limits.insert(
            0,
            "Trained on instrumental game music: the training data have hardly any vocals and few popular genres.",
        )
    if recipe.teachers == (ANNOTATIONS,):
        limits.append(
            f"The weights, the calibration and the thresholds were chosen on the validation split "
            f"({len(store.split('validation'))} tracks), so its metrics are optimistic."
        )
    else:
        limits.append(
            "Metrics measure agreement with the teachers, not with people, and cannot be compared with results on "
            "annotations."
        )
    return tuple(limits)

"""Join a frozen encoder and a head into one model.onnx, which is a model like any other.

The encoder's nodes are copied as they are, so its features are those that the head was trained on. The parity gate runs
the joined file on audio, and compares it with the head in numpy behind the encoder alone.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.card import CARD_FILE, EMBEDDING_NAME, MODEL_FILE, POINTS_FILE, TAGS_NAME, ModelCard
from musiczoo.errors import InputError, ParityError
from musiczoo.export.head import Head
from musiczoo.export.onnx_graph import Graph
from musiczoo.models.frozen_encoder import FEATURES_NAME, Encoder
from musiczoo.session import check_graph, open_session, run_session

TOLERANCE = 1e-4
"""Largest difference on embeddings and tags, as for other exports (see `musiczoo.export.parity`)."""


def graft(
    encoder: Encoder,
    head: Head,
    card: ModelCard,
    excerpts: NDArray[np.float32],
    out: Path,
    trained: Callable[[NDArray[np.float32]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write ``out/`` with model.onnx, tag_points.npy and card.json.

    Args:
        encoder: Gives the features.
        head: Trained on them.
        card: Of the model.
        excerpts: Audio ``[N, excerpt_samples]`` for the gate.
        out: Folder that is there.
        trained: Features -> outputs of the head as it was trained, in Keras say; by default `head` in float64.

    Returns:
        ``{"excerpts": N, "graft-parts": {"embedding": difference, "tags": difference}}``.

    Raises:
        InputError: If the head takes features of another size.
        ParityError: If the joined file gives other numbers than its parts. It is removed then.
    """
    if head.kernel.shape[0] != encoder.size:
        raise InputError(
            f"The head takes {head.kernel.shape[0]} features, and {encoder.layer!r} of {encoder.card.name} has "
            f"{encoder.size}. Name the encoder and the layer that it was trained on."
        )
    path = out / MODEL_FILE
    graph = Graph(encoder.graph)
    head.write(graph, FEATURES_NAME)
    graph.save(card, path)
    content = path.read_bytes()
    session = open_session(content, path, None)
    check_graph(session, card, path)
    names = EMBEDDING_NAME, TAGS_NAME
    rows = [run_session(session, card, names, excerpts[i : i + 1]) for i in range(len(excerpts))]
    expected = (trained or head)(encoder.features(excerpts))
    report = {
        name: float(np.abs(np.concatenate([row[i] for row in rows]) - np.asarray(expected[name])).max())
        for i, name in enumerate(names)
    }
    for name, difference in report.items():
        if not difference <= TOLERANCE:  # also if it is not a number
            path.unlink()
            raise ParityError(
                f"Encoder and head give other {name} joined than one after the other: the difference is "
                f"{difference:g}, more than {TOLERANCE:g}. Do not publish this model."
            )
    np.save(out / POINTS_FILE, head.points.astype(np.float16))
    (out / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return {"excerpts": len(excerpts), "graft-parts": report}

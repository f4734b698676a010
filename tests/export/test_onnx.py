"""The .onnx file: names, shapes, metadata, size and numbers."""

import json

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from tiny import TINY_CARD, Exported, excerpts

from musiczoo.card import EMBEDDING_NAME, INPUT_NAME, TAGS_NAME
from musiczoo.export.onnx_graph import LOG_MEL

pytestmark = pytest.mark.train


def test_names_shapes_and_opset(exported: Exported) -> None:
    proto = onnx.load_model(exported.onnx)
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*proto.graph.input, *proto.graph.output]
    }
    assert shapes == {INPUT_NAME: ["N", 66150], EMBEDDING_NAME: ["N", 256], TAGS_NAME: ["N", 50]}
    types = {value.type.tensor_type.elem_type for value in [*proto.graph.input, *proto.graph.output]}
    assert types == {TensorProto.FLOAT}
    assert {opset.version for opset in proto.opset_import if opset.domain == ""} <= {17, 18}
    assert any(LOG_MEL in node.output for node in proto.graph.node)


def test_metadata_is_the_cards(exported: Exported) -> None:
    metadata = onnxruntime.InferenceSession(exported.onnx).get_modelmeta().custom_metadata_map
    assert metadata == TINY_CARD.metadata()
    assert json.loads(metadata["musiczoo.spaces"])["mood"] == [64, 128]
    assert json.loads(metadata["musiczoo.tags"])[:2] == ["rock", "pop"]


def test_large_weights_are_float16_and_the_front_end_is_not(exported: Exported) -> None:
    arrays = [numpy_helper.to_array(value) for value in onnx.load_model(exported.onnx).graph.initializer]
    full = sorted(array.shape for array in arrays if array.dtype == np.float32 and array.size > 256)
    half = sorted(array.shape for array in arrays if array.dtype == np.float16)
    assert full == [(17, 32), (17, 32), (34, 32), (64, 64), (544, 128), (1024,)]
    assert half == [(8, 8, 5, 5), (8, 256), (256, 50)]


def test_a_batch_is_its_rows(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.onnx)
    audio = excerpts()
    together = session.run([EMBEDDING_NAME, TAGS_NAME], {INPUT_NAME: audio})
    for row in range(len(audio)):
        alone = session.run([EMBEDDING_NAME, TAGS_NAME], {INPUT_NAME: audio[row : row + 1]})
        for one, all_rows in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_rows[row], atol=1e-6)


def test_each_space_has_length_one_half(exported: Exported) -> None:
    (embedding,) = onnxruntime.InferenceSession(exported.onnx).run([EMBEDDING_NAME], {INPUT_NAME: excerpts()})
    lengths = np.linalg.norm(embedding.reshape(-1, 4, 64), axis=2)
    np.testing.assert_allclose(lengths, 0.5, atol=1e-6)

from __future__ import annotations

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from medsynth.artifact.runtime import import_onnxruntime, session_options
from medsynth.export.keras_onnx import OPSET, classifier_to_onnx, sampler_to_onnx


def _session(model):
    ort = import_onnxruntime()
    return ort.InferenceSession(model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"])


def _classifier(flatten):
    inputs = keras.Input((8, 8, 1), dtype="uint8", name="images")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    features = flatten(x)
    logits = keras.layers.Dense(3)(features)
    return keras.Model(inputs, {"features": features, "probabilities": keras.ops.softmax(logits), "logits": logits})


def _shape(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("flatten", [keras.layers.Flatten(), keras.layers.Reshape((64,))])
def test_a_classifier_has_the_names_of_the_contract_and_no_shape_arithmetic(flatten):
    network = _classifier(flatten)
    model = classifier_to_onnx(network)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.output] == ["logits", "probabilities", "features"]
    assert [_shape(value) for value in model.graph.input] == [["batch", 8, 8, 1]]
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert [_shape(value) for value in model.graph.output] == [["batch", 3], ["batch", 3], ["batch", 64]]
    assert not {"Shape", "Gather", "Concat"} & {node.op_type for node in model.graph.node}
    assert model.opset_import[0].version == OPSET
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    expected = network(images, training=False)
    session = _session(model)
    for count in (1, 5):
        got = dict(
            zip(("logits", "features"), session.run(["logits", "features"], {"images": images[:count]}), strict=True)
        )
        for name, value in got.items():
            np.testing.assert_allclose(value, np.asarray(expected[name])[:count], atol=1e-5)


def test_a_sampler_has_the_names_of_the_contract():
    noise = keras.Input((6,), dtype="float32", name="noise")
    label = keras.Input((), dtype="int64", name="label")
    x = keras.layers.Dense(16)(noise * keras.layers.Embedding(2, 6)(label))
    grey = keras.ops.clip(keras.ops.round(x * 60 + 128), 0, 255)
    sampler = keras.Model([noise, label], keras.ops.cast(keras.ops.reshape(grey, (-1, 4, 4, 1)), "uint8"))
    model = sampler_to_onnx(sampler)
    assert [(value.name, _shape(value)) for value in model.graph.input] == [
        ("noise", ["batch", 6]),
        ("label", ["batch"]),
    ]
    assert [(value.name, _shape(value)) for value in model.graph.output] == [("images", ["batch", 4, 4, 1])]
    rows = {"noise": np.random.default_rng(0).normal(size=(7, 6)).astype("float32"), "label": np.arange(7) % 2}
    got = _session(model).run(["images"], rows)[0]
    expected = np.asarray(sampler([rows["noise"], rows["label"]]))
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1

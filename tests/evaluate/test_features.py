from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medsynth.errors import ArtifactError, ConfigError, DataError
from medsynth.evaluate import FeatureNetwork, Pixels, features, load_features
from medsynth.evaluate.features import FEATURES_KEY
from medsynth.images import ImageSpec, load_images

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), np.uint8)


@pytest.fixture
def write(tmp_path):
    """A network of somebody else: pooled pixels of 8 by 8 RGB images, in any layout and dtype."""

    def write_network(*, shape=("batch", 8, 8, 3), dtype=TensorProto.FLOAT, output="pool", name=None, width=3, more=()):
        first = len(shape) == 4 and shape[1] in {1, 3}
        axes = numpy_helper.from_array(np.array([2, 3] if first else [1, 2]), "axes")
        nodes = [
            helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], [output], keepdims=0),
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width]), *more]
        inputs = [helper.make_tensor_value_info("pixels", dtype, shape)]
        graph = helper.make_graph(nodes, "pool", inputs, outputs, [axes])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        if name:
            helper.set_model_props(model, {FEATURES_KEY: json.dumps({"name": name})})
        onnx.save(model, tmp_path / "network.onnx")
        return tmp_path / "network.onnx"

    return write_network


def pooled():
    prepared = load_images(list(IMAGES), ImageSpec(height=8, width=8, channels=3))
    return prepared.astype(np.float64).mean(axis=(1, 2))


@pytest.mark.parametrize("shape", [("batch", 8, 8, 3), ("batch", 3, 8, 8), (2, 8, 8, 3)])
def test_any_layout_and_batch(write, shape):
    network = load_features(write(shape=shape), pixels=Pixels(scale=(0.5,), mean=(1.0, 2.0, 3.0)), device="cpu")
    np.testing.assert_allclose(network(IMAGES), (pooled() - [1, 2, 3]) / 2, rtol=1e-5)
    assert network(IMAGES[:0]).shape == (0, 3)


def test_a_network_that_takes_pixels_as_they_are_and_has_a_name(write):
    network = load_features(write(dtype=TensorProto.UINT8, name="Somebody's"), device="cpu")
    np.testing.assert_allclose(network(IMAGES), pooled(), rtol=1e-5)
    space = network.space
    assert (space.name, space.file, space.dimensions, space.image_size) == ("Somebody's", "network.onnx", 3, (8, 8))
    assert len(space.content_hash) == 64
    assert load_features(write(dtype=TensorProto.UINT8), device="cpu").space.name == "features of network.onnx"


def test_float16(write):
    network = load_features(write(dtype=TensorProto.FLOAT16), pixels=Pixels(scale=(1 / 255,)), device="cpu")
    np.testing.assert_allclose(network(IMAGES), pooled() / 255, atol=2e-3)


def test_the_classifiers_own_features(load):
    classifier = load("classifier.onnx")
    network = FeatureNetwork.of(classifier)
    prepared = load_images(list(IMAGES), classifier.image)
    np.testing.assert_array_equal(network(IMAGES), classifier.run(prepared)["features"])
    assert network.space.name == "features of classifier.onnx"
    assert network.space.content_hash == classifier.metadata.content_hash
    assert network.space.dimensions == 144
    again = load_features(classifier.path, device="cpu")
    assert again.space == network.space


def test_a_generator_has_no_features(load):
    with pytest.raises(ArtifactError, match="must be a classifier"):
        load_features(load("generator.onnx").path, device="cpu")


@pytest.mark.parametrize(
    ("network", "pixels", "error", "message"),
    [
        ({}, None, ConfigError, "takes float32, so say.*--features-scale NUMBER"),
        ({}, Pixels(scale=(1.0, 2.0)), ConfigError, "--features-scale must be 1 number or 3. Got 2"),
        ({"dtype": TensorProto.UINT8}, Pixels(scale=(1.0,)), ConfigError, "as they are; omit"),
        ({"shape": ("batch", "h", "w", 3)}, Pixels(scale=(1.0,)), ArtifactError, "fixed height and width"),
        ({"dtype": TensorProto.INT32}, Pixels(scale=(1.0,)), ArtifactError, "must be float32, float16 or uint8"),
    ],
)
def test_what_cannot_be_used_is_explained(write, network, pixels, error, message):
    with pytest.raises(error, match=message):
        load_features(write(**network), pixels=pixels, device="cpu")


def test_a_free_length_is_refused():
    with pytest.raises(ArtifactError, match=r"length of its features must be fixed. Got free"):
        features._dimensions(Path("network.onnx"), "free")


def test_two_outputs_need_a_name(write):
    other = helper.make_tensor_value_info("float", TensorProto.FLOAT, ["batch", 8, 8, 3])
    assert load_features(write(more=[other]), pixels=Pixels(scale=(1.0,)), device="cpu").space.dimensions == 3
    only = write(output="maps", width=3, more=[])
    model = onnx.load(only)
    model.graph.node.append(helper.make_node("Identity", ["maps"], ["twin"]))
    model.graph.output.append(helper.make_tensor_value_info("twin", TensorProto.FLOAT, ["batch", 3]))
    onnx.save(model, only)
    with pytest.raises(ArtifactError, match="must have an output 'features', or only one"):
        load_features(only, pixels=Pixels(scale=(1.0,)), device="cpu")
    model.graph.node[-1].output[0] = model.graph.output[1].name = "features"
    onnx.save(model, only)
    assert load_features(only, pixels=Pixels(scale=(1.0,)), device="cpu")(IMAGES).shape == (5, 3)


def test_features_that_are_not_finite_are_refused(write):
    network = load_features(write(), pixels=Pixels(scale=(float("inf"),)), device="cpu")
    with pytest.raises(DataError, match="must give finite features"):
        network(IMAGES)

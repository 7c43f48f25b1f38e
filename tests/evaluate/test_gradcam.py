"""Grad-CAM from the ONNX file against TensorFlow's own gradients, and against CAM in closed form."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import medsynth
from medsynth.errors import ArtifactError
from medsynth.evaluate.gradcam import GradCam
from medsynth.plugins import ImageSpec


def gradient_maps(network, images, index):
    """Equations 1 and 2 of Selvaraju et al., by TensorFlow."""
    import tensorflow as tf

    @tf.function
    def maps(inputs):
        outputs = network(inputs, training=False)
        found = outputs["activations"]
        (slopes,) = tf.gradients(outputs["logits"][:, index], found)
        weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * found, axis=-1))

    return maps(images).numpy()


def test_it_is_what_tensorflow_says(classifier_onnx, classifier_run, phantom):
    """The default head: means and deviations of three levels, standardised, dense."""
    from medsynth.train.rebuild import rebuild_classifier

    images = phantom.part("test").decode(classifier_run.image).images[:4]
    explain = GradCam(classifier_onnx)
    network = rebuild_classifier(classifier_run)
    wanted = np.stack([gradient_maps(network, images, index) for index in (0, 1)])
    assert wanted.max() > 0
    got = np.stack([[explain(image, index) for image in images] for index in (0, 1)])
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * wanted.max())


def test_a_head_that_is_not_linear(tmp_path, tiny):
    """Activations through two dense layers with a bend between them, as in VGG16's own head."""
    import keras
    from keras import layers, ops

    from medsynth import artifact
    from medsynth.export.keras_onnx import classifier_to_onnx

    keras.utils.set_random_seed(3)
    spec = ImageSpec(height=16, width=16, channels=1)
    inputs = keras.Input(spec.shape, dtype="uint8", name="images")
    x = layers.Conv2D(6, 3, strides=2, activation="relu")(ops.cast(inputs, "float32") / 255.0)
    features = layers.Dense(20, activation="tanh")(ops.reshape(x, (-1, 7 * 7 * 6)))
    logits = layers.Dense(2)(features)
    outputs = {"logits": logits, "probabilities": ops.softmax(logits), "features": features, "activations": x}
    network = keras.Model(inputs, outputs)
    path = tmp_path / "m.onnx"
    artifact.write(classifier_to_onnx(network), tiny.metadata("classifier", spec=spec), path)
    images = np.random.default_rng(0).integers(0, 256, (3, *spec.shape), np.uint8)
    wanted = gradient_maps(network, images, 1)
    got = np.stack([GradCam(path)(image, 1) for image in images])
    np.testing.assert_allclose(got, wanted, rtol=0.02, atol=0.02 * wanted.max())


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_behind_pooling_and_one_dense_layer_it_is_cam(tmp_path, dtype):
    """Zhou et al.: the dense layer's weights times the maps, by the number of positions."""
    rng = np.random.default_rng(1)
    kernel, dense = rng.normal(size=(5, 1, 3, 3)), rng.normal(size=(5, 2))
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=dtype),
        helper.make_node("Transpose", ["float"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["raw"]),
        helper.make_node("Relu", ["raw"], ["maps"]),
        helper.make_node("Transpose", ["maps"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["last"], ["activations"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
        helper.make_node("MatMul", ["vector", "dense"], ["half"]),
        helper.make_node("Cast", ["half"], ["logits"], to=TensorProto.FLOAT),
    ]
    numbers = helper.tensor_dtype_to_np_dtype(dtype)
    graph = helper.make_graph(
        nodes,
        "cam",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 9, 11, 1])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("activations", TensorProto.FLOAT, ["batch", 7, 9, 5]),
        ],
        [
            numpy_helper.from_array((kernel / 255).astype(numbers), "kernel"),
            numpy_helper.from_array(dense.astype(numbers), "dense"),
        ],
    )
    path = tmp_path / "cam.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    image = rng.integers(0, 256, (9, 11, 1), np.uint8)
    pixels = image[..., 0].astype(float) / 255
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3))
    maps = np.maximum(np.einsum("hwij,kij->hwk", windows, kernel[:, 0]), 0)
    wanted = np.maximum(maps @ dense[:, 1], 0) / 63
    tolerance = 1e-5 if dtype == TensorProto.FLOAT else 2e-2
    np.testing.assert_allclose(GradCam(path)(image, 1), wanted, atol=tolerance * wanted.max())


def test_files_without_activations_are_refused(tiny, tmp_path):
    path = tiny.classifier_file(tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match="has no output 'activations'"):
        GradCam(path)


def test_averaged_views_get_the_map_of_their_mean(classifier_onnx, phantom, tmp_path):
    """The weights are means over the views; the maps are those of the unmoved image."""
    path = medsynth.export(classifier_onnx, tmp_path / "views.onnx", tta=5, calibration=phantom)
    model = medsynth.load_model(path, device="cpu")
    image = phantom.part("test").decode(model.image).images[0]
    averaged, single = GradCam(path)(image, 1), GradCam(classifier_onnx)(image, 1)
    assert averaged.shape == single.shape
    assert np.isfinite(averaged).all()
    # The head is linear in a channel's mean, whatever the image: the same weights.
    np.testing.assert_allclose(averaged, single, rtol=1e-3, atol=1e-4 * single.max())

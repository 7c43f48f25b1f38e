"""The wrapping, with a small network in InceptionV3's place: the real weights cannot be fetched in a test."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.errors import ConfigError, MedsynthError
from medsynth.evaluate import load_features
from medsynth.export.inception import NAME, export_inception
from medsynth.images import ImageSpec, load_images


@pytest.fixture
def small(monkeypatch):
    """Mean of each channel after the first pixels, in the place of 94 layers."""
    asked = {}

    def build(**options):
        asked.update(options)
        inputs = keras.Input(options["input_shape"])
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    return asked


def test_the_file_serves_as_features(small, tmp_path):
    path = export_inception(tmp_path / "inception.onnx")
    assert (small["weights"], small["include_top"], small["pooling"]) == ("imagenet", False, "avg")
    network = load_features(path, device="cpu")
    assert network.space.name == NAME == "Keras Inception"
    assert network.space.image_size == (299, 299)
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 1), np.uint8)
    prepared = load_images(list(images), ImageSpec(height=299, width=299, channels=3))
    np.testing.assert_allclose(network(images), prepared.mean(axis=(1, 2)) / 127.5 - 1, atol=1e-4)


def test_a_file_of_weights_is_passed_on(small, tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"")
    export_inception(tmp_path / "inception.onnx", weights=str(tmp_path / "weights.h5"))
    assert small["weights"] == str(tmp_path / "weights.h5")
    with pytest.raises(ConfigError, match="'imagenet' or a file"):
        export_inception(tmp_path / "inception.onnx", weights="somewhere")


def test_offline_is_explained_in_one_line(monkeypatch, tmp_path):
    def fail(**options):
        raise OSError("URL fetch failure: Name or service\nnot known")

    monkeypatch.setattr(keras.applications, "InceptionV3", fail)
    with pytest.raises(MedsynthError, match=r"cannot be downloaded \(URL fetch failure: Name or service not known\)"):
        export_inception(tmp_path / "inception.onnx")
    assert not (tmp_path / "inception.onnx").exists()
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(ConfigError, match="must hold the weights of InceptionV3"):
        export_inception(tmp_path / "inception.onnx", weights=str(tmp_path / "weights.h5"))


@pytest.mark.timeout(300)
def test_the_real_network_answers_as_keras_does(tmp_path):
    """The real layers with random weights, through the command, as from a downloaded file."""
    from typer.testing import CliRunner

    from medsynth.cli.metrics import app

    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3))
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (4, 5, 5, 3), np.uint8)
    images = np.concatenate([coarse.repeat(60, axis=1).repeat(60, axis=2)[:, :299, :299]])
    images[2:] = random.integers(0, 256, (2, 299, 299, 3), np.uint8)
    prepared = keras.applications.inception_v3.preprocess_input(images.astype(np.float32))
    # Statistics of these images: with those of a new network all features would be nearly the same.
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(prepared, training=True)
    expected = np.asarray(network(prepared, training=False))
    assert expected.std(axis=0).mean() > 0.05
    network.save_weights(tmp_path / "inception.weights.h5")

    given = ["inception", "--out", str(tmp_path / "i.onnx"), "--weights", str(tmp_path / "inception.weights.h5")]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0
    served = load_features(tmp_path / "i.onnx", device="cpu")
    assert served.space.dimensions == 2048
    np.testing.assert_allclose(served(images), expected, atol=1e-3 * float(expected.std()))

from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.default_plugins.vgg16 import VGG16
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec

GREY = ImageSpec(height=32, width=32, channels=1)
COLOUR = ImageSpec(height=32, width=32, channels=3)


def test_pretrained_features_are_those_of_keras_own_vgg16(vgg16_weights):
    model = VGG16(weights=str(vgg16_weights), head="gap").build(COLOUR, 2)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    published = keras.applications.VGG16(include_top=False, weights=str(vgg16_weights), pooling="avg")
    expected = published(keras.applications.vgg16.preprocess_input(images.astype("float32")))
    np.testing.assert_allclose(model(images)["features"], expected, rtol=1e-4, atol=1e-4)


def test_a_grey_image_is_seen_as_the_same_grey_in_three_channels():
    keras.utils.set_random_seed(1)
    options = {"weights": "none", "width": 0.0625}
    grey, colour = VGG16(**options).build(GREY, 2), VGG16(**options).build(COLOUR, 2)
    colour.set_weights(grey.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    np.testing.assert_allclose(grey(images)["logits"], colour(np.repeat(images, 3, -1))["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("head", "features"), [("levels", 2 * (8 + 16 + 32)), ("gap", 32), ("fc4096", 4096)])
def test_every_head(head, features):
    model = VGG16(weights="none", width=0.0625, head=head).build(GREY, 3)
    outputs = model(np.zeros((2, 32, 32, 1), np.uint8))
    assert outputs["features"].shape == (2, features)
    assert outputs["probabilities"].shape == (2, 3)


def test_the_reports_head_has_the_papers_size_at_224():
    # 138,357,544 parameters with 1000 classes (timm's table); counted from the shapes, without building it.
    convolutions = sum(
        (9 * before + 1) * after
        for before, after in zip(
            (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512),
            (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
            strict=True,
        )
    )
    assert convolutions + (512 * 49 + 1) * 4096 + 4097 * 4096 + 4097 * 1000 == 138_357_544
    built = VGG16(weights="none", head="gap").build(COLOUR, 1000)
    assert built.count_params() == convolutions + 513 * 1000


def test_frozen_blocks_have_no_trainable_weights():
    plugin = VGG16(weights="none", width=0.0625, batch_norm=True, head="gap", trainable_blocks=2)
    model = plugin.build(GREY, 2)
    trained = {variable.path.split("/")[0][:6] for variable in model.trainable_variables}
    assert trained == {"block4", "block5", "logits"}
    assert plugin.freeze_points(model) == tuple(f"block{index}_pool" for index in range(1, 6))


def test_levels_are_means_and_standard_deviations_of_three_blocks(vgg16_weights):
    model = VGG16(weights=str(vgg16_weights)).build(COLOUR, 2)
    # Learned from other images, so by default they stay as they are; random ones do not.
    assert not model.get_layer("block4_conv3").trainable
    assert VGG16(weights="none", width=0.1).build(COLOUR, 2).get_layer("block1_conv1").trainable
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    published = keras.applications.VGG16(include_top=False, weights=str(vgg16_weights))
    pools = [published.get_layer(f"block{block}_pool").output for block in (2, 3, 4)]
    maps = keras.Model(published.input, pools)(keras.applications.vgg16.preprocess_input(images.astype("float32")))
    expected = np.concatenate(
        [part for each in map(np.asarray, maps) for part in (each.mean((1, 2)), each.std((1, 2)))], axis=1
    )
    levels = keras.Model(model.inputs[0], model.get_layer("levels").output)(images)
    np.testing.assert_allclose(levels, expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "gab"}, "'levels', 'gap' or 'fc4096'"),
        ({"width": 0}, "above 0"),
        ({"trainable_blocks": 6, "head": "gap"}, "0 to 5"),
        ({"trainable_blocks": 5}, "0 to 4"),
        ({"dropout": 1.0}, "below 1"),
    ],
)
def test_options_say_what_they_must_be(options, said):
    with pytest.raises(ConfigError, match=said):
        VGG16(**options)


def test_what_cannot_be_built_says_why(tmp_path):
    with pytest.raises(ConfigError, match="at least 32x32"):
        VGG16(weights="none").build(ImageSpec(height=16, width=64, channels=1), 2)
    with pytest.raises(ConfigError, match="fit only width=1"):
        VGG16(width=0.5).build(GREY, 2)
    with pytest.raises(ConfigError, match="which is no file"):
        VGG16(weights="absent.weights.h5").build(GREY, 2)
    bad = tmp_path / "bad.weights.h5"
    bad.write_bytes(b"not HDF5")
    with pytest.raises(ConfigError, match=r"bad\.weights\.h5 does not hold"):
        VGG16(weights=str(bad)).build(GREY, 2)


def test_offline_imagenet_weights_say_what_to_do(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise OSError("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.applications.vgg16.file_utils.get_file", unreachable)
    with pytest.raises(ConfigError, match="--weights FILE"):
        VGG16().build(GREY, 2)

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from medsynth.dataset.phantom import phantom_images
from medsynth.default_plugins.acgan import ACGAN
from medsynth.default_plugins.acgan.features import frozen_features
from medsynth.default_plugins.vgg16 import as_published
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec
from medsynth.train.checkpoint import model_variables

pytestmark = pytest.mark.usefixtures("eagerly")

SPEC = ImageSpec(height=32, width=32, channels=1)
SMALL = {
    "recipe": "projected", "weights": "none", "width": 2, "discriminator_width": 4, "latent": 8, "precision": "float32",
}  # fmt: skip


def _batch():
    return np.random.default_rng(0).integers(0, 256, (8, 32, 32, 1), dtype=np.uint8), np.arange(8) % 2


def _tensors(features):
    """The network behind the function."""
    return features.func


def test_it_is_the_published_network_mixed(vgg16_weights):
    features = frozen_features(SPEC, str(vgg16_weights), "float32")
    grey = phantom_images(6, SPEC, seed=1)
    image, *found = [np.asarray(maps) for maps in features(grey.astype("float32") / 127.5 - 1)]
    np.testing.assert_array_equal(image, grey.astype("float32") / 127.5 - 1)
    published = keras.applications.VGG16(include_top=False, weights=str(vgg16_weights), input_shape=(32, 32, 3))
    pools = [published.get_layer(f"block{block}_pool").output for block in (1, 2, 3, 4)]
    colour = keras.applications.vgg16.preprocess_input(np.repeat(grey, 3, axis=-1).astype("float32"))
    kernels = [layer.get_weights()[0][0, 0] for layer in _tensors(features).layers[-4:]]
    for maps, kernel, pool in zip(found, kernels, keras.Model(published.inputs[0], pools)(colour), strict=True):
        expected = np.asarray(pool) @ kernel
        assert maps.shape == expected.shape
        np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3)
        assert 0.3 < np.sqrt(np.square(maps).mean()) < 3


def test_colour_is_read_in_the_order_of_the_published_weights():
    keras.utils.set_random_seed(0)
    colour = frozen_features(ImageSpec(height=32, width=32, channels=3), "none", "float32")
    keras.utils.set_random_seed(0)
    grey = frozen_features(SPEC, "none", "float32")
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype("float32")
    threefold = np.repeat(images, 3, axis=-1)
    for one, other in zip(colour(threefold)[1:], grey(images)[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    expected = keras.applications.vgg16.preprocess_input(pixels.copy())
    np.testing.assert_allclose(as_published(pixels), expected, rtol=1e-5, atol=1e-4)


def test_no_checkpoint_holds_the_frozen_network_and_no_step_changes_it():
    model = ACGAN(**SMALL).build(SPEC, 2)
    frozen = _tensors(model.features)
    before = [each.copy() for each in frozen.get_weights()]
    parts = (model.generator, model.discriminator, model.averaged)
    old = [[each.numpy() for each in part.variables] for part in parts]
    logs = model.train_on_batch(*_batch(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    for part, values in zip(parts, old, strict=True):
        assert any((each.numpy() != value).any() for each, value in zip(part.variables, values, strict=True))
    assert all(np.array_equal(one, other) for one, other in zip(before, frozen.get_weights(), strict=True))
    held = {id(each) for each in model_variables(model)}
    assert held.isdisjoint(id(each) for each in frozen.variables)


def test_the_penalty_passes_through_the_frozen_network():
    model = ACGAN(**SMALL, r1=1e6, r1_every=3).build(SPEC, 2)
    losses = [model.train_on_batch(*_batch(), return_dict=True)["discriminator_loss"] for _ in range(4)]
    assert min(losses[0], losses[3]) > 3 * max(losses[1:3])


def test_the_penalty_is_of_the_mean_over_the_places():
    """Against the gradient by finite differences, along the gradient's own direction."""
    model = ACGAN(**SMALL, r1=1.0, r1_every=1, augment="none").build(SPEC, 2)
    image = tf.random.stateless_uniform((1, *SPEC.shape), (0, 0), -1.0, 1.0)

    def judged(pixels):
        return model.discriminator(model.features(pixels), training=False)[0]

    with tf.GradientTape() as tape:
        tape.watch(image)
        mean = tf.reduce_mean(judged(image))
    slope = tape.gradient(mean, image)
    assert judged(image).shape[1] > 1
    expected = 0.5 * float(tf.reduce_sum(slope**2))
    assert float(model._penalty(image)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("side", [48, 80])
def test_maps_that_four_does_not_divide(side):
    model = ACGAN(**SMALL).build(ImageSpec(height=side, width=side, channels=1), 2)
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 1), dtype=np.uint8)
    logs = model.train_on_batch(images, np.arange(4) % 2, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("side", [16, 28, 36])
def test_small_images_are_refused(side):
    with pytest.raises(ConfigError, match="projected recipe must be"):
        ACGAN(**SMALL).build(ImageSpec(height=side, width=side, channels=1), 2)


def test_absent_weights_are_named():
    with pytest.raises(ConfigError, match="absent"):
        ACGAN(**SMALL | {"weights": "absent.weights.h5"}).build(SPEC, 2)

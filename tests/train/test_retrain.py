"""A tiny network that is trained anew: what it learns, and that it takes the steps it should."""

from __future__ import annotations

import numpy as np
import pytest

from medsynth.config import ClassifierConfig
from medsynth.errors import ConfigError, UnknownPluginError
from medsynth.images import ImageSpec
from medsynth.train import retrain, retrainer
from medsynth.train.step import build_optimizer, compile_step

IMAGE = ImageSpec(height=32, width=32, channels=1)
RECIPE = {
    "backbone": "vgg16",
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "training_precision": "float32",
    "options": {"width": 0.125, "weights": "none", "head": "gap"},
}


def shades(count, seed):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.normal(90 + 70 * labels[:, None, None, None], 20, (count, 32, 32, 1))
    return np.clip(images, 0, 255).astype(np.uint8), labels


def network(images=48, **settings):
    return retrainer(IMAGE, classes=2, images=images, training=RECIPE, **settings)


def test_it_learns():
    test = shades(24, 9)
    probabilities = network()(*shades(48, 0), seed=1)(test[0])
    assert probabilities.shape == (24, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == test[1]).mean() > 0.9


def test_the_same_seed_is_the_same_training(caplog):
    learn, test = network(images=8, epochs=1, backbone="tiny-cnn", width=4), shades(4, 9)[0]
    first, again, other = (learn(*shades(16, 0), seed=seed)(test) for seed in (1, 1, 2))
    np.testing.assert_allclose(again, first, atol=1e-3)
    assert np.abs(other - first).max() > 1e-3
    for seed in range(3, 8):
        learn(*shades(16, 0), seed=seed)(test)
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("count", [20, 90])
def test_more_images_take_no_more_steps(count, monkeypatch):
    planned, taken = [], []

    def build(config, rate, steps):
        planned.append(steps)
        return build_optimizer(config, rate, steps)

    def counted(network, optimizer, smoothing):
        step = compile_step(network, optimizer, smoothing)
        return lambda *batch: (taken.append([len(each) for each in batch]), step(*batch))

    monkeypatch.setattr(retrain, "build_optimizer", build)
    monkeypatch.setattr(retrain, "compile_step", counted)
    learn = network(images=30, epochs=1)
    learn(*shades(count, 0), seed=0)
    assert planned == [4]
    assert taken == [[8, 8, 8]] * 4
    assert learn.description.startswith("vgg16 at 32 x 32, 4 steps of 8 images, recipe ")
    assert network(images=30, epochs=1).description == learn.description
    assert network(images=30, epochs=1, learning_rate=1e-4).description != learn.description


def test_frozen_layers_are_computed_once_and_finetuned_later():
    learn = network(epochs=1, trainable_blocks=0, finetune_epochs=1, finetune_from="block4_pool")
    assert learn.description.startswith("vgg16 at 32 x 32, 12 steps of 8 images")
    assert learn(*shades(16, 0), seed=0)(shades(4, 1)[0]).shape == (4, 2)


def test_the_recipe_is_that_of_the_classifier_unless_told_otherwise():
    recipe = {**RECIPE, "unknown": 1}
    same = retrainer(IMAGE, classes=2, images=10, training=recipe)
    assert same.config == ClassifierConfig.from_settings(RECIPE)
    other = retrainer(IMAGE, classes=2, images=10, training=recipe, backbone="tiny-cnn", epochs=1)
    assert (other.config.backbone, other.config.epochs, other.config.options) == ("tiny-cnn", 1, {})
    with pytest.raises(UnknownPluginError, match="another"):
        retrainer(IMAGE, classes=2, images=10, training=recipe, backbone="another")
    with pytest.raises(ConfigError, match="16x16"):
        retrainer(ImageSpec(height=16, width=16, channels=1), classes=2, images=10, training=recipe)
    with pytest.raises(ConfigError, match="epochs"):
        network(epochs=0)


def test_what_cannot_be_done_is_told_before_the_first_training():
    with pytest.raises(ConfigError, match="'image_size' has no meaning"):
        network(image_size=64)
    with pytest.raises(ConfigError, match=r"-O weights=FILE"):
        retrainer(IMAGE, classes=2, images=10, training=RECIPE | {"options": {"weights": "pretrained.weights.h5"}})
    with pytest.raises(ConfigError, match="freeze point"):
        network(finetune_epochs=1, finetune_from="block4_pol")
    tuned = RECIPE | {"finetune_epochs": 1, "finetune_from": "block4_pool"}
    other = retrainer(IMAGE, classes=2, images=10, training=tuned, backbone="tiny-cnn")
    assert (other.config.finetune_epochs, other.config.finetune_from) == (0, None)


def test_classes_take_turns_only_where_they_are_balanced(monkeypatch):
    drawn = []

    def listened(name):
        batches = getattr(retrain, name)
        return lambda *given: (drawn.append(name), batches(*given))[1]

    for name in ("balanced_batches", "step_batches"):
        monkeypatch.setattr(retrain, name, listened(name))
    for how in ("balanced", "none"):
        network(images=8, epochs=1, class_weight=how)(*shades(8, 0), seed=0)
    assert drawn == ["balanced_batches", "step_batches"]

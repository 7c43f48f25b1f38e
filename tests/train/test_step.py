"""The compiled step against Keras' own ``train_on_batch``."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.config import ClassifierConfig
from medsynth.train.step import build_optimizer, compile_step

SIZES = (6, 6, 3)


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5, 4, 1), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    # Not relu: where it passes everything on, the bias before normalisation has no gradient but rounding errors, and
    # Adam makes steps of those.
    hidden = keras.layers.Dense(7, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.02))(flat)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.BatchNormalization()(hidden)))


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    return [
        (
            rng.integers(0, 256, (size, 5, 4, 1), dtype=np.uint8),
            rng.integers(0, 3, size),
            rng.uniform(0.2, 3.0, size).astype(np.float32),
        )
        for size in SIZES
    ]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_it_is_the_step_of_keras(batches, smoothing):
    config = ClassifierConfig(schedule="cosine", weight_decay=0.3)

    def smooth(labels, logits):
        targets = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), 3)
        return keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=smoothing)

    loss = smooth if smoothing else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs = network()
    theirs.compile(build_optimizer(config, 0.01, 3), loss=loss, metrics=["accuracy"], jit_compile=False)
    ours = network()
    step = compile_step(ours, build_optimizer(config, 0.01, 3), smoothing)
    for inputs, labels, weights in batches:
        expected = theirs.train_on_batch(inputs, labels, sample_weight=weights, return_dict=True)
        told, right = step(inputs, labels, weights)
        theirs.reset_metrics()
        assert float(told) == pytest.approx(expected["loss"], rel=1e-5)
        assert float(right) == pytest.approx(expected["accuracy"])
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_network_is_traced_once_whatever_the_size_of_the_batches(batches):
    calls = []

    class Told(keras.layers.Layer):
        def call(self, inputs):
            calls.append(1)
            return inputs

    inputs = keras.Input((5, 4, 1), dtype="uint8")
    told = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(Told()(inputs))))
    step = compile_step(told, build_optimizer(ClassifierConfig(), 0.01, 3), 0.0)
    calls.clear()
    for batch in batches:
        step(*batch)
    assert len(calls) == 1

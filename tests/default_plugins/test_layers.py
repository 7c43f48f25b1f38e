from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.default_plugins.layers import UpsampleConv2D


@given(
    height=st.integers(1, 6), width=st.integers(1, 6), channels=st.integers(1, 3), filters=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_it_is_upsampling_then_convolution(height, width, channels, filters, seed):
    keras.utils.set_random_seed(seed)
    x = np.random.default_rng(seed).normal(size=(2, height, width, channels)).astype("float32")
    plain = keras.layers.Conv2D(filters, 3, padding="same", bias_initializer="normal")
    expected = plain(keras.layers.UpSampling2D(2)(x))
    fused = UpsampleConv2D(filters)
    fused.build(x.shape)
    fused.set_weights(plain.get_weights())
    assert np.abs(np.asarray(fused(x)) - np.asarray(expected)).max() < 5e-6


def test_the_shape_is_known_before_it_runs():
    assert UpsampleConv2D(5)(keras.Input((4, 6, 3))).shape == (None, 8, 12, 5)


def test_it_survives_keras_serialisation():
    layer = keras.layers.deserialize(keras.layers.serialize(UpsampleConv2D(5)))
    assert layer.filters == pytest.approx(5)

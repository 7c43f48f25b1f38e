from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.default_plugins.layers import MinibatchDeviation, SpectralConv2D, SpectralDense, UpsampleConv2D


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


def test_doubling_makes_no_checkerboard_of_a_flat_image():
    keras.utils.set_random_seed(1)
    drawn = np.asarray(UpsampleConv2D(3)(np.ones((1, 8, 8, 2), "float32")))[0, 4:-4, 4:-4]
    assert np.ptp(drawn, axis=(0, 1)).max() < 1e-5


@pytest.mark.parametrize("make", [lambda: SpectralConv2D(6, 4, strides=2), lambda: SpectralDense(6)])
def test_spectral_norm_is_that_of_numpys_svd(make):
    keras.utils.set_random_seed(0)
    layer = make()
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    x = x if isinstance(layer, keras.layers.Conv2D) else x.reshape(2, -1)
    layer.build(x.shape)
    kernel = np.random.default_rng(1).normal(size=layer.kernel.shape).astype("float32")
    layer.kernel.assign(kernel)
    for _ in range(200):
        layer(x, training=True)
    largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
    plain = make()
    plain.spectral = False
    plain.build(x.shape)
    plain.kernel.assign(kernel / largest)
    before = layer.direction.numpy()
    np.testing.assert_allclose(np.asarray(layer(x)), np.asarray(plain(x)), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(layer.direction.numpy(), before)  # Only training moves the estimate.


def test_the_gradient_flows_through_the_spectral_norm():
    layer = SpectralDense(4)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    layer.build(x.shape)
    for _ in range(100):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x))
    gradient = tape.gradient(total, layer.kernel)
    # Scaling the kernel changes nothing, so the gradient has no part along it.
    assert abs(float(tf.reduce_sum(gradient * layer.kernel))) < 1e-3 * float(tf.norm(gradient) * tf.norm(layer.kernel))


def test_the_deviation_tells_copies_from_different_images():
    layer = MinibatchDeviation()
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 2)).astype("float32")
    assert layer(keras.Input((4, 4, 2))).shape == (None, 4, 4, 3)
    np.testing.assert_allclose(np.asarray(layer(x))[..., 2], x.std(axis=0).mean(), rtol=1e-4)
    assert np.asarray(layer(x[:1].repeat(6, axis=0)))[..., 2].max() < 1e-3

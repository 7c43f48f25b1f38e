"""The networks of the modern recipe, for square or oblong images of 32 to 256 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from medsynth.default_plugins.layers import (
    MinibatchDeviation,
    SpectralConv2D,
    SpectralDense,
    UpsampleConv2D,
)

if TYPE_CHECKING:
    from medsynth.images import ImageSpec

__all__ = ["MOST_MAPS", "doublings", "modern_discriminator", "modern_generator"]

MOST_MAPS = 256
"""After any convolution of either network."""
_CLASS_CODE = 32


def doublings(image: ImageSpec) -> int:
    """How often the generator doubles: until the shorter side began at 4 to 7 pixels."""
    times, side = 0, min(image.height, image.width)
    while side % 2 == 0 and side >= 8:
        times, side = times + 1, side // 2
    return times


def modern_generator(
    image: ImageSpec, num_classes: int, *, latent: int, width: int, conditional_norm: bool, smooth: bool, dtype: str
) -> keras.Model:
    """(noise, label) to images in [-1, 1], float32.

    Noise and a learned code of the class form the coarsest maps, and where ``conditional_norm``, also gain and bias of
    every batch normalisation (Brock et al. 2019, arXiv 1809.11096, appendix B).

    Args:
        image: Of what size and how many channels.
        num_classes: Of labels.
        latent: Length of the noise.
        width: Maps at the highest resolution; each coarser one has twice as many, at most 256.
        conditional_norm: See above; else gain and bias are the same for all.
        smooth: Double by linear interpolation after a convolution, not by repeating pixels before it.
        dtype: Keras' policy for the convolutions; normalisation, gains and image are float32.
    """
    noise = keras.Input((latent,), dtype="float32", name="noise")
    label = keras.Input((), dtype="int64", name="label")
    code = ops.concatenate([noise, layers.Embedding(num_classes, _CLASS_CODE, "random_normal")(label)], axis=-1)

    def activate(x: Any) -> Any:
        maps = x.shape[-1]
        if conditional_norm:
            x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, dtype="float32")(x)
            gain = layers.Dense(maps, kernel_initializer="zeros", bias_initializer="ones")(code)
            bias = layers.Dense(maps, kernel_initializer="zeros")(code)
            x = x * ops.reshape(gain, (-1, 1, 1, maps)) + ops.reshape(bias, (-1, 1, 1, maps))
        else:
            x = layers.BatchNormalization(momentum=0.9, dtype="float32")(x)
        return ops.leaky_relu(x, 0.2)

    def double(x: Any, maps: int) -> Any:
        if not smooth:
            return UpsampleConv2D(maps, dtype=dtype)(x)
        # In this order the convolution has a quarter of the places, and a pattern that alternates from pixel to pixel
        # is damped where the finer maps begin.
        x = layers.Conv2D(maps, 3, padding="same", dtype=dtype)(x)
        return layers.UpSampling2D(2, interpolation="bilinear", dtype=dtype)(x)

    times = doublings(image)
    height, across, maps = image.height >> times, image.width >> times, min(MOST_MAPS, width << times)
    x = ops.reshape(layers.Dense(height * across * maps)(code), (-1, height, across, maps))
    for level in reversed(range(times)):
        maps = min(MOST_MAPS, width << level)
        x = double(activate(x), maps)
        inner = layers.Conv2D(maps, 3, padding="same", dtype=dtype)(activate(x))
        x = ops.cast(x, "float32") + ops.cast(inner, "float32")
    x = layers.Conv2D(image.channels, 3, padding="same", activation="tanh", dtype="float32")(activate(x))
    return keras.Model([noise, label], x, name="generator")


def modern_discriminator(
    image: ImageSpec, *, width: int, embedding: int, spectral: bool, deviation: bool, dtype: str
) -> keras.Model:
    """Images in [-1, 1] to the logit of validity (batch, 1) and an embedding (batch, ``embedding``), float32.

    Kernels of stride 2 are 4x4: every pixel lies under equally many taps, so that no gradient carries a checkerboard.

    Args:
        image: Of what size and how many channels.
        width: Maps after the first convolution; each coarser one has twice as many, at most 256.
        embedding: Length of what the class is read from.
        spectral: Normalise every kernel by its largest singular value.
        deviation: Let it see how much the images of a batch differ.
        dtype: Keras' policy for the convolutions.
    """
    x = inputs = keras.Input(image.shape, name="images")
    for level in range(doublings(image)):
        maps = min(MOST_MAPS, width << level)
        x = SpectralConv2D(maps, 4, strides=2, spectral=spectral, dtype=dtype)(x)
        x = ops.leaky_relu(x, 0.2)
        if level:
            x = x + ops.leaky_relu(SpectralConv2D(maps, 3, spectral=spectral, dtype=dtype)(x), 0.2)
    if deviation:
        x = MinibatchDeviation()(x)
    x = ops.leaky_relu(SpectralConv2D(MOST_MAPS, 3, spectral=spectral, dtype=dtype)(x), 0.2)
    x = ops.cast(ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3])), "float32")
    x = ops.leaky_relu(SpectralDense(MOST_MAPS, spectral=spectral)(x), 0.2)
    outputs = [SpectralDense(1, spectral=spectral)(x), SpectralDense(embedding, spectral=spectral)(x)]
    return keras.Model(inputs, outputs, name="discriminator")

"""What the discriminator of the projected recipe sees: an image, and what a frozen pretrained network makes of it.

Projected GAN: Sauer et al. 2021, arXiv 2111.01007.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from keras import layers, ops

from medsynth.dataset.phantom import phantom_images
from medsynth.default_plugins.acgan.networks import MOST_MAPS
from medsynth.default_plugins.layers import MinibatchDeviation, SpectralConv2D, SpectralDense
from medsynth.default_plugins.vgg16 import VGG16, as_published

if TYPE_CHECKING:
    from medsynth.images import ImageSpec

__all__ = ["Features", "frozen_features", "projected_discriminator"]

Features: TypeAlias = Callable[[Any], Any]
"""From images (batch, height, width, channels) in [-1, 1] to what a discriminator takes."""

_BLOCKS = 4
_MIXED = 64
_SAMPLES = 16


def frozen_features(image: ImageSpec, weights: str, dtype: str) -> Features:
    """The image, and the pooled maps of VGG16's first four blocks, each mixed at random to at most 64 maps.

    A discriminator looks at few channels of a pretrained network and lets the generator neglect the others; random
    mixtures show it all of them (section 3.2 of the paper). The mixtures are orthonormal, of channels that are first
    brought to one size. The network is no part of the trained model: it is the same before and after.

    Args:
        image: Of what size and how many channels; at least 32 pixels.
        weights: As of :class:`medsynth.default_plugins.vgg16.VGG16`.
        dtype: Keras' policy for the convolutions.

    Returns:
        A function of images in [-1, 1], that gives a list of (batch, height, width, maps), the finest first.

    Raises:
        ConfigError: The weights are not there, or not VGG16's.
    """
    trunk = _trunk(image, weights, dtype)
    samples = phantom_images(_SAMPLES, image).astype(np.float32) / 127.5 - 1.0
    rng = np.random.default_rng(0)
    inputs = keras.Input(image.shape)
    seen = [inputs]
    for answer, maps in zip(trunk(samples, training=False), trunk(inputs), strict=True):
        mix = layers.Conv2D(min(_MIXED, maps.shape[-1]), 1, use_bias=False, dtype=dtype)
        seen.append(mix(maps))
        mix.set_weights([_mixture(np.asarray(ops.cast(answer, "float32")), mix.filters, rng)])
    network = keras.Model(inputs, seen)
    network.trainable = False
    # Wrapped, because what Keras finds in a model it counts among the model's weights, and a checkpoint would hold it.
    return partial(network, training=False)


def projected_discriminator(
    image: ImageSpec, features: Features, *, width: int, embedding: int, spectral: bool, deviation: bool, dtype: str
) -> keras.Model:
    """From ``features`` to logits of validity (batch, places) and an embedding (batch, ``embedding``), float32.

    One small network for each of the maps; each judges every place of what is left at 3 or 4 pixels, and gives its
    mean over the places to the embedding.

    Args:
        image: Of what size and how many channels.
        features: From :func:`frozen_features`.
        width: Maps after the first convolution; each coarser one has twice as many, at most 256.
        embedding: Length of what the class is read from.
        spectral: Normalise every kernel by its largest singular value.
        deviation: Let it see how much the maps of a batch differ.
        dtype: Keras' policy for the convolutions.
    """
    inputs = [keras.Input(maps.shape[1:]) for maps in features(keras.Input(image.shape))]
    validity, pooled = [], []
    for x in inputs:
        maps = width
        while min(x.shape[1:3]) > 4:
            x = ops.leaky_relu(SpectralConv2D(maps, 4, strides=2, spectral=spectral, dtype=dtype)(x), 0.2)
            maps = min(MOST_MAPS, 2 * maps)
        if deviation:
            x = MinibatchDeviation()(x)
        x = ops.leaky_relu(SpectralConv2D(maps, 3, spectral=spectral, dtype=dtype)(x), 0.2)
        judged = SpectralConv2D(1, 3, spectral=spectral, dtype=dtype)(x)
        validity.append(ops.cast(ops.reshape(judged, (-1, judged.shape[1] * judged.shape[2])), "float32"))
        pooled.append(ops.mean(ops.cast(x, "float32"), axis=(1, 2)))
    embedded = SpectralDense(embedding, spectral=spectral)(ops.concatenate(pooled, axis=-1))
    return keras.Model(inputs, [ops.concatenate(validity, axis=-1), embedded], name="discriminator")


def _trunk(image: ImageSpec, weights: str, dtype: str) -> keras.Model:
    """Images in [-1, 1] to the pooled maps of the blocks, its convolutions computed in ``dtype``."""
    network = VGG16(weights=weights, trainable_blocks=0).build(image, 2)
    ends = [network.get_layer(f"block{block}_pool").output for block in range(1, _BLOCKS + 1)]
    plain = keras.Model(network.get_layer("block1_conv1").input, ends)

    def recast(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer.__class__.from_config({**layer.get_config(), "dtype": dtype})

    cast = keras.models.clone_model(plain, clone_function=recast)
    cast.set_weights(plain.get_weights())
    images = keras.Input(image.shape)
    return keras.Model(images, cast(as_published((images + 1.0) * 127.5)))


def _mixture(answer: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The kernel (1, 1, channels, count) of orthonormal mixtures of channels brought to a mean square of 1."""
    size = np.sqrt(np.square(answer).mean((0, 1, 2)))
    # A channel that hardly ever answers to a slice would else be nothing but amplified noise.
    size = np.maximum(size, 0.1 * np.median(size) + 1e-6)
    orthonormal, _ = np.linalg.qr(rng.normal(size=(len(size), len(size))))
    kernel: np.ndarray = (orthonormal[:, :count] / size[:, None]).astype(np.float32)
    return kernel[None, None]

"""The backbone of the reports: VGG16 (Simonyan and Zisserman 2015, arXiv 1409.1556)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from medsynth.errors import ConfigError
from medsynth.plugins import Backbone, ImageSpec

__all__ = ["VGG16", "as_published"]

# Convolutions and filters of the five blocks (table 1 of the paper, configuration D).
_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))

# Blocks whose statistics the head "levels" takes; docs/explanation/classifier-recipe.md says why these.
_LEVELS = (2, 3, 4)

# Mean of ImageNet's pixels, in the channel order blue, green, red that the published weights were trained with.
_MEAN_BGR = (103.939, 116.779, 123.68)


class VGG16(Backbone):
    """VGG16 without its top, and a head.

    Args:
        weights: Of the convolutions: ``"imagenet"`` (Keras downloads them on first use), ``"none"`` (random), or a
            ``.weights.h5`` file in Keras' own format.
        head: ``"levels"``: mean and standard deviation over the image of every channel of blocks 2, 3 and 4,
            standardised, and one dense layer; there is no block 5. ``"gap"``: global average pooling of block 5 and one
            dense layer. ``"fc4096"``: flatten and two dense layers of 4,096, as the paper and the reports (its size
            grows with the image).
        width: Factor on every number of filters; below 1 for CPU work from random weights.
        batch_norm: Batch normalisation after every convolution, which trains from random weights where the plain
            network stalls.
        trainable_blocks: How many of the blocks are trained, from the last; the others keep their weights. By default
            none of the head ``"levels"`` with pretrained weights, else all.
        dropout: Rate before the last dense layer; by default 0.5 for the head ``"levels"``, else 0.
    """

    name = "vgg16"

    def __init__(
        self,
        *,
        weights: str = "imagenet",
        head: Literal["levels", "gap", "fc4096"] = "levels",
        width: float = 1.0,
        batch_norm: bool = False,
        trainable_blocks: int | None = None,
        dropout: float | None = None,
    ) -> None:
        if head not in {"levels", "gap", "fc4096"}:
            raise ConfigError(f"vgg16: option 'head' must be 'levels', 'gap' or 'fc4096'. Got '{head}'.")
        if not 0 < width <= 4:
            raise ConfigError(f"vgg16: option 'width' must be above 0 and at most 4. Got {width}.")
        blocks = _LEVELS[-1] if head == "levels" else len(_BLOCKS)
        if trainable_blocks is None:
            trainable_blocks = 0 if head == "levels" and weights != "none" else blocks
        if not 0 <= trainable_blocks <= blocks:
            raise ConfigError(
                f"vgg16: option 'trainable_blocks' must be 0 to {blocks} with head='{head}'. Got {trainable_blocks}."
            )
        if dropout is None:
            dropout = 0.5 if head == "levels" else 0.0
        if not 0 <= dropout < 1:
            raise ConfigError(f"vgg16: option 'dropout' must be at least 0 and below 1. Got {dropout}.")
        self.weights = weights
        self.head = head
        self.blocks = blocks
        self.width = width
        self.batch_norm = batch_norm
        self.trainable_blocks = trainable_blocks
        self.dropout = dropout

    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build the network; grey images are replicated to three channels and the mean subtracted in the graph."""
        if min(image.height, image.width) < 32:
            raise ConfigError(
                f"vgg16: images must be at least 32x32 pixels (it halves them five times). "
                f"Got {image.height}x{image.width}; set image_size."
            )
        if self.weights != "none" and (self.width != 1.0 or self.batch_norm):
            raise ConfigError(
                "vgg16: pretrained weights fit only width=1 without batch_norm. "
                f"Got weights='{self.weights}', width={self.width}, batch_norm={self.batch_norm}; set weights='none'."
            )
        inputs = keras.Input(image.shape, dtype="uint8", name="images")
        x = as_published(ops.cast(inputs, "float32"))
        pooled = {}
        for block, (convolutions, filters) in enumerate(_BLOCKS[: self.blocks], start=1):
            trainable = block > self.blocks - self.trainable_blocks
            for index in range(1, convolutions + 1):
                x = self._convolution(x, round(filters * self.width), f"block{block}_conv{index}", trainable)
            x = pooled[block] = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        activations = x
        if self.head == "levels":
            x = layers.Concatenate(name="levels")([part for block in _LEVELS for part in _moments(pooled[block])])
            # Without weights of its own to train: it brings channels of very different size to one scale.
            features = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="features")(x)
        elif self.head == "gap":
            features = layers.GlobalAveragePooling2D(name="features")(x)
        else:
            # A reshape to a known length: Keras' Flatten would export as a chain of shape arithmetic.
            x = ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
            x = layers.Dense(4096, activation="relu", name="fc1")(x)
            features = layers.Dense(4096, activation="relu", name="fc2")(x)
        x = layers.Dropout(self.dropout)(features) if self.dropout else features
        logits = layers.Dense(num_classes, name="logits")(x)
        outputs = {
            "logits": logits,
            "probabilities": ops.softmax(logits),
            "features": features,
            "activations": activations,
        }
        model = keras.Model(inputs, outputs, name=self.name)
        if self.weights != "none":
            _copy_pretrained(self.weights, model)
        return model

    def freeze_points(self, model: keras.Model) -> tuple[str, ...]:
        """The pooling layers, and for the head ``"levels"`` the vector of all means and standard deviations."""
        pools = tuple(layer.name for layer in model.layers if isinstance(layer, layers.MaxPooling2D))
        return (*pools, "levels") if self.head == "levels" else pools

    def _convolution(self, x: keras.KerasTensor, filters: int, name: str, trainable: bool) -> keras.KerasTensor:
        if not self.batch_norm:
            return layers.Conv2D(max(1, filters), 3, padding="same", activation="relu", name=name, trainable=trainable)(
                x
            )
        x = layers.Conv2D(
            max(1, filters), 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name,
            trainable=trainable,
        )(x)  # fmt: skip
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn", trainable=trainable)(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)


def as_published(x: keras.KerasTensor) -> keras.KerasTensor:
    """Grey or red-green-blue values of 0 to 255 (batch, height, width, channels) as the published weights want them."""
    x = ops.concatenate([x, x, x], axis=-1) if x.shape[-1] == 1 else ops.take(x, [2, 1, 0], axis=-1)
    return ops.subtract(x, np.array(_MEAN_BGR, "float32"))


def _moments(x: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Mean and standard deviation (plus 0.001 in the square) over height and width, (batch, channels) each."""
    mean = ops.mean(x, axis=(1, 2), keepdims=True)
    spread = ops.sqrt(ops.mean(ops.square(x - mean), axis=(1, 2)) + 1e-3)
    return ops.squeeze(mean, axis=(1, 2)), spread


def _copy_pretrained(weights: str, model: keras.Model) -> None:
    """Load the published network through Keras, which checks the file, and copy its convolutions by name."""
    if weights != "imagenet" and not Path(weights).is_file():
        raise ConfigError(
            f"vgg16: weights must be 'imagenet', 'none' or a .weights.h5 file. Got '{weights}', which is no file."
        )
    try:
        published = keras.applications.VGG16(include_top=False, weights=weights)
    except Exception as error:
        # Keras raises whatever the download, h5py or its own loader raise.
        if weights == "imagenet":
            raise ConfigError(
                "vgg16: the ImageNet weights could not be downloaded (no network?). Download "
                "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 elsewhere and pass --weights FILE, "
                f"or train from random weights with --weights none -O batch_norm=true. Keras said: {_first_line(error)}"
            ) from error
        raise ConfigError(
            f"vgg16: {Path(weights).name} does not hold the weights of VGG16 without its top in Keras' format. "
            f"Keras said: {_first_line(error)}"
        ) from error
    built = {layer.name: layer for layer in model.layers}
    for layer in published.layers:
        if layer.weights and layer.name in built:
            built[layer.name].set_weights(layer.get_weights())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

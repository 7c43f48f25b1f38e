"""The network."""

import keras
from keras import layers, ops

from medsynth.plugins import Backbone, ConfigError, ImageSpec


class TinyCNN(Backbone):
    """Four strided convolutions with batch normalisation, global average pooling and a dense head.

    Args:
        width: Filters of the first convolution; the second has twice as many, the third and fourth four times.
    """

    name = "tiny-cnn"

    def __init__(self, *, width: int = 16) -> None:
        if width < 1:
            raise ConfigError(f"tiny-cnn: option 'width' must be at least 1. Got {width}.")
        self.width = width

    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build the network; pixels are scaled to [-1, 1] inside it."""
        inputs = keras.Input(image.shape, dtype="uint8", name="images")
        x = ops.cast(inputs, "float32") / 127.5 - 1.0
        for factor in (1, 2, 4, 4):
            x = layers.Conv2D(factor * self.width, 3, strides=2, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = activations = layers.ReLU()(x)
        features = layers.GlobalAveragePooling2D()(x)
        logits = layers.Dense(num_classes)(features)
        return keras.Model(
            inputs,
            {
                "logits": logits,
                "probabilities": ops.softmax(logits),
                "features": features,
                "activations": activations,
            },
            name=self.name,
        )

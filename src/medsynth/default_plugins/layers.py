"""Keras layers that the built-in networks share."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["UpsampleConv2D"]


@keras.saving.register_keras_serializable("medsynth")
class UpsampleConv2D(keras.layers.Layer):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution, in one transposed convolution.

    Exactly the same function of the same 3x3 kernel, with 2.25 times fewer multiplications: repeating a pixel 2x2 and
    sliding the kernel over the repeats meets each input pixel with sums of neighbouring kernel taps. Those sums form a
    4x4 kernel (the sum of the four one-pixel shifts of the mirrored 3x3 kernel), applied with stride 2.

    Args:
        filters: Channels of the output.

    Input shape: (batch, height, width, channels). Output shape: (batch, 2 height, 2 width, filters).
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the 3x3 kernel and the bias, initialised as ``Conv2D`` does."""
        self.kernel = self.add_weight(
            shape=(3, 3, input_shape[-1], self.filters), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Apply the layer."""
        mirrored = ops.transpose(ops.flip(self.kernel, axis=(0, 1)), (0, 1, 3, 2))
        shifts = [
            ops.pad(mirrored, ((top, 1 - top), (left, 1 - left), (0, 0), (0, 0))) for top in (0, 1) for left in (0, 1)
        ]
        spread = shifts[0] + shifts[1] + shifts[2] + shifts[3]
        return ops.conv_transpose(inputs, spread, strides=2, padding="same") + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(batch, 2 height, 2 width, filters)."""
        batch, height, width, _ = input_shape
        return (batch, height and 2 * height, width and 2 * width, self.filters)

    def get_config(self) -> dict[str, Any]:
        """For Keras' own serialisation."""
        return {**super().get_config(), "filters": self.filters}

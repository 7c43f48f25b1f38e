"""Random changes of training images that a second scan of the same patient could show.

Stateless: the change of a batch depends on (seed, step) alone, so that a resumed run repeats it. No flips, which would
swap left and right.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

__all__ = ["augment", "ranges"]

ROTATION = math.radians(8.0)
SHIFT = 0.05
SCALE = 0.08
GAIN = 0.12
OFFSET = 12.0


def ranges() -> tuple[float, ...]:
    """Everything about the changes that is not an argument; part of the key under which augmented views are kept."""
    return (ROTATION, SHIFT, SCALE, GAIN, OFFSET)


def augment(images: Any, seed: Any, noise: float = 0.0) -> Any:
    """Rotate (up to 8 degrees), shift (5 %), scale (8 %), change gain (12 %) and offset (12 grey levels), add noise.

    The noise is Gaussian, of another strength for each image, so that the network does not take the noise of a scanner
    (or of a generator) for a finding.

    Args:
        images: uint8 tensor (batch, height, width, channels).
        seed: Two whole numbers.
        noise: Largest standard deviation of the noise, grey levels; 0: none.

    Returns:
        uint8 tensor of the same shape.
    """
    shape = tf.shape(images)
    height, width = tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)
    draws = tf.random.stateless_uniform([shape[0], 7], seed, -1.0, 1.0)
    angle, scale = draws[:, 0] * ROTATION, 1.0 + draws[:, 1] * SCALE
    across, down = draws[:, 2] * SHIFT * width, draws[:, 3] * SHIFT * height
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle_x, middle_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    # Output to input coordinates: rotate and scale about the middle, then shift.
    transforms = tf.stack(
        [
            cosine,
            -sine,
            middle_x - cosine * middle_x + sine * middle_y + across,
            sine,
            cosine,
            middle_y - sine * middle_x - cosine * middle_y + down,
            tf.zeros_like(angle),
            tf.zeros_like(angle),
        ],
        axis=1,
    )
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=transforms,
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    gain = 1.0 + draws[:, 4, None, None, None] * GAIN
    toned = moved * gain + draws[:, 5, None, None, None] * OFFSET
    if noise:
        toned += tf.random.stateless_normal(shape, seed) * tf.abs(draws[:, 6, None, None, None]) * noise
    return tf.cast(tf.clip_by_value(tf.round(toned), 0.0, 255.0), tf.uint8)

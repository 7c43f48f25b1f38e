"""Classical augmentation without TensorFlow: what generated images must beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medsynth.evaluate.sides import Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.features import FeatureNetwork

__all__ = ["augment_side"]

_ROTATION, _SHIFT, _SCALE, _GAIN, _OFFSET = math.radians(8.0), 0.05, 0.08, 0.12, 12.0
"""As in training: see :mod:`medsynth.train.augment`. No flips, which would swap left and right."""


def augment_side(train: Side, count: int, network: FeatureNetwork) -> Side:
    """Training images after random rotation, shift, scale, gain and offset, and their features.

    Args:
        train: Training images.
        count: How many to make; each image serves as often as the next, as far as it goes.
        network: Where the features come from.
    """
    rows = np.resize(np.argsort(np.random.Philox(key=1).random_raw(len(train)), kind="stable"), count)
    draws = np.random.Philox(key=2).random_raw(5 * count).reshape(count, 5) / 2.0**63 - 1.0
    images = np.stack([_changed(train.images[row], draw) for row, draw in zip(rows, draws, strict=True)])
    return Side(images=images, labels=train.labels[rows], features=network(images))


def _changed(image: NDArray[np.uint8], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
    """One image, uint8 (h, w, c); five draws from -1 to 1."""
    height, width, channels = image.shape
    angle, scale = draw[0] * _ROTATION, 1.0 + draw[1] * _SCALE
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = width / 2, height / 2
    # Output to input coordinates: rotate and scale about the middle, then shift.
    matrix = (
        cosine,
        -sine,
        x - cosine * x + sine * y + draw[2] * _SHIFT * width,
        sine,
        cosine,
        y - sine * x - cosine * y + draw[3] * _SHIFT * height,
    )
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(image[..., plane])).transform(
                (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
            ),
            np.float64,
        )
        for plane in range(channels)
    ]
    grey = np.stack(planes, axis=-1) * (1 + draw[4] * _GAIN) + draw[0] * _OFFSET
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)

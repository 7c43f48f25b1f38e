"""Classical augmentation without TensorFlow: what generated images must beat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medsynth.evaluate.sides import Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.features import FeatureNetwork

__all__ = ["Augmented", "augment_side", "change"]

_ROTATION, _SHIFT, _SCALE, _GAIN, _OFFSET = math.radians(8.0), 0.05, 0.08, 0.12, 12.0
"""As in training: see :mod:`medsynth.train.augment`. No flips, which would swap left and right."""

_DRAWS = 6

_REACH = ((1 + math.sin(_ROTATION)) / (1 - _SCALE) - 1) / 2 + _SHIFT
"""How far beyond its border an image is read at most, in parts of its longer side."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Augmented(Side):
    """Changed training images.

    Attributes:
        sources: Row of the training image that each was made from, int64 (n,).
    """

    sources: NDArray[np.int64]


def augment_side(train: Side, count: int, network: FeatureNetwork) -> Augmented:
    """Training images after random rotation, shift, scale, gain and offset, and their features.

    Args:
        train: Training images.
        count: How many to make; each image serves as often as the next, as far as it goes.
        network: Where the features come from.
    """
    rows = np.resize(np.argsort(np.random.Philox(key=1).random_raw(len(train)), kind="stable"), count)
    draws = np.random.Philox(key=2).random_raw(_DRAWS * count).reshape(count, _DRAWS) / 2.0**63 - 1.0
    images = np.stack([change(train.images[row], draw) for row, draw in zip(rows, draws, strict=True)])
    return Augmented(images=images, labels=train.labels[rows], features=network(images), sources=rows)


def change(image: NDArray[np.uint8], draw: NDArray[np.floating]) -> NDArray[np.uint8]:
    """One image as :func:`medsynth.train.augment.augment` changes it, without noise.

    Args:
        image: (height, width, channels).
        draw: Six numbers from -1 to 1: rotation, scale, shift across and down, gain, offset.
    """
    height, width, channels = image.shape
    angle, scale = draw[0] * _ROTATION, 1.0 + draw[1] * _SCALE
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    margin = math.ceil(_REACH * max(height, width)) + 1
    # Beyond the border the image is mirrored, its outermost pixels twice.
    wide = np.pad(image.astype(np.float32), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    # Pillow puts the middle of the first pixel at 0.5, so the middle of the image is half of its size.
    x, y = width / 2 + margin, height / 2 + margin
    # Output to input coordinates: rotate and scale about the middle, then shift.
    matrix = (
        cosine,
        -sine,
        x - cosine * x + sine * y + draw[2] * _SHIFT * width,
        sine,
        cosine,
        y - sine * x - cosine * y + draw[3] * _SHIFT * height,
    )
    size = (width + 2 * margin, height + 2 * margin)
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(wide[..., plane])).transform(
                size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
            ),
            np.float64,
        )
        for plane in range(channels)
    ]
    moved = np.stack(planes, axis=-1)[margin : margin + height, margin : margin + width]
    grey = moved * (1 + draw[4] * _GAIN) + draw[5] * _OFFSET
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)

"""DiffAugment: the same random changes for real and generated images, before the discriminator sees either.

Zhao et al. 2020, arXiv 2006.10738. No saturation, which means nothing in grey images, and no flips, which would swap
left and right.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["CHANGES", "diff_augment"]

CHANGES = ("brightness", "contrast", "translation", "cutout")

_SHIFT = 1 / 8
_HOLE = 1 / 2


def diff_augment(
    images: Any, changes: tuple[str, ...], seed: keras.random.SeedGenerator, *, alike: bool = False
) -> Any:
    """Random changes of each image, differentiable with respect to the images.

    Args:
        images: float32 (batch, height, width, channels), in [-1, 1].
        changes: Of :data:`CHANGES`: ``brightness`` adds -0.5 to 0.5, ``contrast`` scales the distance from the image's
            mean by 0.5 to 1.5, ``translation`` shifts by up to an eighth of each side (black, -1, moves in from
            outside), ``cutout`` covers half of each side with grey 0 around a random centre.
        seed: Where the random numbers come from.
        alike: All images are changed in the same way, so that how far they lie apart is of their own making.
    """
    count, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]

    def uniform(low: float, high: float) -> Any:
        drawn = keras.random.uniform((1 if alike else count, 1, 1, 1), low, high, seed=seed)
        return ops.broadcast_to(drawn, (count, 1, 1, 1))

    if "brightness" in changes:
        images = images + uniform(-0.5, 0.5)
    if "contrast" in changes:
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = mean + (images - mean) * uniform(0.5, 1.5)
    if "translation" in changes:
        # Multiplied by shift matrices and not gathered, because the gradient of that is a product too, and exact.
        down, right = (_shifts(uniform(-1.0, 1.0), side) for side in (height, width))
        images = ops.einsum("buh,bhwc->buwc", down, images + 1.0)
        images = ops.einsum("bvw,buwc->buvc", right, images) - 1.0
    if "cutout" in changes:
        rows, columns = (_covered(uniform(0.0, 1.0), side) for side in (height, width))
        hole = ops.expand_dims(ops.logical_and(rows[:, :, None], columns[:, None, :]), -1)
        images = ops.where(hole, 0.0, images)
    return images


def _shifts(draw: Any, side: int) -> Any:
    """From -1..1 (batch, 1, 1, 1) to matrices (batch, side, side) that move by whole pixels."""
    steps = ops.round(draw[:, :, 0, 0] * (side * _SHIFT))
    source = ops.arange(side, dtype="float32")[None, :] - steps
    return ops.cast(ops.equal(source[:, :, None], ops.arange(side, dtype="float32")[None, None, :]), "float32")


def _covered(draw: Any, side: int) -> Any:
    """From 0..1 (batch, 1, 1, 1) to which rows a hole covers, bool (batch, side)."""
    half = side * _HOLE / 2
    return ops.abs(ops.arange(side, dtype="float32")[None, :] + 0.5 - draw[:, :, 0, 0] * side) < half

"""The same random changes for real and generated images, before the discriminator sees either.

The changes are those of DiffAugment (Zhao et al. 2020, arXiv 2006.10738): no saturation, which means nothing in grey
images, and no flips, which would swap left and right. How often they are made may follow how much the discriminator
overfits (ADA: Karras et al. 2020, arXiv 2006.06676).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["CHANGES", "diff_augment", "next_probability"]

CHANGES = ("brightness", "contrast", "translation", "cutout")

_SHIFT = 1 / 8
_HOLE = 1 / 2

_IMAGES_TO_ALL = 30_000
"""Real images in which the probability may go from 0 to 1: a fifth of a run of 4,400 steps of 32."""


def diff_augment(
    images: Any,
    changes: tuple[str, ...],
    seed: keras.random.SeedGenerator,
    *,
    probability: Any = 1.0,
    alike: bool = False,
) -> Any:
    """Random changes of each image, differentiable with respect to the images.

    Args:
        images: float32 (batch, height, width, channels), in [-1, 1].
        changes: Of :data:`CHANGES`: ``brightness`` adds -0.5 to 0.5, ``contrast`` scales the distance from the image's
            mean by 0.5 to 1.5, ``translation`` shifts by up to an eighth of each side (black, -1, moves in from
            outside), ``cutout`` covers half of each side with grey 0 around a random centre.
        seed: Where the random numbers come from.
        probability: With which each change is made to each image, a number or a scalar tensor.
        alike: All images are changed in the same way, so that how far they lie apart is of their own making.
    """
    count, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]

    def uniform(low: float, high: float) -> Any:
        drawn = keras.random.uniform((1 if alike else count, 1, 1, 1), low, high, seed=seed)
        return ops.broadcast_to(drawn, (count, 1, 1, 1))

    def perhaps(changed: Any, images: Any) -> Any:
        return ops.where(uniform(0.0, 1.0) < probability, changed, images)

    if "brightness" in changes:
        images = perhaps(images + uniform(-0.5, 0.5), images)
    if "contrast" in changes:
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = perhaps(mean + (images - mean) * uniform(0.5, 1.5), images)
    if "translation" in changes:
        # Multiplied by shift matrices and not gathered, because the gradient of that is a product too, and exact.
        down, right = (_shifts(uniform(-1.0, 1.0), side) for side in (height, width))
        moved = ops.einsum("buh,bhwc->buwc", down, images + 1.0)
        images = perhaps(ops.einsum("bvw,buwc->buvc", right, moved) - 1.0, images)
    if "cutout" in changes:
        rows, columns = (_covered(uniform(0.0, 1.0), side) for side in (height, width))
        hole = ops.expand_dims(ops.logical_and(rows[:, :, None], columns[:, None, :]), -1)
        images = perhaps(ops.where(hole, 0.0, images), images)
    return images


def next_probability(probability: Any, validity: Any, *, target: float, count: Any) -> Any:
    """The probability of changes after a step: higher while the discriminator is too sure of real images.

    Karras et al. 2020, arXiv 2006.06676, equation 1: the mean sign of its logits is 0 where it guesses and 1 where it
    knows every image; the probability goes up where that lies above ``target``, else down.

    Args:
        probability: Before, 0 to 1.
        validity: Logits of real images, changed as they were shown, any shape.
        target: Above 0.
        count: Real images of the step; the stride grows with them.
    """
    stride = ops.cast(count, "float32") / _IMAGES_TO_ALL
    return ops.clip(probability + stride * ops.sign(ops.mean(ops.sign(validity)) - target), 0.0, 1.0)


def _shifts(draw: Any, side: int) -> Any:
    """From -1..1 (batch, 1, 1, 1) to matrices (batch, side, side) that move by whole pixels."""
    steps = ops.round(draw[:, :, 0, 0] * (side * _SHIFT))
    source = ops.arange(side, dtype="float32")[None, :] - steps
    return ops.cast(ops.equal(source[:, :, None], ops.arange(side, dtype="float32")[None, None, :]), "float32")


def _covered(draw: Any, side: int) -> Any:
    """From 0..1 (batch, 1, 1, 1) to which rows a hole covers, bool (batch, side)."""
    half = side * _HOLE / 2
    return ops.abs(ops.arange(side, dtype="float32")[None, :] + 0.5 - draw[:, :, 0, 0] * side) < half

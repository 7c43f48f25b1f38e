"""The exponential moving average of the generator, which is what is exported."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["follow"]


def follow(averaged: keras.Model, generator: keras.Model, decay: float, steps: Any) -> None:
    """Move every variable of the average, statistics of normalisations included, after a step of the generator.

    Args:
        averaged: The average.
        generator: What it follows.
        decay: What is kept of the average in a step; 0: it is the generator.
        steps: How many the generator has done, this one included. At first, when there is little to average, less is
            kept: steps / (steps + 10), so that the weights before training are soon forgotten.
    """
    done = ops.cast(steps, "float32")
    keep = ops.minimum(decay, done / (done + 10.0))
    for slow, fast in zip(averaged.variables, generator.variables, strict=True):
        slow.assign(fast + keep * (slow - fast))

"""From validation logits to decisions: a temperature for the probabilities, a threshold for the positive class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from medsynth.metrics import youden_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_temperature", "operating_threshold", "softmax"]

_LARGEST = 20.0
"""Temperatures are sought between 1/20 and 20."""


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """exp(z_k / T) / sum over j of exp(z_j / T) of each row, in float64: float32 (n, classes)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature with the lowest log-loss (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    The targets are Platt's (1999, section 2.2): (n + 1) / (n + 2) for the true class of n images, the rest shared by
    the others. So the temperature stays finite where validation is classified without an error.

    Args:
        logits: (n, classes), finite.
        labels: Class index of each row, (n,).

    Returns:
        T between 1/20 and 20, for softmax(logits / T).
    """
    z = logits.astype(np.float64)
    classes = z.shape[1]
    own = (np.bincount(labels, minlength=classes) + 1) / (np.bincount(labels, minlength=classes) + 2)
    targets = np.repeat(((1 - own[labels]) / (classes - 1))[:, None], classes, axis=1)
    targets[np.arange(len(z)), labels] = own[labels]

    def slope(inverse: float) -> float:
        # Derivative of the mean cross-entropy by 1/T, which never falls: the loss is convex in 1/T.
        scaled = inverse * z
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return float(((powers / powers.sum(axis=1, keepdims=True) - targets) * z).sum(axis=1).mean())

    low, high = -math.log(_LARGEST), math.log(_LARGEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def operating_threshold(
    positive: NDArray[np.bool_], scores: NDArray[np.float32], sensitivity: float | None = None
) -> float:
    """At or above which probability the positive class is called.

    Args:
        positive: Which rows are positive, (n,); at least one is and one is not.
        scores: Probability of the positive class, (n,).
        sensitivity: Share of the positive rows that must be called, in (0, 1]; ``None``: the largest sensitivity +
            specificity - 1 (Youden).

    Returns:
        The highest threshold with that sensitivity, a score of one of the rows; or Youden's.
    """
    if sensitivity is None:
        return youden_threshold(positive, scores)
    found = np.sort(scores[positive])[::-1]
    return float(found[max(1, math.ceil(sensitivity * len(found) - 1e-9)) - 1])

"""From validation logits to decisions: a calibration of the probabilities, a threshold for the positive class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]

from medsynth.metrics import youden_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Calibration", "fit_calibration", "operating_threshold", "softmax"]

_LARGEST = 20.0
"""Temperatures are sought between 1/20 and 20."""


@dataclass(frozen=True)
class Calibration:
    """probabilities = softmax(logits / temperature + bias).

    Attributes:
        temperature: Above 1 the logits are too sharp.
        bias: One for each class, with the sum 0: what a class's scores are shifted by.
    """

    temperature: float
    bias: tuple[float, ...]

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each row, computed in float64: float32 (n, classes)."""
        return softmax(logits.astype(np.float64) / self.temperature + np.asarray(self.bias))


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """exp(z_k) / sum over j of exp(z_j) of each row, in float64: float32 (n, classes)."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def fit_calibration(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Calibration:
    """The temperature and class biases with the lowest log-loss.

    Bias-corrected temperature scaling (Alexandari et al. 2020, arXiv 1901.06852, section 2.2); for two classes it is
    Platt's sigmoid (1999). A temperature alone (Guo et al. 2017) cannot mend scores that other patients, or another
    share of a class, have shifted. The targets are Platt's (1999, section 2.2): (n + 1) / (n + 2) for the true class of
    n images, the rest shared by the others. So the numbers stay finite where validation is classified without an error.

    Args:
        logits: (n, classes), finite.
        labels: Class index of each row, (n,); every class occurs.

    Returns:
        The temperature lies between 1/20 and 20.
    """
    z = logits.astype(np.float64)
    classes = z.shape[1]
    own = (np.bincount(labels, minlength=classes) + 1) / (np.bincount(labels, minlength=classes) + 2)
    targets = np.repeat(((1 - own[labels]) / (classes - 1))[:, None], classes, axis=1)
    targets[np.arange(len(z)), labels] = own[labels]

    def loss(sought: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # Mean cross-entropy and its derivatives by 1/T and by each bias, in which it is convex.
        moved = sought[0] * z + sought[1:]
        moved -= moved.max(axis=1, keepdims=True)
        logs = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
        gap = np.exp(logs) - targets
        slopes = np.concatenate([[(gap * z).sum(axis=1).mean()], gap.mean(axis=0)])
        return float(-(targets * logs).sum(axis=1).mean()), slopes

    start = np.concatenate([[1.0], np.zeros(classes)])
    bounds = [(1 / _LARGEST, _LARGEST), *[(None, None)] * classes]
    found = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 1e-15, "maxiter": 1000}
    ).x
    bias = found[1:] - found[1:].mean()
    return Calibration(float(1 / found[0]), tuple(float(value) for value in bias))


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

"""Two probes that know nothing about disease, scored in many cross-validations at once.

Both see a picture of 16x16 pixels. What they get right beyond chance when images of one patient lie on both sides of a
split, and lose when they do not, is recognition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.likeness import standardise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["linear_probe", "nearest_probe", "probe_features"]

_SIDE = 16
_BLOCK = 512
_RIDGE = 1e-3


def probe_features(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails uint8 (n, side * side), standardised and reduced to 16x16: float32 (n, 256) of norm 1."""
    side = round(thumbs.shape[1] ** 0.5)
    step = side // _SIDE
    small = np.empty((len(thumbs), _SIDE * _SIDE), np.float32)
    for at in range(0, len(thumbs), _BLOCK):
        chunk = standardise(thumbs[at : at + _BLOCK]).reshape(-1, _SIDE, step, _SIDE, step).mean(axis=(2, 4))
        small[at : at + _BLOCK] = chunk.reshape(len(chunk), -1)
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    return small


def nearest_probe(
    features: NDArray[np.float32], labels: NDArray[np.int64], dealings: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """Label of the most similar image of another fold, for each dealing into folds: int64 (n,) each.

    Args:
        features: float32 (n, d) of norm 1.
        labels: int64 (n,).
        dealings: Fold of each row, int64 (n,); several of them cost little more than one.
    """
    found = [np.empty(len(features), np.int64) for _ in dealings]
    for at in range(0, len(features), _BLOCK):
        here = slice(at, at + _BLOCK)
        similar = features[here] @ features.T
        for folds, nearest in zip(dealings, found, strict=True):
            allowed = np.where(folds[here, None] == folds[None, :], np.float32(-2.0), similar)
            nearest[here] = allowed.argmax(axis=1)
    return [labels[nearest] for nearest in found]


def linear_probe(
    features: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Label that ridge regression on the class indicators, fitted to the other folds, gives each image: int64 (n,).

    Classes are weighted equally. The normal equations are summed once for each fold.
    """
    inputs = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1).astype(np.float64)
    targets = np.eye(int(labels.max()) + 1)[labels]
    weighted = inputs / np.bincount(labels, minlength=targets.shape[1])[labels, None]
    members = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    squares = np.stack([weighted[rows].T @ inputs[rows] for rows in members])
    products = np.stack([weighted[rows].T @ targets[rows] for rows in members])
    predicted = np.empty(len(labels), np.int64)
    for fold, rows in enumerate(members):
        normal = squares.sum(axis=0) - squares[fold]
        penalty = _RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
        weights = np.linalg.solve(normal + penalty, products.sum(axis=0) - products[fold])
        predicted[rows] = (inputs[rows] @ weights).argmax(axis=1)
    return predicted

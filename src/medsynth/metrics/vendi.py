"""The Vendi score: how many different images a set of features amounts to."""

from __future__ import annotations

from typing import Any

import numpy as np

from medsynth.errors import DataError
from medsynth.metrics.features import as_features

__all__ = ["vendi_score"]


def vendi_score(features: Any) -> float:
    """Exponential of the entropy of the eigenvalues of K / n (Friedman and Dieng 2023, arXiv 2210.02410, equation 1).

    K is the cosine similarity of the rows; its eigenvalues are those of the smaller of the n x n and the d x d matrix.

    Args:
        features: (n, d), no row zero.

    Returns:
        From 1 (all rows point one way) to n (all are orthogonal). It grows with n; compare at equal sizes only.

    Raises:
        medsynth.errors.DataError: No rows, values that are not finite, or a row of zeros, which has no direction.
    """
    rows = as_features(features, "the").astype(np.float64)
    rows /= np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise DataError(f"the Vendi score needs features with a direction. Got {int((lengths == 0).sum())} rows of 0.")
    rows /= lengths
    similarity = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    shares = np.linalg.eigvalsh(similarity) / len(rows)
    shares = shares[shares > len(shares) * np.finfo(np.float64).eps]
    return float(np.exp(-(shares * np.log(shares)).sum()))

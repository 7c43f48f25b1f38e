"""Fréchet distance of two sets of features: FID, by whatever network made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError
from medsynth.metrics.features import as_features, check_pair, in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Moments", "frechet_distance", "frechet_from_moments", "frechet_infinity"]

_SIZES = 8
_BLOCK = 4096


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Mean and scatter of features, in float64, that can be collected block by block.

    Attributes:
        count: Rows.
        mean: (d,).
        scatter: Sum of outer products of centred rows, (d, d); the covariance times ``count - 1``.
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, features: Any) -> Moments:
        """Of an array (n, d), in blocks.

        Raises:
            medsynth.errors.DataError: Not two axes, no rows, or values that are not finite.
        """
        rows = as_features(features, "the")
        total = _moments(rows[:_BLOCK])
        for start in range(_BLOCK, len(rows), _BLOCK):
            total += _moments(rows[start : start + _BLOCK])
        return total

    def __add__(self, other: Moments) -> Moments:
        """Of both sets together (Chan, Golub and LeVeque 1983, The American Statistician 37, 242)."""
        count, step = self.count + other.count, other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(step, step * (self.count * other.count / count))
        return Moments(count, self.mean + step * (other.count / count), scatter)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of the sample, divided by ``count - 1``, (d, d).

        Raises:
            medsynth.errors.DataError: There is one row.
        """
        if self.count < 2:
            raise DataError(f"a covariance needs at least 2 rows of features. Got {self.count}.")
        return self.scatter / (self.count - 1)


def frechet_distance(reference: Any, candidate: Any) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv 1706.08500, equation 6).

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` with sample covariances. The trace of the root is the sum of the
    singular values of F1 F2' with C = F'F, which is real and exact to rounding for singular covariances too.

    Args:
        reference: (n, d), n at least 2.
        candidate: (m, d), m at least 2.

    Returns:
        0 or more, in the squared unit of the features. Biased upward by about 1/n; compare at equal sizes only.

    Raises:
        medsynth.errors.DataError: Too few rows, other dimensions, or values that are not finite.
    """
    one, other = check_pair(reference, candidate, least=2)
    sides = []
    for rows in (one, other):
        # With few rows the centred rows are the better factor: no square is formed.
        few = len(rows) <= rows.shape[1]
        mean = rows.mean(axis=0, dtype=np.float64)
        sides.append((mean, (rows - mean) / (len(rows) - 1) ** 0.5) if few else _factored(Moments.of(rows)))
    return _distance(*sides[0], *sides[1])


def frechet_from_moments(first: Moments, second: Moments) -> float:
    """:func:`frechet_distance` of features that were collected as :class:`Moments`."""
    return _distance(*_factored(first), *_factored(second))


def frechet_infinity(reference: Any, candidate: Any) -> float:
    """Fréchet distance extrapolated to infinitely many rows (Chong and Forsyth 2020, arXiv 1911.07023, section 4).

    The intercept of a straight line through the distances of subsets against 1 / size. Unlike there, both sides are
    thinned together, so that the bias of both is removed; 8 sizes from a quarter to the whole, evenly spaced in
    1 / size, rows in the order of their content.

    Args:
        reference: (n, d).
        candidate: (m, d). The smallest subset, a quarter of the smaller side, must have more than d rows, because below
            that the distance does not fall as 1 / size.

    Returns:
        May be below 0 by chance.

    Raises:
        medsynth.errors.DataError: Too few rows, other dimensions, or values that are not finite.
    """
    one, other = check_pair(reference, candidate)
    least = 4 * (one.shape[1] + 1)
    if min(len(one), len(other)) < least:
        raise DataError(
            f"the extrapolation needs {least:,} rows a side for {one.shape[1]:,} dimensions, so that every subset has "
            f"more rows than dimensions. Got {len(one):,} and {len(other):,}."
        )
    one, other = one[in_order(one)], other[in_order(other)]
    shares = 1.0 / np.linspace(1.0, 4.0, _SIZES)
    distances = [frechet_distance(_thin(one, share), _thin(other, share)) for share in shares]
    return float(np.polyfit(1.0 / shares, distances, 1)[1])


def _thin(rows: NDArray[Any], share: float) -> NDArray[Any]:
    return rows[np.linspace(0, len(rows) - 1, round(share * len(rows))).round().astype(np.int64)]


def _moments(rows: NDArray[np.floating[Any]]) -> Moments:
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    return Moments(len(rows), mean, centred.T @ centred)


def _factored(moments: Moments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean, and F with F'F the covariance."""
    covariance = moments.covariance
    scale = float(np.trace(covariance))
    noise = len(covariance) * float(np.finfo(np.float64).eps) * scale
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        lower = None
    if lower is not None and float(np.diagonal(lower).min()) ** 2 > noise:
        return moments.mean, np.asarray(lower.T, np.float64)
    # Singular: what rounding leaves in directions without variance would count by its root, so it is cut off.
    values, vectors = np.linalg.eigh(covariance)
    kept = values > noise
    return moments.mean, np.asarray((vectors[:, kept] * np.sqrt(values[kept])).T, np.float64)


def _distance(
    mean1: NDArray[np.float64], factor1: NDArray[np.float64], mean2: NDArray[np.float64], factor2: NDArray[np.float64]
) -> float:
    product = factor1 @ factor2.T
    root = float(np.linalg.svd(product, compute_uv=False).sum()) if product.size else 0.0
    traces = float((factor1**2).sum() + (factor2**2).sum())
    return max(0.0, float(((mean1 - mean2) ** 2).sum()) + traces - 2 * root)

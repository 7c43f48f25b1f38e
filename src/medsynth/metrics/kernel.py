"""Kernel distance of two sets of features: KID, by whatever network made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics.bootstrap import Estimate
from medsynth.metrics.features import check_pair
from medsynth.metrics.intervals import Z

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["kernel_distance", "kernel_distance_error"]

_BLOCK = 1024


def kernel_distance(reference: Any, candidate: Any) -> Estimate:
    """Unbiased squared maximum mean discrepancy (KID: Bińkowski et al. 2018, arXiv 1801.01401, section 4).

    With the kernel ``k(x, y) = (x'y / d + 1)^3`` over all pairs, without the diagonal (Gretton et al. 2012, JMLR 13,
    equation 3), not over subsets: the mean over subsets estimates the same number with more noise. The interval is
    1.96 standard errors to each side; see :func:`kernel_distance_error`.

    Args:
        reference: (n, d), n at least 3.
        candidate: (m, d), m at least 3.

    Returns:
        0 is expected of equal distributions at any size, so values below 0 occur.

    Raises:
        medsynth.errors.DataError: Too few rows, other dimensions, or values that are not finite.
    """
    value, error = kernel_distance_error(reference, candidate)
    return Estimate(value, value - Z * error, value + Z * error)


def kernel_distance_error(reference: Any, candidate: Any) -> tuple[float, float]:
    """The distance of :func:`kernel_distance` and its standard error.

    The standard error is that of the jackknife that leaves out one row at a time, exactly, from sums of kernel rows.
    For equal distributions it is too large rather than too small (Efron and Stein 1981, Annals of Statistics 9, 586).
    """
    real, made = check_pair(reference, candidate, least=3)
    n, m = len(real), len(made)
    # Sums over all pairs, each pair of one side counted twice, and how much of them each row has.
    own_real, own_made = _row_sums(real, real, itself=True)[0], _row_sums(made, made, itself=True)[0]
    cross_real, cross_made = _row_sums(real, made, itself=False)
    within_real, within_made, between = own_real.sum(), own_made.sum(), cross_real.sum()

    def distance(first: Any, count: Any, second: Any, other: Any, both: Any) -> Any:
        return first / (count * (count - 1)) + second / (other * (other - 1)) - 2 * both / (count * other)

    without_real = distance(within_real - 2 * own_real, n - 1, within_made, m, between - cross_real)
    without_made = distance(within_real, n, within_made - 2 * own_made, m - 1, between - cross_made)
    variance = sum(
        (len(each) - 1) / len(each) * float(((each - each.mean()) ** 2).sum()) for each in (without_real, without_made)
    )
    return float(distance(within_real, n, within_made, m, between)), variance**0.5


def _row_sums(
    first: NDArray[Any], second: NDArray[Any], *, itself: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of kernel values over ``second`` for each row of ``first``, and the other way round."""
    ours, theirs = np.zeros(len(first)), np.zeros(len(second))
    for start in range(0, len(first), _BLOCK):
        rows = first[start : start + _BLOCK].astype(np.float64) / first.shape[1]
        for other in range(start if itself else 0, len(second), _BLOCK):
            kernel = rows @ second[other : other + _BLOCK].astype(np.float64).T + 1.0
            kernel *= kernel * kernel
            if itself and other == start:
                np.fill_diagonal(kernel, 0.0)
            ours[start : start + _BLOCK] += kernel.sum(axis=1)
            if not itself or other > start:
                (ours if itself else theirs)[other : other + _BLOCK] += kernel.sum(axis=0)
    return ours, theirs

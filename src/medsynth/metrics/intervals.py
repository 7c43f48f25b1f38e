"""Intervals that need no resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medsynth.metrics.bootstrap import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Z", "wilson"]

Z = 1.959964
"""Standard errors to each side of a 95 % interval."""


def wilson(hits: NDArray[np.bool_]) -> Estimate:
    """A share with its Wilson interval (Wilson 1927, JASA 22, 209), which has a width at 0 and 1 too.

    Args:
        hits: Whether each row counts, (n,), n at least 1.
    """
    n, share = len(hits), float(hits.mean())
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * (share * (1 - share) / n + Z * Z / (4 * n * n)) ** 0.5
    return Estimate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))

"""Sets of feature vectors: what the distances between real and generated images are computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Distinct", "as_features", "check_pair", "distinct", "in_order", "jackknife_error"]

_BLOCK = 4096


def as_features(rows: Any, side: str) -> NDArray[np.floating[Any]]:
    """Check one set of features.

    Args:
        rows: (n, d), numbers; float32 and float64 are kept, others become float64.
        side: What to call it in an error: ``"reference"`` or ``"candidate"``.

    Raises:
        medsynth.errors.DataError: Not two axes, no row, no column, or values that are not finite.
    """
    features = np.asarray(rows)
    if features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float64)
    if features.ndim != 2 or 0 in features.shape:
        raise DataError(f"{side} features must have shape (rows, dimensions), neither of them 0. Got {features.shape}.")
    for start in range(0, len(features), _BLOCK):
        if not np.isfinite(features[start : start + _BLOCK]).all():
            raise DataError(
                f"{side} features must be finite. Got NaN or infinity in rows {start} to "
                f"{min(start + _BLOCK, len(features)) - 1}: look at the network that made them."
            )
    return features


def check_pair(
    reference: Any, candidate: Any, least: int = 1
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Check two sets of features of one space.

    Args:
        reference: (n, d), of real images.
        candidate: (m, d), of generated ones.
        least: Rows that each side must have.

    Raises:
        medsynth.errors.DataError: As :func:`as_features`, other dimensions, or too few rows.
    """
    one, other = as_features(reference, "reference"), as_features(candidate, "candidate")
    if one.shape[1] != other.shape[1]:
        raise DataError(
            "reference and candidate features must come from one network and have the same dimensions. "
            f"Got {one.shape[1]} and {other.shape[1]}."
        )
    if min(len(one), len(other)) < least:
        raise DataError(f"reference and candidate need at least {least} rows each. Got {len(one)} and {len(other)}.")
    return one, other


@dataclass(frozen=True, eq=False, slots=True)
class Distinct:
    """Rows without repetition.

    Attributes:
        rows: (u, d).
        counts: How often each occurs, int64 (u,).
        places: Index into ``rows`` of each row that was given, int64 (n,).
    """

    rows: NDArray[np.floating[Any]]
    counts: NDArray[np.int64]
    places: NDArray[np.int64]


def distinct(features: NDArray[np.floating[Any]]) -> Distinct:
    """The distinct rows: a collapsed generator repeats itself, and pairs of equal rows cost time and say nothing."""
    # Python's hash is the quick one; only where it says that rows are equal, a longer one is asked.
    if len({hash(row.tobytes()) for row in features}) == len(features):
        return Distinct(features, np.ones(len(features), np.int64), np.arange(len(features)))
    seen: dict[bytes, int] = {}
    places = np.array([seen.setdefault(key, len(seen)) for key in _keys(features)], np.int64)
    firsts = np.unique(places, return_index=True)[1]
    return Distinct(features[firsts], np.bincount(places), places)


def in_order(features: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """An order of the rows that follows from their content alone, so that subsets do not depend on how they came."""
    keys = _keys(features)
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


def _keys(features: NDArray[np.floating[Any]]) -> list[bytes]:
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in features]


def jackknife_error(
    statistic: Callable[..., float], *sets: NDArray[np.floating[Any]], groups: int = 10
) -> tuple[float, float]:
    """A statistic of feature sets and its standard error from leaving out one tenth of every set at a time.

    The delete-a-group jackknife (Kott 2001, J. Official Statistics 17, 521): a bootstrap would repeat rows, which
    lowers the rank of a covariance and makes twins of neighbours.

    Args:
        statistic: Of as many arrays as there are sets.
        *sets: (n, d) each, at least ``groups`` rows.
        groups: How many parts.

    Returns:
        The statistic of everything, and its standard error.
    """
    ordered = [rows[in_order(rows)] for rows in sets]
    left_out = np.array([statistic(*parts) for parts in _leave_out(ordered, groups)])
    spread = (groups - 1) / groups * float(((left_out - left_out.mean()) ** 2).sum())
    return statistic(*ordered), spread**0.5


def _leave_out(sets: list[NDArray[np.floating[Any]]], groups: int) -> Iterator[list[NDArray[np.floating[Any]]]]:
    for group in range(groups):
        yield [rows[np.arange(len(rows)) % groups != group] for rows in sets]

"""Distances between real and generated images as plugins, on features of any network.

The numbers are those of :mod:`medsynth.metrics`; here stand the sizes below which they are refused, because they would
say how many images there were and not how good they are.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from medsynth.errors import ConfigError, DataError
from medsynth.metrics import (
    frechet_distance,
    frechet_infinity,
    jackknife_error,
    kernel_distance,
    manifold_metrics,
    vendi_score,
)
from medsynth.metrics.intervals import Z
from medsynth.plugins import Defect, Metric, MetricInput, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from medsynth.metrics import Estimate, Manifold

__all__ = ["FID", "KID", "VENDI", "Coverage", "Density", "FIDInfinity", "IntraClassFID", "KNNPrecision", "KNNRecall"]

_ENOUGH_FOR_FID = 2048


class _FeatureMetric(Metric):
    """A number of two sets of features; refused below :attr:`least` rows a side."""

    inputs: ClassVar[MetricInput] = "features"
    higher_is_better: ClassVar[bool | None] = False
    least: ClassVar[int] = 50

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every update."""
        self._sides: dict[str, list[NDArray[Any]]] = {"reference": [], "candidate": []}
        self._labels: dict[str, list[NDArray[np.int64]]] = {"reference": [], "candidate": []}

    def update(
        self,
        reference: NDArray[Any],
        candidate: NDArray[Any],
        *,
        reference_labels: NDArray[np.int64] | None = None,
        candidate_labels: NDArray[np.int64] | None = None,
    ) -> None:
        """Take features (n, d) of real images as reference and of generated ones as candidate."""
        given = (("reference", reference, reference_labels), ("candidate", candidate, candidate_labels))
        for side, rows, labels in given:
            if labels is not None and len(labels) != len(rows):
                raise DataError(
                    f"metric '{self.name}' needs one label for each of {len(rows)} {side} rows. Got {len(labels)}."
                )
            if len(rows):
                self._sides[side].append(np.array(rows))
                self._labels[side].append(np.full(len(rows), -1) if labels is None else np.array(labels))

    def compute(self) -> Result:
        """The metric of all rows.

        Raises:
            medsynth.errors.DataError: Too few rows, other dimensions, or values that are not finite.
        """
        sides = []
        for side, chunks in self._sides.items():
            rows = sum(map(len, chunks))
            if rows < self.least:
                raise DataError(
                    f"metric '{self.name}' needs at least {self.least} {side} rows to mean anything. Got {rows}."
                )
            sides.append(np.concatenate(chunks))
        return self._result(*sides)

    @abstractmethod
    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result: ...

    def _by_class(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
        labels = [np.concatenate(self._labels[side]) for side in ("reference", "candidate")]
        for label in np.unique(np.concatenate(labels)):
            if label >= 0:
                yield int(label), (reference[labels[0] == label], candidate[labels[1] == label])


class KID(_FeatureMetric):
    """Kernel distance, unbiased: 0 is expected of equal distributions at any size, so it leads on small sets."""

    name = "kid"

    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result:
        whole = kernel_distance(reference, candidate)
        classes = {
            label: kernel_distance(*rows).value
            for label, rows in self._by_class(reference, candidate)
            if min(map(len, rows)) >= self.least
        }
        return _from_estimate(whole, {label: value for label, value in classes.items() if value is not None})


class FID(_FeatureMetric):
    """Fréchet distance of Gaussians fitted to the features; for comparison with papers.

    Args:
        groups: Parts of the jackknife that makes the interval; 0 for no interval.
    """

    name = "fid"

    def __init__(self, *, groups: int = 10) -> None:
        if groups < 0 or groups == 1:
            raise ConfigError(f"{self.name}: option 'groups' must be 0, or 2 or more. Got {groups}.")
        self.groups = groups
        super().__init__()

    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result:
        _check_rank(self.name, reference, candidate)
        notes = tuple(_size_notes(len(reference), len(candidate)))
        if not self.groups:
            return Result(value=frechet_distance(reference, candidate), notes=notes)
        value, error = jackknife_error(frechet_distance, reference, candidate, groups=self.groups)
        half = Z * error
        return Result(value=value, low=max(0.0, value - half), high=value + half, notes=notes)


class FIDInfinity(_FeatureMetric):
    """FID extrapolated to infinitely many images, which removes most of its bias."""

    name = "fid-infinity"

    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result:
        return Result(value=frechet_infinity(reference, candidate))


class IntraClassFID(_FeatureMetric):
    """Mean over the classes of the FID of the class's real and generated images: sees a class that collapsed."""

    name = "intra-class-fid"

    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result:
        classes = {}
        sizes = []
        for label, rows in self._by_class(reference, candidate):
            _check_rank(f"{self.name}, class {label}", *rows)
            classes[label] = frechet_distance(*rows)
            sizes.append((len(rows[0]), len(rows[1])))
        if not classes:
            raise DataError(f"metric '{self.name}' needs the class of each row on both sides. Got none.")
        notes = tuple(_size_notes(*min(sizes, key=min)))
        return Result(value=float(np.mean(list(classes.values()))), per_class=classes, notes=notes)


class _ManifoldMetric(_FeatureMetric):
    """One of precision, recall, density and coverage.

    Args:
        k: Neighbours; a ball reaches to the k-th.
    """

    higher_is_better = True
    field: ClassVar[str]

    def __init__(self, *, k: int = 5) -> None:
        if k < 1:
            raise ConfigError(f"{self.name}: option 'k' must be at least 1. Got {k}.")
        self.k = k
        super().__init__()

    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result:
        return _from_estimate(getattr(_manifold(reference, candidate, self.k), self.field))


class KNNPrecision(_ManifoldMetric):
    """Share of generated images within reach of a real one: do they look real?"""

    name = "knn-precision"
    field = "precision"


class KNNRecall(_ManifoldMetric):
    """Share of real images within reach of a generated one: is everything real reached?"""

    name = "knn-recall"
    field = "recall"
    punishes: ClassVar[Defect] = "collapse"


class Density(_ManifoldMetric):
    """How many real neighbourhoods hold a generated image, against what is expected: 1 of equal distributions."""

    name = field = "density"


class Coverage(_ManifoldMetric):
    """Share of real neighbourhoods that hold a generated image."""

    name = field = "coverage"
    punishes: ClassVar[Defect] = "collapse"


class VENDI(_FeatureMetric):
    """How many different images the generated ones amount to (Vendi score, cosine similarity)."""

    name = "vendi"
    higher_is_better = True
    punishes: ClassVar[Defect] = "collapse"

    def _result(self, reference: NDArray[Any], candidate: NDArray[Any]) -> Result:
        value, error = jackknife_error(vendi_score, candidate)
        # Leaving out a tenth says how unsure the number is; it cannot tell that more images would give a higher one.
        low, high = max(1.0, value - Z * error), value + Z * error
        classes = {label: vendi_score(made) for label, (_, made) in self._by_class(reference, candidate) if len(made)}
        return Result(value=value, low=min(low, value), high=high, per_class=classes)


_MANIFOLDS: dict[tuple[bytes, bytes, int], Manifold] = {}
_KEPT = 4


def _manifold(reference: NDArray[Any], candidate: NDArray[Any], k: int) -> Manifold:
    """All four numbers at once, kept for the other three metrics, which are computed from the same rows."""
    key = (_digest(reference), _digest(candidate), k)
    if key not in _MANIFOLDS:
        while len(_MANIFOLDS) >= _KEPT:
            del _MANIFOLDS[next(iter(_MANIFOLDS))]
        _MANIFOLDS[key] = manifold_metrics(reference, candidate, k)
    return _MANIFOLDS[key]


def _digest(rows: NDArray[Any]) -> bytes:
    what = f"{rows.dtype.str} {rows.shape}".encode()
    return hashlib.blake2b(np.ascontiguousarray(rows).view(np.uint8).data, digest_size=16, key=what).digest()


def _from_estimate(estimate: Estimate, per_class: dict[int, float] | None = None) -> Result:
    assert estimate.value is not None
    return Result(value=estimate.value, low=estimate.low, high=estimate.high, per_class=per_class or {})


def _check_rank(name: str, reference: NDArray[Any], candidate: NDArray[Any]) -> None:
    fewest, dimensions = min(len(reference), len(candidate)), reference.shape[1]
    if fewest <= dimensions:
        raise DataError(
            f"metric '{name}' needs more images a side than the features have dimensions, {dimensions:,}: below that "
            f"the number says how many images there were. Got {fewest:,}. Give more images, or look at kid."
        )


def _size_notes(real: int, made: int) -> Iterator[str]:
    if min(real, made) < _ENOUGH_FOR_FID:
        yield (
            f"{min(real, made):,} images a side, below {_ENOUGH_FOR_FID:,}: much of FID is bias. "
            "Compare it only with the value of real images at the same size."
        )
    if real != made:
        yield f"Unequal sizes, {real:,} real and {made:,} generated."

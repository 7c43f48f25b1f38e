"""Small inputs for metrics: a sound candidate, and candidates with one defect each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from medsynth.plugins import Defect, MetricInput

__all__ = ["Rows", "sound_rows", "spoiled_rows"]

_COUNT = 64
_CLASSES = 2


@dataclass(frozen=True, eq=False)
class Rows:
    """What :meth:`medsynth.plugins.Metric.update` takes; labels are ``None`` where a side has none."""

    reference: NDArray[Any]
    candidate: NDArray[Any]
    reference_labels: NDArray[np.int64] | None
    candidate_labels: NDArray[np.int64] | None

    def take(self, rows: NDArray[np.integer[Any]], others: NDArray[np.integer[Any]] | None = None) -> Rows:
        """Some rows of both sides; ``others`` are those of the reference, where the sides are not paired."""
        # Predictions and their true labels are one row, though the labels stand on the reference's side.
        others = rows if others is None or not len(self.reference) else others
        return Rows(
            self.reference[others] if len(self.reference) else self.reference,
            self.candidate[rows],
            None if self.reference_labels is None else self.reference_labels[others],
            None if self.candidate_labels is None else self.candidate_labels[rows],
        )

    def chunks(self, size: int) -> Iterator[Rows]:
        """Consecutive rows, at most ``size`` at once."""
        for start in range(0, len(self.candidate), size):
            yield self.take(np.arange(start, min(start + size, len(self.candidate))))

    def permuted(self, seed: int) -> Rows:
        """Both sides in another order, each its own."""
        random = np.random.default_rng(seed)
        return self.take(random.permutation(len(self.candidate)), random.permutation(len(self.candidate)))

    def with_candidate_of(self, other: Rows) -> Rows:
        """This reference beside another candidate."""
        return replace(self, candidate=other.candidate, candidate_labels=other.candidate_labels)


def sound_rows(inputs: MetricInput, seed: int = 0) -> Rows:
    """64 rows a side in 2 classes: good predictions, or a candidate drawn as the reference was.

    Features are (64, 8) float32 normal around a mean of the class; images (64, 32, 32, 1) uint8 smooth blotches,
    brighter in class 1; probabilities (64, 2) float32, right for most rows.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(_COUNT, dtype=np.int64) % _CLASSES
    if inputs == "probabilities":
        return _predictions(2.0 * np.eye(_CLASSES)[labels] + random.normal(size=(_COUNT, _CLASSES)), labels)
    draw = _features if inputs == "features" else _images
    return Rows(draw(random, labels), draw(random, labels), labels, labels)


def spoiled_rows(inputs: MetricInput, defect: Defect, seed: int = 0) -> Rows:
    """The rows of :func:`sound_rows` with a candidate that has one defect.

    ``"noise"``: predictions that ignore the truth; features far off; uniform pixels. ``"collapse"``: one row of each
    class repeated; the same prediction for all. ``"copies"``: the rows of the reference.
    """
    sound, random = sound_rows(inputs, seed), np.random.default_rng(seed + 1000)
    if defect == "collapse":
        repeated = np.zeros(_COUNT, np.int64) if inputs == "probabilities" else np.arange(_COUNT) % _CLASSES
        return replace(sound, candidate=sound.candidate[repeated])
    if defect == "copies":
        return replace(sound, candidate=sound.reference, candidate_labels=sound.reference_labels)
    if inputs == "probabilities":
        assert sound.reference_labels is not None
        return _predictions(random.normal(size=(_COUNT, _CLASSES)), sound.reference_labels)
    if inputs == "features":
        return replace(sound, candidate=(6.0 + 3.0 * random.normal(size=sound.candidate.shape)).astype(np.float32))
    return replace(sound, candidate=random.integers(0, 256, sound.candidate.shape, np.uint8))


def _predictions(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Rows:
    powers = np.exp(logits)
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return Rows(np.empty((0, _CLASSES), np.float32), probabilities, labels, None)


def _features(random: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    return (random.normal(size=(len(labels), 8)) + labels[:, None]).astype(np.float32)


def _images(random: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A coarse 5x5 grid of random levels, interpolated linearly to 32x32."""
    at = np.linspace(0.0, 4.0, 32)
    weights = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(5)))
    coarse = random.uniform(0.0, 200.0, (len(labels), 5, 5))
    smooth = weights @ coarse @ weights.T + 50.0 * labels[:, None, None]
    return np.rint(smooth).astype(np.uint8)[..., None]

"""Labels and probabilities, checked once and put into an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Rows", "decide"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Rows:
    """What every classification statistic works on; make it with :meth:`of`.

    Rows stand in an order that follows from their content (group, label, probabilities), never from the order in which
    they came, so that sums and resamples are the same to the last bit for every permutation of the input.

    Attributes:
        labels: True class index, int64 (n,).
        probabilities: float64 (n, c).
        predicted: Decided class index, int64 (n,).
        units: Index of the unit that is resampled as a whole (image or group) of each row, int64 (n,).
        grouped: Whether units are groups.
        positive: Index of the positive class of a binary task, else ``None``.
        threshold: Probability of the positive class from which on a binary task decides for it; ``None``: the most
            probable class is decided for.
        order: Where each row stood in the input, int64 (n,).
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    predicted: NDArray[np.int64]
    units: NDArray[np.int64]
    grouped: bool
    positive: int | None
    threshold: float | None
    order: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Columns of the probabilities."""
        return int(self.probabilities.shape[1])

    @classmethod
    def of(
        cls,
        labels: NDArray[Any] | Sequence[int],
        probabilities: NDArray[Any],
        *,
        positive: int | None = None,
        threshold: float | None = None,
        groups: Sequence[str] | None = None,
    ) -> Rows:
        """Check labels and probabilities of a classifier and sort them.

        Args:
            labels: True class index of each row, (n,), in 0..c-1.
            probabilities: (n, c), c at least 2; rows sum to 1 within 1e-3.
            positive: Positive class of a binary task (default: the last); with more classes there is none.
            threshold: For a binary task, see :func:`decide`.
            groups: Patient or other group of each row; a group is resampled as a whole.

        Raises:
            medsynth.errors.DataError: No rows, shapes that do not match, labels out of range, probabilities that are
                NaN, outside 0..1 or do not sum to 1.
        """
        given = np.asarray(probabilities)
        table = given.astype(np.float64)
        if table.ndim != 2 or table.shape[1] < 2:
            raise DataError(f"probabilities must have shape (rows, classes) with 2 classes or more. Got {table.shape}.")
        true = np.asarray(labels)
        if true.shape != (len(table),):
            raise DataError(f"labels must have one entry per row of probabilities, {len(table)}. Got {true.shape}.")
        if len(table) == 0:
            raise DataError("metrics need at least one row of labels and probabilities. Got none.")
        _check_values(true, table)
        if groups is not None and len(groups) != len(table):
            raise DataError(f"groups must have one entry per row, {len(table)}. Got {len(groups)}.")
        binary = table.shape[1] == 2
        if binary:
            positive = 1 if positive is None else positive
            if positive not in {0, 1}:
                raise DataError(f"positive must be the index of one of the two classes, 0 or 1. Got {positive}.")
        else:
            positive = threshold = None
        codes = np.zeros(len(table), np.int64) if groups is None else np.unique(list(groups), return_inverse=True)[1]
        # Decided in the dtype given, so that rounding moves no row across the threshold.
        predicted = decide(given, positive=positive, threshold=threshold)
        order = np.lexsort((*table.T[::-1], true, codes))
        true, table, codes = true[order].astype(np.int64), table[order], codes[order].astype(np.int64)
        return cls(
            labels=true,
            probabilities=table,
            predicted=predicted[order],
            units=np.arange(len(table)) if groups is None else codes,
            grouped=groups is not None,
            positive=positive,
            threshold=threshold,
            order=order.astype(np.int64),
        )

    def with_probabilities(self, probabilities: NDArray[Any]) -> Rows:
        """The same rows as another model sees them, in the same order, so that resamples pair them.

        Args:
            probabilities: (n, c), in the order of the input of :meth:`of`.

        Raises:
            medsynth.errors.DataError: Another shape, or no probabilities.
        """
        given = np.asarray(probabilities)
        if given.shape != self.probabilities.shape:
            raise DataError(f"probabilities must have shape {self.probabilities.shape}. Got {given.shape}.")
        table = given.astype(np.float64)
        _check_values(self.labels, table)
        predicted = decide(given, positive=self.positive, threshold=self.threshold)
        return replace(self, probabilities=table[self.order], predicted=predicted[self.order])


def decide(
    probabilities: NDArray[np.floating[Any]], *, positive: int | None = None, threshold: float | None = None
) -> NDArray[np.int64]:
    """Class index that is decided for: the artefact's rule.

    Args:
        probabilities: (n, c).
        positive: Index of the positive class of a binary task.
        threshold: Where it is given with ``positive`` and c = 2: the positive class at or above it, the other below.
            In every other case the most probable class, the first of equals.

    Returns:
        int64 (n,).
    """
    if positive is not None and threshold is not None and probabilities.shape[1] == 2:
        return np.where(probabilities[:, positive] >= threshold, positive, 1 - positive).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def _check_values(labels: NDArray[Any], probabilities: NDArray[np.float64]) -> None:
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels must be integers (class indices). Got dtype {labels.dtype}.")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise DataError(
            f"labels must be class indices from 0 to {probabilities.shape[1] - 1}, the columns of the probabilities. "
            f"Got {labels.min()} to {labels.max()}."
        )
    if not np.isfinite(probabilities).all():
        bad = int((~np.isfinite(probabilities).all(axis=1)).sum())
        raise DataError(
            f"probabilities must be finite. Got NaN or infinity in {bad} of {len(probabilities)} rows: "
            "the model does not work on these images; train it again or look at its inputs."
        )
    if probabilities.min() < -1e-6 or probabilities.max() > 1 + 1e-6:
        raise DataError(
            f"probabilities must lie between 0 and 1 (softmax output, not logits). "
            f"Got {probabilities.min():.4g} to {probabilities.max():.4g}."
        )
    worst = float(np.abs(probabilities.sum(axis=1) - 1).max())
    if worst > 1e-3:
        raise DataError(f"probabilities of a row must sum to 1 (softmax output). Got a sum that is {worst:.4g} off.")

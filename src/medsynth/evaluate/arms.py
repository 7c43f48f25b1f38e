"""Which images each arm of the utility question learns from.

Augmented images of patients whom a draw left out would bring these back, so they take no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.augmented import Augmented
    from medsynth.evaluate.sides import Side

__all__ = ["Plan", "drawn", "plans"]

_SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Plan:
    """One way to train.

    Attributes:
        name: ``real``, ``generated``, ``real + generated`` or ``real + augmented``.
        rows: What is learned from in each seed: indices into real, generated and augmented images laid end to end.
        real: Real images among them.
        added: Generated or augmented ones.
        tests: What is then tested: ``real`` and ``generated``.
    """

    name: str
    rows: Sequence[NDArray[np.int64]]
    real: int = 0
    added: int = 0
    tests: tuple[str, ...] = ("real",)


def plans(train: Side, made: Side, augmented: Augmented | None, seeds: int) -> Iterator[Plan]:
    """Real images alone first, because the others are compared with them.

    Args:
        train: Real images; every seed draws its own of them, the same for every plan.
        made: Generated images.
        augmented: Augmented training images, if they compete.
        seeds: Training draws.
    """
    real = [drawn(train, seed) for seed in range(seeds)]
    fake = [len(train) + _shuffled(len(made), seed) for seed in range(seeds)]
    yield Plan(name="real", rows=real, real=len(train), tests=("real", "generated"))
    yield Plan(name="generated", rows=fake, added=len(made))
    for share in _SHARES:
        added = round(share * len(made))
        rows = [np.append(one, other[:added]) for one, other in zip(real, fake, strict=True)]
        yield Plan(name="real + generated", rows=rows, real=len(train), added=added)
    if augmented is not None:
        start = len(train) + len(made)
        more = [start + _of_drawn(augmented.sources, rows, seed) for seed, rows in enumerate(real)]
        rows = [np.append(one, other) for one, other in zip(real, more, strict=True)]
        yield Plan(name="real + augmented", rows=rows, real=len(train), added=len(augmented))


def drawn(side: Side, seed: int) -> NDArray[np.int64]:
    """Rows of units of each class, drawn with replacement; every class keeps at least one image."""
    return np.concatenate([np.empty(0, np.int64), *_drawn_rows(side, seed)])


def _drawn_rows(side: Side, seed: int) -> Iterator[NDArray[np.int64]]:
    for label in np.unique(side.labels):
        own = np.flatnonzero(side.labels == label)
        units = own if side.groups is None else np.unique([side.groups[row] for row in own], return_inverse=True)[1]
        members = [own[units == unit] for unit in np.unique(units)]
        words = np.random.Philox(key=np.array([seed, label], np.uint64)).random_raw(len(members))
        yield np.concatenate([members[word % len(members)] for word in words.tolist()])


def _of_drawn(sources: NDArray[np.int64], rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """As many augmented images as there are, those of drawn training rows in turns; none where none is of such a row.

    >>> _of_drawn(np.array([0, 1, 2, 0]), np.array([0, 0, 3]), seed=0).tolist()
    [0, 3, 0, 3]
    """
    order = _shuffled(len(sources), seed)
    own = order[np.isin(sources[order], rows)]
    return np.resize(own, len(sources)) if len(own) else own


def _shuffled(count: int, seed: int) -> NDArray[np.int64]:
    return np.argsort(np.random.Philox(key=seed).random_raw(count), kind="stable")

"""Which images make up which batch: a pure function of (seed, epoch), so that a resumed run sees the same batches."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["balanced_batches", "epoch_batches", "step_batches"]


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)`` that depends only on (seed, epoch)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Index batches that cover every image once; the last may be smaller, but never a single image.

    Batch normalisation cannot train on one row, so a lone last image joins the batch before it.
    """
    order = epoch_order(count, seed, epoch)
    batches = [order[start : start + batch_size] for start in range(0, count, batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def step_batches(count: int, batch_size: int, seed: int, step: int) -> Iterator[NDArray[np.int64]]:
    """Endless full batches from ``step`` on, over the epochs' permutations laid end to end."""
    position = step * batch_size
    while True:
        rows: list[NDArray[np.int64]] = []
        needed = batch_size
        while needed:
            epoch, offset = divmod(position, count)
            part = epoch_order(count, seed, epoch)[offset : offset + needed]
            rows.append(part)
            position += len(part)
            needed -= len(part)
        yield np.concatenate(rows)


def balanced_batches(
    labels: NDArray[np.int64], classes: int, batch_size: int, seed: int, step: int
) -> Iterator[NDArray[np.int64]]:
    """Endless batches from ``step`` on, in which the classes take turns; each class has permutations of its own.

    A batch holds every class if ``batch_size`` allows, and equally many of each if it is a multiple of ``classes``.
    """
    members = [np.flatnonzero(labels == index) for index in range(classes)]
    while True:
        rows = []
        for slot in range(step * batch_size, (step + 1) * batch_size):
            turn, index = divmod(slot, classes)
            epoch, place = divmod(turn, len(members[index]))
            rows.append(members[index][_order(len(members[index]), seed, epoch * classes + index)[place]])
        yield np.array(rows)
        step += 1


_order = functools.lru_cache(maxsize=64)(epoch_order)

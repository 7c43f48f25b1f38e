"""Train, validation and test parts that do not share patients.

Where groups are known, whole groups are dealt out. Where they are not, each class is cut into blocks in natural order
of its names: slices with neighbouring numbers are mostly of one patient, and a random split would put such twins on
both sides of the line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FRACTIONS", "VALIDATION_FRACTION", "keyed", "split_rows"]

FRACTIONS = {"train": 0.70, "validation": 0.15, "test": 0.15}
"""Shares of the parts where the data name none."""

VALIDATION_FRACTION = 0.15
"""Share of the training part that becomes validation where the data name only a test part."""

# Cost of a part that lacks a class altogether: no balance elsewhere outweighs it, and training needs every class most.
_LACK = {"train": 1e4, "test": 1e2, "validation": 1e1}


def split_rows(
    labels: NDArray[np.int64], groups: Sequence[str] | None, fractions: Mapping[str, float], *, seed: int = 0
) -> list[str]:
    """Give each row a part.

    Args:
        labels: Class index of each row, (n,), rows in natural order.
        groups: Group of each row; rows of one group get one part. ``None`` where unknown: blocks in row order.
        fractions: Share of each part, in the order of the blocks within a class; they sum to 1.
        seed: Decides between equally good ways to deal groups out. Blocks do not depend on it.

    Returns:
        Part of each row. Shares are met per class as nearly as whole groups allow; every class is in ``train``, and in
        the other parts too where it has enough rows (or groups) for that.
    """
    if groups is None:
        return _by_blocks(labels, fractions)
    return _by_groups(labels, groups, fractions, seed)


def _by_blocks(labels: NDArray[np.int64], fractions: Mapping[str, float]) -> list[str]:
    split = np.empty(len(labels), dtype=object)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        sizes = _block_sizes(len(rows), fractions)
        split[rows] = np.repeat(np.array(list(sizes), dtype=object), list(sizes.values()))
    return [str(part) for part in split]


def _block_sizes(count: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Rows of each part: rounded shares, at least one each while rows last (train first, test second)."""
    sizes = dict.fromkeys(fractions, 0)
    left = count
    for part in sorted(fractions, key=lambda name: -_LACK[name]):
        if part != "train":
            # One row always stays for train.
            sizes[part] = min(max(1, round(fractions[part] * count)), max(0, left - 1))
            left -= sizes[part]
    sizes["train"] = left
    return sizes


def _by_groups(
    labels: NDArray[np.int64], groups: Sequence[str], fractions: Mapping[str, float], seed: int
) -> list[str]:
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    group_of_row = np.array([number[group] for group in groups], dtype=np.int64)
    classes = int(labels.max()) + 1 if len(labels) else 0
    table = np.zeros((len(names), classes))
    np.add.at(table, (group_of_row, labels), 1)
    table /= np.maximum(table.sum(axis=0), 1)  # Share of its class that each group holds.
    parts = list(fractions)
    target = np.array([fractions[part] for part in parts])[:, None]
    lack = np.array([_LACK[part] for part in parts])[:, None]

    def distance(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        # (..., parts, classes) to (...); rounded, so that ties do not hang on the processor's order of summation.
        return np.asarray(np.round(np.square(shares - target).sum(axis=(-2, -1)), 9))

    def cost(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(distance(shares) + (lack * (shares < 1e-12)).sum(axis=(-2, -1)))

    held = np.zeros((len(parts), classes))
    chosen = np.zeros(len(names), dtype=np.int64)
    unit = np.eye(len(parts))[:, :, None]
    # Large groups first, while there is room for them; among equals a keyed hash, which no numpy version changes.
    for group in sorted(range(len(names)), key=lambda g: (-round(float(table[g].sum()), 9), keyed(seed, names[g]))):
        chosen[group] = int(np.argmin(distance(held + unit * table[group])))
        held[chosen[group]] += table[group]
    for _ in range(len(names)):  # Then single moves, the best one first, while one helps.
        without = held - unit[chosen] * table[:, None, :]
        moved = cost(without[:, None] + unit * table[:, None, None, :])  # (groups, parts)
        group, part = (int(index) for index in np.unravel_index(int(np.argmin(moved)), moved.shape))
        if moved[group, part] >= cost(held) - 1e-8:
            break
        held[chosen[group]] -= table[group]
        held[part] += table[group]
        chosen[group] = part
    return [parts[part] for part in chosen[group_of_row]]


def keyed(seed: int, name: str) -> bytes:
    """A hash by which to order names at random, another order for each seed, the same one on every machine."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=str(seed).encode()[:64]).digest()

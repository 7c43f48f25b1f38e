"""Repeated cross-validation that keeps together what belongs together: patients, or else runs of consecutive names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.rows import PART_NAMES, natural_key
from medsynth.dataset.split import VALIDATION_FRACTION, keyed, split_rows
from medsynth.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.table import Dataset

__all__ = ["Fold", "block_names", "deal_folds", "fold_datasets", "name_order"]

_BLOCKS = 20
_LEAST_IN_BLOCK = 5


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Fold:
    """One part of a cross-validation.

    Attributes:
        repeat: Number of the repetition, from 0.
        index: Number of the fold in it, from 0.
        data: All rows; the fold is the ``test`` part, the rest is ``train`` and ``validation``.
    """

    repeat: int
    index: int
    data: Dataset


def fold_datasets(data: Dataset, *, folds: int = 5, repeats: int = 1, seed: int = 0) -> Iterator[Fold]:
    """Deal a data set into folds, several times over; each is the test part once in each repetition.

    Whole groups are dealt out, stratified by class. Where the data name no groups, each class is cut into about 20
    blocks of consecutive names, which are dealt out likewise. The parts that the data had are not regarded: within
    what is not tested, 15 % of the groups or blocks become validation.

    Args:
        data: The data set.
        folds: Folds in a repetition, at least 2.
        repeats: Repetitions, each dealt anew, at least 1.
        seed: Of the dealing.

    Raises:
        ConfigError: A number is out of its range, or there are fewer groups (or blocks) than folds.
    """
    units = data.groups or block_names(data)
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1. Got {repeats}.")
    if not 2 <= folds <= len(set(units)):
        raise ConfigError(
            f"{data.source}: folds must be from 2 to {len(set(units))}, the number of groups. Got {folds}."
        )
    fractions = {"train": 1 - VALIDATION_FRACTION, "validation": VALIDATION_FRACTION}
    for repeat in range(repeats):
        dealt = deal_folds(data.labels, units, folds, seed=seed + repeat)
        for index in range(folds):
            split = np.full(len(data), "test", object)
            rest = np.flatnonzero(dealt != index)
            split[rest] = split_rows(data.labels[rest], [units[row] for row in rest], fractions, seed=seed + repeat)
            yield Fold(repeat=repeat, index=index, data=replace(data, split=tuple(map(str, split))))


def deal_folds(labels: NDArray[np.int64], groups: Sequence[str], folds: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Number of the fold of each row, int64 (n,); rows of one group get one fold, each class is spread evenly.

    Large groups are dealt first, each to the fold that holds least of its classes; among equals a keyed hash decides,
    which no numpy version changes.
    """
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    member = np.array([number[group] for group in groups], np.int64)
    classes = int(labels.max()) + 1 if len(labels) else 0
    table = np.zeros((len(names), classes))
    np.add.at(table, (member, labels), 1.0)
    shares = table / np.maximum(table.sum(axis=0), 1.0)
    size = np.round(shares.sum(axis=1), 9).tolist()
    held = np.zeros((folds, classes))
    chosen = np.zeros(len(names), np.int64)
    for group in sorted(range(len(names)), key=lambda index: (-size[index], keyed(seed, names[index]))):
        # The second term breaks ties towards the emptiest fold.
        fold = int(np.argmin(np.round(held @ shares[group] + 1e-6 * held.sum(axis=1), 12)))
        held[fold] += shares[group]
        chosen[group] = fold
    return chosen[member]


def name_order(names: Sequence[str]) -> NDArray[np.int64]:
    """Rows in natural order of their names, a folder that is called like a part (``train/``) left out: int64 (n,).

    The parts of many public sets are cut out of one numbering, so that neighbours lie on both sides of the line.
    """
    bare = ["/".join(part for part in PurePosixPath(name).parts if part.lower() not in PART_NAMES) for name in names]
    return np.array(sorted(range(len(names)), key=lambda row: (natural_key(bare[row]), names[row])), np.int64)


def block_names(data: Dataset) -> tuple[str, ...]:
    """The block of consecutive names that each row lies in: about 20 for each class, of 5 rows at least.

    Groups, where there are any, are not parted: a block holds whole groups, in the order of their first row.
    """
    order = name_order(data.names)
    units = data.groups or data.names
    blocks: dict[str, str] = {}
    for label, name in enumerate(data.classes):
        mine = list(dict.fromkeys(units[row] for row in order if data.labels[row] == label))
        mine = [unit for unit in mine if unit not in blocks]
        count = min(_BLOCKS, max(1, len(mine) // _LEAST_IN_BLOCK))
        blocks |= {unit: f"{name} {index * count // len(mine) + 1}" for index, unit in enumerate(mine)}
    return tuple(blocks[unit] for unit in units)

"""From rows of any origin to a :class:`~medsynth.dataset.table.Dataset`: order, classes, checks, split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.split import FRACTIONS, VALIDATION_FRACTION, split_rows
from medsynth.dataset.table import Dataset, Skipped
from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.images import ImageSource

__all__ = ["PART_NAMES", "Row", "build_dataset", "counted", "natural_key", "some"]

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What people call the parts (lower case), and what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled image as a loader found it; ``group`` and ``part`` are ``None`` where the data do not say."""

    name: str
    image: ImageSource
    label: str
    group: str | None = None
    part: str | None = None


def natural_key(name: str) -> str:
    """Sort key under which 9 comes before 10, folder by folder.

    >>> sorted(["s/10.png", "s/9.png", "s-2/1.png"], key=natural_key)
    ['s/9.png', 's/10.png', 's-2/1.png']
    """
    # One string, because folders may hold millions. A folder or a number ends the text before it, as no letter does;
    # more digits are a larger number.
    return re.sub("0*([0-9]+)", lambda run: f"\1{chr(len(run[1]))}{run[1]}", name.replace("/", "\0"))


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(names: Iterable[str], limit: int = 3) -> str:
    """The first few names for a message: ``a, b, c, …``."""
    listed = list(names)
    return ", ".join(listed[:limit]) + (", …" if len(listed) > limit else "")


def build_dataset(
    rows: Iterable[Row], *, source: str, positive: str | None = None, seed: int = 0, skipped: Iterable[Skipped] = ()
) -> Dataset:
    """Sort rows in natural order, number the classes, complete the split and check it all.

    Args:
        rows: In any order. Either all or none have a group; likewise a part.
        source: How a person calls the data; starts every message.
        positive: Positive class; by default the last one.
        seed: For splits by group.
        skipped: What the loader left out.

    Raises:
        DataError: Fewer than two classes, spellings of a class that differ only in case, a class without training
            images, a validation part without a test part, or as :class:`~medsynth.dataset.table.Dataset`.
    """
    ordered = sorted(rows, key=lambda row: (natural_key(row.name), row.name))
    classes = _classes(ordered, source)
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[row.label] for row in ordered], dtype=np.int64)
    groups = tuple(row.group for row in ordered if row.group is not None) or None
    split = _split(ordered, labels, groups, source, seed)
    if "train" in split:
        trained = {row.label for row, part in zip(ordered, split, strict=True) if part == "train"}
        if lacking := [name for name in classes if name not in trained]:
            raise DataError(
                f"{source}: every class needs images in the training part. Classes without: {some(lacking)}. "
                "Add training images of them, or remove the class."
            )
    return Dataset(
        images=tuple(row.image for row in ordered),
        names=tuple(row.name for row in ordered),
        labels=labels,
        classes=classes,
        groups=groups,
        split=tuple(split),
        positive=classes[-1] if positive is None else positive,
        skipped=tuple(skipped),
        source=source,
    )


def _classes(rows: Sequence[Row], source: str) -> tuple[str, ...]:
    counts = Counter(row.label for row in rows)
    spellings: dict[str, str] = {}
    for label in sorted(counts):
        other = spellings.setdefault(label.casefold(), label)
        if other != label:
            raise DataError(
                f"{source}: labels differ only in case: '{other}' ({counted(counts[other], 'image')}) and '{label}' "
                f"({counted(counts[label], 'image')}). Spell them alike (rename the folder, or edit the label column)."
            )
    if len(counts) < 2:
        got = f"only '{next(iter(counts))}' ({counted(counts.total(), 'image')})" if counts else "no labelled image"
        raise DataError(f"{source}: needs images of at least 2 classes. Got {got}.")
    return tuple(sorted(counts, key=natural_key))


def _split(
    rows: Sequence[Row], labels: NDArray[np.int64], groups: Sequence[str] | None, source: str, seed: int
) -> list[str]:
    split = [row.part for row in rows if row.part is not None]
    named = set(split)
    if named <= {"train"}:
        return split_rows(labels, groups, FRACTIONS, seed=seed)
    if "test" not in named or named == {"validation", "test"}:
        lacking = "train" if "train" not in named else "test"
        raise DataError(
            f"{source}: has the parts {', '.join(sorted(named))} but no {lacking} part. "
            f"Call one of them {lacking}, or name no parts and let medsynth split."
        )
    if named == {"train", "test"}:
        train = np.flatnonzero(np.array(split) == "train").tolist()
        fractions = {"train": 1 - VALIDATION_FRACTION, "validation": VALIDATION_FRACTION}
        inner_groups = None if groups is None else [groups[row] for row in train]
        inner = split_rows(labels[train], inner_groups, fractions, seed=seed)
        for row, part in zip(train, inner, strict=True):
            split[row] = part
    return split

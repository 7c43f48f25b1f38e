"""A data set from arrays in memory, for people who have decoded their images already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.dataset.rows import Row, build_dataset
from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.table import Dataset

__all__ = ["from_arrays"]


def from_arrays(
    images: Sequence[NDArray[Any]] | NDArray[Any],
    labels: Sequence[str] | Sequence[int] | NDArray[Any],
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    split: Sequence[str] | NDArray[Any] | None = None,
    names: Sequence[str] | None = None,
    positive: str | None = None,
    seed: int = 0,
    source: str = "arrays",
) -> Dataset:
    """Make a data set of arrays.

    Args:
        images: One array for each image, (h, w), (h, w, 1) or (h, w, 3), uint8 or deeper; sizes may differ.
        labels: Class of each image; whole numbers become their text.
        groups: Patient or other unit of each image that must stay in one part.
        split: Part of each image (train, validation, test); by default as :func:`load_dataset` splits.
        names: Unique name of each image; by default ``array/0``, ``array/1``, ...
        positive: Positive class of a binary task; by default the last one.
        seed: Of the split by group.
        source: How a person calls the data.

    Raises:
        DataError: Columns of different lengths, fewer than two classes, or as :func:`load_dataset`.

    >>> import numpy as np
    >>> pixels = np.zeros((40, 8, 8), np.uint8)
    >>> from_arrays(pixels, ["ill", "well"] * 20)
    <Dataset arrays: 40 images; ill 20, well 20; train 28, validation 6, test 6; positive well>
    """
    columns = {"labels": labels, "groups": groups, "split": split, "names": names}
    for name, column in columns.items():
        if column is not None and len(column) != len(images):
            raise DataError(f"{source}: {name} must have one entry per image, {len(images)}. Got {len(column)}.")
    rows = [
        Row(
            name=f"array/{index}" if names is None else names[index],
            image=np.asarray(image),
            label=str(labels[index]),
            group=None if groups is None else str(groups[index]),
            part=None if split is None else str(split[index]),
        )
        for index, image in enumerate(images)
    ]
    return build_dataset(rows, source=source, positive=positive, seed=seed)

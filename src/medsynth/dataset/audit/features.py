"""Facts about an image that say nothing about disease, as columns from which a label might be guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.survey import THUMB

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = ["name_pattern", "shortcut_features"]

_RING = 2
_COMMON = 20


def shortcut_features(readable: Dataset, survey: Survey) -> dict[str, NDArray[np.float64]]:
    """Columns (m, k) of each kind of fact that differs between images.

    Args:
        readable: The table of the survey's rows.
        survey: What was seen of each, (m,).
    """
    height, width = survey.sizes.T.astype(np.float64)
    pixels = height * width
    size = np.array([np.nan if file.size is None else file.size for file in survey.files], np.float64)
    thumbs = survey.thumbs.reshape(-1, THUMB, THUMB)
    ring = np.ones((THUMB, THUMB), np.bool_)
    ring[_RING:-_RING, _RING:-_RING] = False
    border = thumbs[:, ring].astype(np.float32)
    names = [name_pattern(name, readable.classes) for name in readable.names]
    columns = {
        "file-size": np.stack([size, size / pixels], axis=1),
        "file-format": _categories([file.format for file in survey.files]),
        "exif": _categories([file.metadata for file in survey.files]),
        "file-name": _categories(names),
        "image-size": np.stack([height, width, pixels], axis=1),
        "aspect": (width / height)[:, None],
        "bit-depth": np.stack([survey.deep, survey.colour], axis=1).astype(np.float64),
        "border": np.column_stack([survey.frames, border.mean(axis=1), border.std(axis=1)]),
        "brightness": thumbs.mean(axis=(1, 2))[:, None],
    }
    kept = {
        name: values[:, np.ptp(values, axis=0) > 0] for name, values in columns.items() if np.isfinite(values).all()
    }
    return {name: values for name, values in kept.items() if values.shape[1]}


def name_pattern(name: str, classes: Sequence[str]) -> str:
    """The shape of a file name: names of classes left out, each number a #, other text as it is.

    >>> name_pattern("test/covid/Covid-78.jpg", ("covid", "non-covid"))
    '-#.jpg'
    """
    pattern = PurePosixPath(name).name.casefold()
    for label in sorted(classes, key=len, reverse=True):
        if not label.isdecimal():
            pattern = pattern.replace(label.casefold(), "")
    # Not even the width of a number counts: it grows along any numbering, and classes may lie one behind the other.
    return re.sub("[0-9]+", "#", pattern)


def _categories(values: Sequence[str]) -> NDArray[np.float64]:
    """Indicator columns (m, k) of the commonest values."""
    common = [value for value, _ in Counter(values).most_common(_COMMON)]
    return np.array([[value == each for each in common] for value in values], np.float64)

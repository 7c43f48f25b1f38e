"""NumPy archives that ``medsynth generate`` writes: images, labels and class names in one ``.npz``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.arrays import from_arrays
from medsynth.dataset.medmnist import load_medmnist
from medsynth.errors import DataError

if TYPE_CHECKING:
    from medsynth.dataset.table import Dataset

__all__ = ["load_archive"]

_GENERATED = ("images", "labels", "classes", "index")


def load_archive(path: Path, *, positive: str | None = None, seed: int = 0) -> Dataset:
    """Load a ``.npz``: one that medsynth generated, else as a MedMNIST archive.

    Raises:
        DataError: It is neither, or is damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if not set(_GENERATED) <= set(archive.files):
                return load_medmnist(path, positive=positive, seed=seed)
            images, labels, classes, index = (archive[name] for name in _GENERATED)
        names = [f"{number:08d}.png" for number in index.tolist()]
        return from_arrays(
            images, classes[labels].tolist(), names=names, positive=positive, seed=seed, source=path.name
        )
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise their own kinds on damaged files.
        raise DataError(f"{path.name}: cannot be read as a NumPy .npz archive ({error}).") from error

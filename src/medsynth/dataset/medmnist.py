"""MedMNIST archives (https://medmnist.com): one ``.npz`` with images and labels of each part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.rows import Row, build_dataset
from medsynth.errors import DataError

if TYPE_CHECKING:
    from medsynth.dataset.table import Dataset

__all__ = ["load_medmnist"]

_PARTS = {"train": "train", "val": "validation", "test": "test"}


def load_medmnist(path: Path, *, positive: str | None = None, seed: int = 0) -> Dataset:
    """Load ``{train,val,test}_images`` (n, h, w) or (n, h, w, 3) and ``_labels`` (n, 1) or (n,); val may be absent.

    Classes are called by their numbers, as the archive has no names.

    Raises:
        DataError: Not such an archive, images of three dimensions, several labels per image, or as
            :func:`medsynth.dataset.rows.build_dataset`.
    """
    source = path.name
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files if key.endswith(("_images", "_labels"))}
    except Exception as error:  # zipfile, zlib and numpy raise their own kinds on damaged files.
        raise DataError(f"{source}: cannot be read as a NumPy .npz archive ({error}).") from error
    needed = [f"{part}_{kind}" for part in ("train", "test") for kind in ("images", "labels")]
    if not set(needed) <= arrays.keys():
        raise DataError(
            f"{source}: a MedMNIST archive must hold {', '.join(needed)}. Got: {', '.join(arrays) or 'none of them'}."
        )
    rows: list[Row] = []
    for key, part in _PARTS.items():
        if f"{key}_images" in arrays:
            images = arrays[f"{key}_images"]
            labels = _labels(arrays.get(f"{key}_labels"), len(images), f"{source}: {key}_labels")
            if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)) or images.dtype.kind not in "iuf":
                raise DataError(
                    f"{source}: {key}_images must be numbers of shape (n, h, w) or (n, h, w, 3). "
                    f"Got {images.dtype} {images.shape}; volumes are not supported."
                )
            rows += [
                Row(name=f"{key}/{index:06d}.png", image=image, label=str(label), part=part)
                for index, (image, label) in enumerate(zip(images, labels, strict=True))
            ]
    return build_dataset(rows, source=source, positive=positive, seed=seed)


def _labels(labels: np.ndarray | None, count: int, what: str) -> list[int]:
    if labels is None or labels.dtype.kind not in "iu" or labels.shape not in {(count,), (count, 1)}:
        got = "nothing" if labels is None else f"{labels.dtype} {labels.shape}"
        several = labels is not None and labels.ndim == 2 and labels.shape[1] > 1
        hint = " Sets with several labels per image are not supported: choose one label per image." if several else ""
        raise DataError(f"{what} must be integers of shape ({count}, 1), one class per image. Got {got}.{hint}")
    return [int(label) for label in labels.ravel()]

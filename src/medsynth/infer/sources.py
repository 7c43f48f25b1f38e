"""Which images to classify, and what to call them in the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.listing import list_folder
from medsynth.dataset.rows import natural_key
from medsynth.dataset.table import Dataset
from medsynth.errors import DataError

if TYPE_CHECKING:
    from medsynth.images import ImageSource

__all__ = ["Sources", "gather"]


@dataclass(frozen=True, eq=False, slots=True)
class Sources:
    """Images in the order of the results, with the name of each."""

    images: tuple[ImageSource, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def gather(sources: str | Path | Dataset | Iterable[ImageSource]) -> Sources:
    """List the images of a folder, or take them as they are given.

    Args:
        sources: A folder (walked to its leaves, natural order: 9 before 10), an image file, a data set, or paths and
            arrays.

    Returns:
        Names are POSIX paths relative to the folder, the names of a data set, single paths as they were given, and
        ``array/0000`` for arrays.

    Raises:
        DataError: Nothing is there, or the folder holds no image.
    """
    if isinstance(sources, Dataset):
        return Sources(sources.images, sources.names)
    if not isinstance(sources, (str, Path)):
        listed = tuple(sources)
        if not listed:
            raise DataError("no images to classify: the list is empty.")
        names = (f"array/{i:04d}" if isinstance(x, np.ndarray) else Path(x).as_posix() for i, x in enumerate(listed))
        return Sources(listed, tuple(names))
    root = Path(sources)
    if root.is_file():
        return Sources((root,), (root.name,))
    if not root.is_dir():
        raise DataError(f"{root}: no such folder or image. Give a folder with images, or one image.")
    found = sorted(((path.relative_to(root).as_posix(), path) for path in _walk(root, set())), key=_by_name)
    if not found:
        raise DataError(
            f"{root}: no images in this folder or below it. Give a folder that holds PNG, JPEG or DICOM files."
        )
    return Sources(tuple(path for _, path in found), tuple(name for name, _ in found))


def _by_name(entry: tuple[str, Path]) -> list[list[str | int]]:
    return natural_key(entry[0])


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen:  # A link back to a folder above.
        return
    seen.add(real)
    listing = list_folder(folder)
    yield from listing.images
    for inner in listing.folders:
        yield from _walk(inner, seen)

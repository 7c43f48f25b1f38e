"""Which images to classify, and what to call them in the results."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from medsynth.dataset.listing import scan_folder
from medsynth.dataset.manifest import locate
from medsynth.dataset.rows import natural_key, some
from medsynth.dataset.table import Dataset
from medsynth.errors import DataError

if TYPE_CHECKING:
    from medsynth.images import ImageSource

__all__ = ["Sources", "gather"]


@dataclass(frozen=True, eq=False, slots=True)
class Sources:
    """Images in the order of the results, with the name of each."""

    images: Sequence[ImageSource]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def gather(sources: str | Path | Dataset | Iterable[ImageSource]) -> Sources:
    """List the images of a folder, or take them as they are given.

    Args:
        sources: A folder (walked to its leaves, natural order: 9 before 10), a CSV with a column ``path`` (absolute, or
            relative to the CSV; other columns are ignored), an image file, a data set, or paths and arrays.

    Returns:
        Names are POSIX paths relative to the folder, the cells of a CSV, the names of a data set, single paths as they
        were given, and ``array/0000`` for arrays.

    Raises:
        DataError: Nothing is there, the folder holds no image, or the CSV has no column ``path`` or no row.
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
        return _read_csv(root) if root.suffix.lower() == ".csv" else Sources((root,), (root.name,))
    if not root.is_dir():
        raise DataError(f"{root}: no such folder or image. Give a folder with images, a CSV, or one image.")
    found = tuple(sorted(_walk(root, "", frozenset()), key=natural_key))
    if not found:
        raise DataError(
            f"{root}: no images in this folder or below it. Give a folder that holds PNG, JPEG or DICOM files."
        )
    return Sources(_Files(lambda name: root / name, found), found)


class _Files(Sequence[Path]):
    """Paths made when asked for: a path takes more memory than its name, and lists may hold millions."""

    def __init__(self, locate: Callable[[str], Path], names: Sequence[str]) -> None:
        self._locate = locate
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        if isinstance(index, slice):
            return _Files(self._locate, self._names[index])
        return self._locate(self._names[index])


def _read_csv(path: Path) -> Sources:
    """The files in the column ``path``, in the order of the rows; one that does not exist is met when it is decoded."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [cell.strip().lower() for cell in next(reader, [])]
            if header.count("path") != 1:
                raise DataError(
                    f"{path}: a CSV of images must have one column path, separated by commas. "
                    f"Got: {some(header, limit=8) or 'an empty file'}."
                )
            column = header.index("path")
            cells = tuple(row[column] for row in reader if len(row) > column and row[column].strip())
    except UnicodeDecodeError:
        raise DataError(f"{path}: a CSV must be UTF-8 text. Save it again as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}).") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if not cells:
        raise DataError(f"{path}: no images to classify: the CSV has only its header.")
    folder = path.absolute().parent
    return Sources(_Files(lambda cell: locate(folder, cell), cells), cells)


def _walk(folder: Path, above: str, inside: frozenset[Path]) -> Iterator[str]:
    """Names below a folder; ``inside`` are the folders on the way to it, so that only a link back to one ends there."""
    real = folder.resolve()
    if real in inside:
        return
    for kind, entry in scan_folder(folder):
        if kind == "image":
            yield above + entry
        elif kind == "folder":
            yield from _walk(folder / entry, f"{above}{entry}/", inside | {real})

"""From what a user names to a :class:`~medsynth.dataset.table.Dataset`."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path

from medsynth.dataset.archive import load_archive
from medsynth.dataset.arrays import from_arrays
from medsynth.dataset.folder import load_folder
from medsynth.dataset.manifest import load_manifest
from medsynth.dataset.phantom import make_phantom
from medsynth.dataset.table import Dataset
from medsynth.errors import DataError

__all__ = ["load_dataset"]


def load_dataset(data: str | Path | Dataset, *, positive: str | None = None, seed: int = 0) -> Dataset:
    """Load a data set, lazily: no pixel is decoded.

    Args:
        data: A folder (``CLASS/*``; or ``train/CLASS/*``, ``test/CLASS/*`` and optionally ``validation/CLASS/*``; or
            images, DICOM too, with a CSV), a CSV with columns path,label[,group,split], a ``.npz`` of MedMNIST or of
            ``medsynth generate``, the word
            ``phantom`` (say ``./phantom`` for a folder of that name), or a :class:`Dataset`.
        positive: Positive class of a binary task; by default the last one in natural order.
        seed: Of the split by group, where the data have groups and no test part; and of the phantom's pixels.

    Returns:
        Rows in natural order of their names. Without a test part they are split 70/15/15, by group where groups are
        known, else in blocks of consecutive names; with one, 15 % of the training rows become validation likewise.

    Raises:
        DataError: It does not exist, has another layout, or is no data set that can be learnt from.
    """
    if isinstance(data, Dataset):
        return data if positive is None else replace(data, positive=positive)
    if data == "phantom":
        return _phantom(positive, seed)
    path = Path(data)
    if path.is_dir():
        return load_folder(Path(os.path.normpath(path.absolute())), positive=positive, seed=seed)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.{_suggest(path)}")
    if path.suffix.lower() == ".csv":
        return load_manifest(path, positive=positive, seed=seed)
    if path.suffix.lower() == ".npz":
        return load_archive(path, positive=positive, seed=seed)
    raise DataError(
        f"{path}: a data set must be a folder, a .csv, a MedMNIST .npz or the word phantom. "
        f"Got a {path.suffix or 'suffixless'} file."
    )


def _phantom(positive: str | None, seed: int) -> Dataset:
    drawn = make_phantom(seed=seed)
    return from_arrays(
        drawn.images,
        [drawn.classes[label] for label in drawn.labels],
        groups=drawn.groups,
        names=drawn.names,
        positive=positive,
        seed=seed,
        source="phantom",
    )


def _suggest(path: Path) -> str:
    try:
        beside = [entry.name for entry in path.absolute().parent.iterdir()]
    except OSError:
        beside = []
    close = difflib.get_close_matches(path.name, [*beside, "phantom"], n=1)
    return f" Did you mean '{path.with_name(close[0]) if close[0] in beside else close[0]}'?" if close else ""

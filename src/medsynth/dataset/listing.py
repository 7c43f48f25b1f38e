"""What lies in a folder, without the litter that operating systems leave there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medsynth.errors import DataError
from medsynth.images import IMAGE_SUFFIXES, is_dicom

__all__ = ["Listing", "list_folder", "scan_folder"]

_LITTER = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"})


@dataclass(frozen=True, slots=True)
class Listing:
    """Visible entries of one folder, each kind sorted by name."""

    folders: tuple[Path, ...]
    images: tuple[Path, ...]
    others: tuple[Path, ...]


def list_folder(folder: Path) -> Listing:
    """List one folder, not its subfolders; hidden files and litter (``__MACOSX``, ``Thumbs.db``) are passed over.

    A file is an image if its suffix says so, or if it has another suffix or none and starts as DICOM does.

    Raises:
        DataError: The folder cannot be read, or a name in it is not valid UTF-8.
    """
    found: dict[str, list[Path]] = {"folder": [], "image": [], "other": []}
    for kind, name in scan_folder(folder):
        found[kind].append(folder / name)
    return Listing(*(tuple(entries) for entries in found.values()))


def scan_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """:func:`list_folder` one entry at a time: its kind (``folder``, ``image`` or ``other``) and its name.

    A path takes several times the memory of a name, and a folder may hold millions.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error.strerror or error}).") from error
    for name in names:
        if name.startswith(".") or name.lower() in _LITTER:
            continue
        if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise DataError(f"{folder}: the name {name!a} is not valid UTF-8. Rename it.")
        if os.path.isdir(os.path.join(folder, name)):  # noqa: PTH112, PTH118 - as above
            yield "folder", name
        elif os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES or is_dicom(folder / name):  # noqa: PTH122 - as above
            yield "image", name
        else:
            yield "other", name

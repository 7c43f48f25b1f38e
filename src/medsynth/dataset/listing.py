"""What lies in a folder, without the litter that operating systems leave there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medsynth.errors import DataError
from medsynth.images import IMAGE_SUFFIXES, is_dicom

__all__ = ["Listing", "list_folder"]

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
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read ({error.strerror or error}).") from error
    folders: list[Path] = []
    images: list[Path] = []
    others: list[Path] = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _LITTER:
            continue
        if not entry.name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in entry.name):
            raise DataError(f"{folder}: the name {entry.name!a} is not valid UTF-8. Rename it.")
        if entry.is_dir():
            folders.append(entry)
        elif entry.suffix.lower() in IMAGE_SUFFIXES or is_dicom(entry):
            images.append(entry)
        else:
            others.append(entry)
    return Listing(tuple(folders), tuple(images), tuple(others))

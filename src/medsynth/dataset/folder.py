"""Folders: ``CLASS/*`` or ``train/CLASS/*`` with ``test/CLASS/*`` and optionally ``validation/CLASS/*``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from medsynth.dataset.listing import Listing, list_folder
from medsynth.dataset.manifest import find_manifest, load_manifest
from medsynth.dataset.rows import PART_NAMES, Row, build_dataset, counted, some
from medsynth.dataset.table import Dataset, Skipped
from medsynth.errors import DataError

__all__ = ["load_folder"]

_LAYOUTS = (
    "It must hold one folder per class with the images in it (CLASS/*.png), or train/CLASS/* and test/CLASS/*, "
    "or a CSV with the columns path,label"
)


def load_folder(root: Path, *, positive: str | None = None, seed: int = 0) -> Dataset:
    """Load a folder; a CSV with columns path and label in it takes precedence over its layout.

    Raises:
        DataError: The folder is empty or has another layout, a class folder is empty, or as
            :func:`medsynth.dataset.rows.build_dataset`.
    """
    source = root.resolve().name or root.as_posix()
    top = list_folder(root)
    if (manifest := find_manifest(top.others, source)) is not None:
        return load_manifest(manifest, source=source, positive=positive, seed=seed)
    skipped = [Skipped(image.name, "lies beside the class folders, so it has no label") for image in top.images]
    parts = _part_folders(top, source)
    if parts:
        skipped += [
            Skipped(f"{other.name}/", f"lies beside {some(folder.name for folder in parts.values())} and is not read")
            for other in top.folders
            if other not in parts.values()
        ]
        classes: dict[Path, tuple[str | None, Listing]] = {
            folder: (part, listing)
            for part, part_folder in parts.items()
            for folder, listing in _class_folders(list_folder(part_folder), f"{source}/{part_folder.name}").items()
        }
    else:
        if not any(list_folder(folder).images for folder in top.folders):
            raise DataError(_explain(top, source))
        classes = {folder: (None, listing) for folder, listing in _class_folders(top, source).items()}
    rows: list[Row] = []
    for folder, (part, listing) in classes.items():
        rows += [
            Row(name=_name(image, root), image=image, label=folder.name.strip(), part=part) for image in listing.images
        ]
        skipped += [
            Skipped(f"{_name(inner, root)}/", "a folder inside a class folder is not read") for inner in listing.folders
        ]
    return build_dataset(rows, source=source, positive=positive, seed=seed, skipped=skipped)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _part_folders(top: Listing, source: str) -> dict[str, Path]:
    """Folders named train, validation or test (or alike), by part; empty where these names mean nothing special."""
    parts: dict[str, Path] = {}
    for folder in top.folders:
        part = PART_NAMES.get(folder.name.lower())
        if part is None:
            continue
        if part in parts:
            raise DataError(
                f"{source}: both {parts[part].name}/ and {folder.name}/ are the {part} part. Keep one of them."
            )
        if not list_folder(folder).folders:
            raise DataError(
                f"{source}: {folder.name}/ must hold one folder per class. Got images or nothing directly in it. "
                "Sort them into class folders, or list them in a CSV with the columns path,label,split."
            )
        parts[part] = folder
    return parts


def _class_folders(listing: Listing, source: str) -> dict[Path, Listing]:
    """Every folder in the listing with what it holds; one without images is a mistake that would go unseen."""
    classes = {folder: list_folder(folder) for folder in listing.folders}
    if empty := [folder.name for folder, inner in classes.items() if not inner.images]:
        raise DataError(
            f"{source}: class folders must hold images directly. Without any: {some(empty)}. "
            "Put their images there, or remove them."
        )
    return classes


def _explain(top: Listing, source: str) -> str:
    """Why a folder without labelled images is none of the layouts."""
    if top.images:
        return f"{source}: has {counted(len(top.images), 'image')} but no class folders. {_LAYOUTS}."
    if inside := list(_data_sets_inside(top, source)):
        return f"{source}: is not a data set itself, but seems to hold {len(inside)}. Name one: {some(inside)}."
    if files := [path.name for path in top.others if path.suffix.lower() in {".npz", ".csv", ".zip"}]:
        return f"{source}: has no class folders, but files: {some(files)}. Name the .npz or .csv itself; unpack a .zip."
    return f"{source}: no images found. {_LAYOUTS}."


def _data_sets_inside(top: Listing, place: str, depth: int = 2) -> Iterator[str]:
    """Folders below that look like a data set, for a user who named the folder above it."""
    for folder in top.folders:
        inner = list_folder(folder)
        here = f"{place}/{folder.name}"
        names = {entry.name.lower() for entry in inner.folders}
        if names & PART_NAMES.keys() or any(list_folder(entry).images for entry in inner.folders):
            yield here
        elif depth > 0:
            yield from _data_sets_inside(inner, here, depth - 1)

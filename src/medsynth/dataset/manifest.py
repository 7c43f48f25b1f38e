"""CSV manifests: columns path and label, optionally group and split; other columns are ignored."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from medsynth.dataset.rows import PART_NAMES, Row, build_dataset, counted, some
from medsynth.dataset.table import CSV_COLUMNS, Dataset, Skipped
from medsynth.errors import DataError

__all__ = ["find_manifest", "load_manifest", "locate"]


_SHARD = re.compile(r"manifest-\d{8,}-\d{8,}\.csv")
_SHARD_COLUMNS = {"path", "label", "index", "seed", "model", "synthetic"}
"""Names and columns of the manifests that ``medsynth generate`` leaves in a folder, one for each shard."""


def find_manifest(files: Iterable[Path], source: str) -> tuple[Path, ...] | None:
    """The one CSV among some files whose header has the columns path and label, or all shards of a generator.

    Returns:
        ``None`` if there is none.

    Raises:
        DataError: Several have these columns, and not all are shards.
    """
    headers = {path: set(_peek_header(path)) for path in files if path.suffix.lower() == ".csv"}
    found = {path: header for path, header in headers.items() if {"path", "label"} <= header}
    shards = [path for path, header in found.items() if _SHARD.fullmatch(path.name) and header >= _SHARD_COLUMNS]
    if len(found) > 1 and len(shards) < len(found):
        raise DataError(
            f"{source}: several CSV files have the columns path and label: {some(path.name for path in found)}. "
            "Name the one to use."
        )
    return tuple(found) or None


def load_manifest(
    path: Path | tuple[Path, ...], *, source: str | None = None, positive: str | None = None, seed: int = 0
) -> Dataset:
    """Load a CSV (UTF-8, comma-separated, with a header), or several of one folder as if they were one.

    A row that stands in several of them counts once. Paths are relative to the CSV's folder, or absolute. Rows whose
    file is missing are listed in ``skipped``. A column that is blank in every row counts as absent. Names are relative
    to the CSV's folder where every image lies inside it, else to the deepest folder that holds all images; on several
    Windows drives they are whole.

    Raises:
        DataError: Not such a CSV; a needed column is missing; a cell is blank; a path appears twice; no file exists; a
            part has an unknown name; or as :func:`medsynth.dataset.rows.build_dataset`.
    """
    paths = path if isinstance(path, tuple) else (path,)
    source = source or paths[0].name
    if len(paths) == 1:
        table = _read_table(paths[0], source)
    else:  # Shards may overlap; within one CSV a row that stands twice is a mistake.
        shards = (_read_table(each, f"{source}/{each.name}") for each in paths)
        table = list({tuple(cells.items()): cells for shard in shards for cells in shard}.values())
    # Normalised, not resolved: names follow the links that the user laid out.
    folder = Path(os.path.normpath(paths[0].absolute().parent))
    images = [locate(folder, cells["path"]) for cells in table]
    if repeated := [image.name for image, count in Counter(images).items() if count > 1]:
        raise DataError(
            f"{source}: {counted(len(repeated), 'file')} listed more than once: {some(repeated)}. Keep one row of each."
        )
    root = _root(folder, images)
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for image, cells in zip(images, table, strict=True):
        name = (image if root is None else image.relative_to(root)).as_posix()
        if image.is_file():
            part = PART_NAMES[cells["split"].lower()] if "split" in cells else None
            rows.append(Row(name=name, image=image, label=cells["label"], group=cells.get("group"), part=part))
        else:
            skipped.append(Skipped(name, "listed in the CSV, but there is no such file"))
    if not rows:
        raise DataError(
            f"{source}: none of the {len(skipped)} files it lists exists: {some(entry.name for entry in skipped)}. "
            f"Paths must be absolute or relative to the CSV's folder ({folder})."
        )
    return build_dataset(rows, source=source, positive=positive, seed=seed, skipped=skipped)


def _root(folder: Path, images: list[Path]) -> Path | None:
    """The folder that names are relative to; ``None`` where images lie on several Windows drives."""
    if all(image.is_relative_to(folder) for image in images):
        return folder
    try:
        return Path(os.path.commonpath([image.parent for image in images]))
    except ValueError:
        return None


def locate(folder: Path, cell: str) -> Path:
    """The file that a path cell means; also as written on Windows or with spaces around it."""
    exact = Path(os.path.normpath(folder / cell))
    return exact if exact.exists() else Path(os.path.normpath(folder / cell.strip().replace("\\", "/")))


def _peek_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            return _header(next(csv.reader(stream), []))
    except (OSError, csv.Error):
        return []


def _header(cells: Iterable[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _read_table(path: Path, source: str) -> list[dict[str, str]]:
    """Known columns of every row that is not blank; every row has the same columns, and no cell is empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = _header(next(reader, []))
            numbered = [(reader.line_num, cells) for cells in reader]
    except UnicodeDecodeError:
        raise DataError(f"{source}: a CSV must be UTF-8 text. Save it again as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{source}: cannot be read as CSV ({error}).") from error
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror or error}).") from error
    if not {"path", "label"} <= set(header):
        other = len(header) == 1 and {";", "\t"} & set(header[0])
        hint = "Separate the columns by commas." if other else "Rename the columns in its first line."
        raise DataError(
            f"{source}: a CSV must have the columns path and label (and may have group and split). "
            f"Got: {some(header, limit=8) or 'an empty file'}. {hint}"
        )
    if repeated := [name for name in CSV_COLUMNS if header.count(name) > 1]:
        raise DataError(f"{source}: the column '{repeated[0]}' appears more than once. Keep one.")
    lines = {line: cells for line, cells in numbered if any(cell.strip() for cell in cells)}
    if not lines:
        raise DataError(f"{source}: a CSV must have a row for each image. Got only its header.")
    if ragged := [line for line, cells in lines.items() if len(cells) != len(header)]:
        raise DataError(
            f"{source}: every row must have {len(header)} cells, as the header. Line {ragged[0]} has "
            f"{len(lines[ragged[0]])}. Put names that contain commas in quotes."
        )
    where = {name: header.index(name) for name in CSV_COLUMNS if name in header}
    columns = {name: [cells[at] for cells in lines.values()] for name, at in where.items()}
    columns = {name: cells if name == "path" else [cell.strip() for cell in cells] for name, cells in columns.items()}
    columns = {name: cells for name, cells in columns.items() if any(cells) or name in {"path", "label"}}
    _check_cells(columns, list(lines), source)
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _check_cells(columns: dict[str, list[str]], lines: list[int], source: str) -> None:
    for name, cells in columns.items():
        if blank := [line for line, cell in zip(lines, cells, strict=True) if not cell.strip()]:
            hint = ", or remove the column" if name in {"group", "split"} else ""
            raise DataError(
                f"{source}: {counted(len(blank), 'row')} without a {name} (the first in line {blank[0]}). "
                f"Fill it in{hint}."
            )
    for line, cell in zip(lines, columns.get("split", ()), strict=False):
        if cell.lower() not in PART_NAMES:
            raise DataError(f"{source}: split must be train, validation or test. Got '{cell}' in line {line}.")

"""Small data sets, made on the spot."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import Dataset


@pytest.fixture
def picture():
    """Write a random grey image, different for each path, and return the path."""

    def write(path: Path, size: tuple[int, int] = (12, 10)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list(str(path).encode()))
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def classes(tmp_path, picture):
    """A folder ``scans`` of CLASS/*.png with so many images of each class."""

    def make(root: str = "scans", **counts: int) -> Path:
        for name, count in counts.items():
            for index in range(1, count + 1):
                picture(tmp_path / root / name / f"slice-{index}.png")
        return tmp_path / root

    return make


@pytest.fixture
def manifest(tmp_path, picture):
    """A CSV ``scans/labels.csv`` from rows; images are written unless a row's path contains ``missing``."""

    def make(header: str, *rows: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "scans" / "labels.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
        columns = [name.strip().lower() for name in header.split(",")]
        if "path" in columns:
            for cells in csv.reader(rows):
                place = cells[columns.index("path")].strip().replace("\\", "/") if len(cells) == len(columns) else ""
                if place and "missing" not in place:
                    picture(path.parent / place)
        return path

    return make


@pytest.fixture
def arrays():
    """A data set of random arrays in memory."""

    def make(count: int = 12, **columns) -> Dataset:
        rng = np.random.default_rng(3)
        labels = np.arange(count) % 2
        given = {
            "images": tuple(rng.integers(0, 256, (count, 9, 8), np.uint8)),
            "names": tuple(f"set/{index:03d}.png" for index in range(count)),
            "labels": labels.astype(np.int64),
            "classes": ("clear", "ill"),
            "groups": None,
            "split": ("train",) * (count - 4) + ("validation",) * 2 + ("test",) * 2,
            "positive": "ill",
            "source": "set",
        }
        return Dataset(**(given | columns))

    return make

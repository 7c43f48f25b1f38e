"""Tables of predictions on disk, written from a stream: no more than a block of rows is in memory.

Columns of CSV and Parquet: ``path``, ``predicted``, then ``probability_<class>`` for each class in order. A line of
JSONL has ``path``, ``predicted`` and ``probabilities`` (an object by class). ``FILE.meta.json`` beside it, schema 1:
``model``, ``device``, ``provider``, ``provider_options``, ``nodes`` (per provider), ``versions``, ``batches``,
``classes``, ``positive``, ``threshold``, ``rows`` and ``quarantine`` (``name`` and ``reason`` of each image that has no
row). ``batches`` has ``sizes`` (how often the model ran at which batch size), ``wasted_rows`` (padding and images
without a row) and their share ``waste``. Where :func:`~medsynth.infer.predict_folder` wrote it also ``identity``:
what work it is, for ``resume``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medsynth.errors import ConfigError, MissingExtraError
from medsynth.metrics import decide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.artifact import Metadata

__all__ = ["SCHEMA", "Block", "Decision", "Writer", "choose_writer", "meta_path"]

SCHEMA = 1
_ROW_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class Decision:
    """From probabilities to classes.

    Attributes:
        classes: Class names in column order.
        positive: The positive class.
        threshold: The positive class is decided at or above it; ``None``: the largest probability wins.
    """

    classes: tuple[str, ...]
    positive: str
    threshold: float | None

    @classmethod
    def of(cls, metadata: Metadata) -> Decision:
        """The decision that a classifier's file says."""
        return cls(metadata.classes, metadata.positive, metadata.threshold)

    def __call__(self, probabilities: NDArray[np.float32]) -> tuple[str, ...]:
        """The class of each row of (n, classes)."""
        positive = self.classes.index(self.positive)
        decided = decide(probabilities, positive=positive, threshold=self.threshold)
        return tuple(self.classes[index] for index in decided.tolist())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"classes": list(self.classes), "positive": self.positive, "threshold": self.threshold}


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Some rows of a table: names, decided classes, and probabilities float32 (n, classes)."""

    names: tuple[str, ...]
    predicted: tuple[str, ...]
    probabilities: NDArray[np.float32]


Writer: TypeAlias = "Callable[[Iterable[Block], tuple[str, ...], Path], None]"
"""Writes blocks of rows over some classes to a path."""


def meta_path(path: str | Path) -> Path:
    """``FILE.meta.json`` beside ``FILE``."""
    return Path(f"{path}.meta.json")


def choose_writer(path: str | Path) -> Writer:
    """The writer for a file name, or the reason why there is none, before any work is done.

    Raises:
        ConfigError: The suffix is not .csv, .jsonl or .parquet.
        MissingExtraError: Parquet without the ``parquet`` extra.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise ConfigError(f"{path}: the table must end in {', '.join(_WRITERS)}. Got {suffix or 'no suffix'}.")
    if suffix == ".parquet":
        _import_pyarrow()
    return _WRITERS[suffix]


def _columns(classes: tuple[str, ...]) -> list[str]:
    return ["path", "predicted", *(f"probability_{name}" for name in classes)]


def _write_csv(blocks: Iterable[Block], classes: tuple[str, ...], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_columns(classes))
        for block in blocks:
            for name, predicted, row in zip(block.names, block.predicted, block.probabilities, strict=True):
                writer.writerow([name, predicted, *(str(value) for value in row)])


def _write_jsonl(blocks: Iterable[Block], classes: tuple[str, ...], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for block in blocks:
            for name, predicted, row in zip(block.names, block.predicted, block.probabilities, strict=True):
                # The shortest text that gives the float32 back, as in the CSV.
                probabilities = {label: float(str(value)) for label, value in zip(classes, row, strict=True)}
                line = {"path": name, "predicted": predicted, "probabilities": probabilities}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_parquet(blocks: Iterable[Block], classes: tuple[str, ...], path: Path) -> None:
    pa, parquet = _import_pyarrow()
    schema = pa.schema(
        [
            (name, pa.string() if place < 2 else pa.float32())  # path and predicted, then the probabilities
            for place, name in enumerate(_columns(classes))
        ]
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _row_groups(blocks, len(classes)):
            columns = [pa.array(group.names), pa.array(group.predicted), *map(pa.array, group.probabilities.T.copy())]
            writer.write_table(pa.table(columns, schema=schema))


def _row_groups(blocks: Iterable[Block], classes: int) -> Iterator[Block]:
    """The same rows in groups of one size, so that the bytes do not depend on how they came."""
    names: list[str] = []
    predicted: list[str] = []
    probabilities = np.empty((0, classes), np.float32)

    def cut(count: int) -> Block:
        nonlocal probabilities
        block = Block(tuple(names[:count]), tuple(predicted[:count]), probabilities[:count])
        del names[:count], predicted[:count]
        probabilities = probabilities[count:]
        return block

    waiting: list[NDArray[np.float32]] = []
    for block in blocks:
        names += block.names
        predicted += block.predicted
        waiting.append(block.probabilities)
        if len(names) >= _ROW_GROUP:
            probabilities, waiting = np.concatenate([probabilities, *waiting]), []
            while len(names) >= _ROW_GROUP:
                yield cut(_ROW_GROUP)
    probabilities = np.concatenate([probabilities, *waiting])
    if names:
        yield cut(len(names))


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("Writing a .parquet file", "parquet", missing="pyarrow") from None
    return pa, parquet


_WRITERS: dict[str, Writer] = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}

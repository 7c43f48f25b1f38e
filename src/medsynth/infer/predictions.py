"""A table of predictions, and the files it is written to.

Columns of CSV and Parquet: ``path``, ``predicted``, then ``probability_<class>`` for each class in order. A line of
JSONL has ``path``, ``predicted`` and ``probabilities`` (an object by class). ``FILE.meta.json`` beside it, schema 1:
``model``, ``device``, ``provider``, ``provider_options``, ``nodes`` (per provider), ``versions``, ``batches``,
``classes``, ``positive``, ``threshold``, ``rows`` and ``quarantine`` (``name`` and ``reason`` of each image that could
not be read). ``batches`` has ``sizes`` (how often the model ran at which batch size), ``wasted_rows`` (padding and
unreadable images) and their share ``waste``. Where :func:`~medsynth.infer.predict_folder` wrote it also ``identity``:
what work it is, for ``resume``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.errors import ConfigError, MissingExtraError
from medsynth.metrics import decide
from medsynth.outputs import atomic_write, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medsynth.dataset.table import Skipped

__all__ = ["Predictions", "check_table_path", "meta_path"]

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of images.

    Attributes:
        names: Name of each image that could be read, in input order.
        probabilities: float32 (n, classes).
        classes: Class names in column order.
        positive: The positive class.
        threshold: The positive class is decided at or above it; ``None``: the largest probability wins.
        skipped: Images that could not be read, and why.
        facts: How it was computed: model, device, provider, nodes per provider, versions, batches.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    positive: str
    threshold: float | None
    skipped: tuple[Skipped, ...]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def predicted(self) -> tuple[str, ...]:
        """The class decided for each image."""
        positive = self.classes.index(self.positive)
        decided = decide(self.probabilities, positive=positive, threshold=self.threshold)
        return tuple(self.classes[index] for index in decided.tolist())

    def write(self, path: str | Path) -> None:
        """Write the table, and ``FILE.meta.json`` beside it, atomically; the module's text gives the columns.

        Args:
            path: Ends in ``.csv``, ``.jsonl`` or ``.parquet``.

        Raises:
            ConfigError: Another suffix.
            MissingExtraError: Parquet without the ``parquet`` extra.
            OutputError: The folder cannot be written to, or the disk is full.
        """
        writer = check_table_path(path)
        # The table comes last: where it stands, its meta file stands too.
        write_json(meta_path(path), self._meta())
        with atomic_write(path) as temporary:
            writer(self, temporary)

    def _meta(self) -> dict[str, Any]:
        return {
            "schema": _SCHEMA,
            **self.facts,
            "classes": list(self.classes),
            "positive": self.positive,
            "threshold": self.threshold,
            "rows": len(self),
            "quarantine": [asdict(entry) for entry in self.skipped],
        }


def meta_path(path: str | Path) -> Path:
    """``FILE.meta.json`` beside ``FILE``."""
    return Path(f"{path}.meta.json")


def check_table_path(path: str | Path) -> Callable[[Predictions, Path], None]:
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


def _write_csv(table: Predictions, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_columns(table.classes))
        for name, predicted, row in zip(table.names, table.predicted, table.probabilities, strict=True):
            writer.writerow([name, predicted, *(str(value) for value in row)])


def _write_jsonl(table: Predictions, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for name, predicted, row in zip(table.names, table.predicted, table.probabilities, strict=True):
            # The shortest text that gives the float32 back, as in the CSV.
            probabilities = {label: float(str(value)) for label, value in zip(table.classes, row, strict=True)}
            line = {"path": name, "predicted": predicted, "probabilities": probabilities}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_parquet(table: Predictions, path: Path) -> None:
    pa, parquet = _import_pyarrow()
    columns = [pa.array(table.names), pa.array(table.predicted), *map(pa.array, table.probabilities.T.copy())]
    parquet.write_table(pa.table(dict(zip(_columns(table.classes), columns, strict=True))), path)


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("Writing a .parquet file", "parquet", missing="pyarrow") from None
    return pa, parquet


_WRITERS: dict[str, Callable[[Predictions, Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}

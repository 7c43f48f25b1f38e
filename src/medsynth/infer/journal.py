"""The diary of a long run: finished batches, one JSON line each, so that a killed run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from medsynth.dataset.table import Skipped
from medsynth.errors import ConfigError, OutputError
from medsynth.infer.classifier import Rows

__all__ = ["append_to", "differences", "journal_path", "read_journal"]


def journal_path(out: str | Path) -> Path:
    """``FILE.journal`` beside ``FILE``."""
    return Path(f"{out}.journal")


def differences(recorded: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """What makes recorded work another one than ``identity``; empty where they are the same."""
    return [name for name, value in identity.items() if recorded.get(name) != value]


def read_journal(path: Path, identity: Mapping[str, Any]) -> list[Rows]:
    """Finished batches of an earlier run of the same work; a torn last line is left out and cut off.

    Args:
        path: The journal; may be missing.
        identity: What makes two runs the same: model, inputs, batch size.

    Raises:
        ConfigError: The journal belongs to other work.
        OutputError: It cannot be read or cut.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{path}: the journal cannot be read ({error.strerror or error}).") from error
    lines = raw.split(b"\n")[:-1]  # Without its line break a line is torn.
    if not lines:
        return []
    try:
        recorded, *batches = (json.loads(line) for line in lines)
        different = differences(recorded, identity)
        done = [] if different else [_from_json(line) for line in batches]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is not a journal. Remove it, or run without --resume to start over.") from error
    if different:
        raise ConfigError(
            f"{path}: cannot resume, because this run has another {' and '.join(different)} than the journal. "
            "Run with the same arguments, or without --resume to start over."
        )
    try:
        with path.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines))
    except OSError as error:
        raise _not_written(path, error) from error
    return done


@contextmanager
def append_to(path: Path, identity: Mapping[str, Any], *, fresh: bool) -> Iterator[Journal]:
    """Open the journal for more batches, from its beginning if ``fresh``.

    Raises:
        OutputError: It cannot be written; batches already in it stay.
    """
    try:
        with path.open("w" if fresh else "a", encoding="utf-8") as file:
            journal = Journal(path, file)
            if file.tell() == 0:
                journal.write_line(dict(identity))
            yield journal
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _not_written(path, error) from error


class Journal:
    """An open journal."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file

    def add(self, rows: Rows) -> None:
        """Record a finished batch.

        Raises:
            OutputError: The disk is full.
        """
        self.write_line(
            {
                "start": rows.start,
                "stop": rows.stop,
                "indices": list(rows.indices),
                "probabilities": rows.probabilities.tolist(),
                "skipped": [asdict(entry) for entry in rows.skipped],
                "sizes": list(rows.sizes),
            }
        )

    def write_line(self, value: Mapping[str, Any]) -> None:
        """One JSON line, handed to the operating system at once: a killed process loses nothing that was recorded."""
        try:
            self._file.write(json.dumps(value, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise _not_written(self._path, error) from error


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: the journal cannot be written ({error.strerror or error}). "
        "Make room and run again with --resume: what it holds is kept."
    )


def _from_json(line: Mapping[str, Any]) -> Rows:
    indices = tuple(line["indices"])
    return Rows(
        start=line["start"],
        stop=line["stop"],
        indices=indices,
        probabilities=np.asarray(line["probabilities"], np.float32).reshape(len(indices), -1),
        skipped=tuple(Skipped(**entry) for entry in line["skipped"]),
        sizes=tuple(line["sizes"]),
    )

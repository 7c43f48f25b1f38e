"""The diary of a long run: finished batches, one JSON line each, so that a killed run goes on where it stopped.

It is also where results wait for the table, so that a run needs no more memory for more images.
"""

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
from medsynth.infer.tally import Rows

__all__ = ["append_to", "differences", "journal_path", "read_rows", "resume_at"]


def journal_path(out: str | Path) -> Path:
    """``FILE.journal`` beside ``FILE``."""
    return Path(f"{out}.journal")


def differences(recorded: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    """What makes recorded work another one than ``identity``; empty where they are the same."""
    return [name for name, value in identity.items() if recorded.get(name) != value]


def resume_at(path: Path, identity: Mapping[str, Any]) -> int:
    """Index of the first input that an earlier run of the same work did not finish; a torn last line is cut off.

    Args:
        path: The journal; may be missing.
        identity: What makes two runs the same: model, inputs, batch size.

    Raises:
        ConfigError: The journal belongs to other work.
        OutputError: It cannot be read or cut.
    """
    whole = stop = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                recorded = json.loads(line)
                if whole == 0:
                    _check_same(path, recorded, identity)
                elif (rows := _from_json(recorded)).start != stop:
                    raise ValueError("batches do not follow each other")
                else:
                    stop = rows.stop
                whole += len(line)
        with path.open("r+b") as file:
            file.truncate(whole)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise OutputError(f"{path}: the journal cannot be read or cut ({error.strerror or error}).") from error
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is not a journal. Remove it, or run without --resume to start over.") from error
    return stop


def _check_same(path: Path, recorded: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    if different := differences(recorded, identity):
        raise ConfigError(
            f"{path}: cannot resume, because this run has another {' and '.join(different)} than the journal. "
            "Run with the same arguments, or without --resume to start over."
        )


def read_rows(path: Path) -> Iterator[Rows]:
    """The finished batches, one after the other."""
    with path.open("rb") as file:
        next(file)
        for line in file:
            yield _from_json(json.loads(line))


@contextmanager
def append_to(path: Path, identity: Mapping[str, Any], *, fresh: bool) -> Iterator[Journal]:
    """Open the journal for more batches, from its beginning if ``fresh``.

    Raises:
        OutputError: It cannot be written; batches already in it stay.
    """
    try:
        with path.open("w" if fresh else "a", encoding="utf-8") as file:
            journal = Journal(path, file)
            if fresh:
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
        probabilities=np.asarray(line["probabilities"], np.float32).reshape(len(indices), -1 if indices else 0),
        skipped=tuple(Skipped(**entry) for entry in line["skipped"]),
        sizes=tuple(line["sizes"]),
    )

"""From a folder to a table on disk, resumable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError, DataError
from medsynth.infer.journal import append_to, differences, journal_path, read_journal
from medsynth.infer.predictions import check_table_path, meta_path
from medsynth.infer.sources import Sources, gather
from medsynth.outputs import ensure_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medsynth.dataset import Dataset
    from medsynth.images import ImageSource
    from medsynth.infer.classifier import Classifier
    from medsynth.infer.predictions import Predictions
    from medsynth.progress import OnProgress

__all__ = ["predict_folder"]


def predict_folder(
    model: Classifier,
    sources: str | Path | Dataset | Iterable[ImageSource],
    out: str | Path,
    *,
    batch_size: int = 32,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Predictions | None:
    """Classify images and write the table ``out`` with its ``.meta.json``.

    Every finished batch goes to ``OUT.journal``, which is removed when the table stands. After a kill, ``resume=True``
    goes on behind the last finished batch and ends with the bytes that an uninterrupted run writes.

    Args:
        model: The classifier.
        sources: As :meth:`Classifier.predict` takes them.
        out: A name in .csv, .jsonl or .parquet.
        batch_size: Images in one run, at least 1.
        resume: Use the journal of an earlier run, and leave a finished table alone.
        on_progress: Called after each batch with (inputs done, inputs in all, no figures).

    Returns:
        What was written; ``None`` where ``resume`` found the table finished.

    Raises:
        DataError: There is no image, or none could be read.
        ConfigError: Another suffix; or the journal or the finished table belongs to other work.
        OutputError: The folder cannot be written to, or the disk is full; finished batches are kept.
    """
    check_table_path(out)
    ensure_folder(Path(out).parent)
    gathered = gather(sources)
    identity = _identity(model, gathered, batch_size)
    journal_file = journal_path(out)
    if resume and Path(out).exists() and not journal_file.exists():
        _check_finished(out, identity)
        return None
    done = read_journal(journal_file, identity) if resume else []
    first = done[-1].stop if done else 0
    if on_progress is not None:
        on_progress(first, len(gathered), {})
    with append_to(journal_file, identity, fresh=not done) as journal:
        for rows in model.batches(gathered, batch_size=batch_size, first=first):
            journal.add(rows)
            done.append(rows)
            if on_progress is not None:
                on_progress(rows.stop, len(gathered), {})
    try:
        predictions = model.collect(gathered, done)
    except DataError:
        journal_file.unlink()  # It holds failures only, which must not outlive their cause.
        raise
    predictions = replace(predictions, facts={**predictions.facts, "identity": identity})
    predictions.write(out)
    journal_file.unlink()
    return predictions


def _identity(model: Classifier, sources: Sources, batch_size: int) -> dict[str, Any]:
    """What makes two runs the same work; of the images their names and sizes, so that none has to be read."""
    listed = [[name, _bytes(image)] for name, image in zip(sources.names, sources.images, strict=True)]
    return {
        "model": model.metadata.content_hash,
        "list of images": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "batch size": batch_size,
        "provider": model.session.provider,
    }


def _bytes(image: ImageSource) -> int | None:
    """Length of a file or an array; ``None`` for a lost file."""
    if isinstance(image, np.ndarray):
        return image.nbytes
    try:
        return Path(image).stat().st_size
    except OSError:
        return None


def _check_finished(out: str | Path, identity: dict[str, Any]) -> None:
    """A finished table is left alone, but it must not pass for other work."""
    try:
        different = differences(json.loads(meta_path(out).read_text(encoding="utf-8"))["identity"], identity)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        different = list(identity)
    if different:
        raise ConfigError(
            f"{out}: is there already, but from another {' and '.join(different)}. "
            "Choose another --out, or omit --resume to start over."
        )

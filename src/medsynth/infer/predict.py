"""From a folder to a table on disk, resumable, in memory that does not grow with the number of images."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError, DataError
from medsynth.infer.journal import append_to, differences, journal_path, read_rows, resume_at
from medsynth.infer.sources import Sources, gather
from medsynth.infer.table import SCHEMA, Block, Decision, choose_writer, meta_path
from medsynth.infer.tally import Tally
from medsynth.outputs import atomic_write, ensure_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from medsynth.dataset import Dataset, Skipped
    from medsynth.images import ImageSource
    from medsynth.infer.classifier import Classifier
    from medsynth.progress import OnProgress

__all__ = ["Written", "predict_folder"]


@dataclass(frozen=True, slots=True)
class Written:
    """What :func:`predict_folder` wrote.

    Attributes:
        path: The table.
        predicted: How many images each class was decided for, in the order of the file.
        skipped: Images that could not be read or got no finite answer, and why.
    """

    path: Path
    predicted: Mapping[str, int]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return sum(self.predicted.values())


def predict_folder(
    model: Classifier,
    sources: str | Path | Dataset | Iterable[ImageSource],
    out: str | Path,
    *,
    batch_size: int = 32,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Written | None:
    """Classify images and write the table ``out`` with its ``.meta.json``.

    Every finished batch goes to ``OUT.journal``, from which the table is made at the end. After a kill, ``resume=True``
    goes on behind the last finished batch and ends with the bytes that an uninterrupted run writes. In memory are the
    names of the images, those that have no row, and a few batches.

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
        DataError: There is no image, or none has a row.
        ConfigError: Another suffix; or the journal or the finished table belongs to other work.
        OutputError: The folder cannot be written to, or the disk is full; finished batches are kept.
    """
    choose_writer(out)
    ensure_folder(Path(out).parent)
    gathered = gather(sources)
    identity = _identity(model, gathered, batch_size)
    journal_file = journal_path(out)
    if resume and Path(out).exists() and not journal_file.exists():
        _check_finished(out, identity)
        return None
    first = resume_at(journal_file, identity) if resume else 0
    if on_progress is not None:
        on_progress(first, len(gathered), {})
    with append_to(journal_file, identity, fresh=first == 0) as journal:
        for rows in model.batches(gathered, batch_size=batch_size, first=first):
            journal.add(rows)
            if on_progress is not None:
                on_progress(rows.stop, len(gathered), {})
    try:
        written = _write(model, gathered, journal_file, Path(out), identity)
    except DataError:
        journal_file.unlink()  # It holds failures only, which must not outlive their cause.
        raise
    journal_file.unlink()
    return written


def _write(model: Classifier, sources: Sources, journal_file: Path, out: Path, identity: Mapping[str, Any]) -> Written:
    """Make the table of the journal."""
    decision, tally = Decision.of(model.metadata), Tally()
    predicted = Counter(dict.fromkeys(model.classes, 0))

    def blocks() -> Iterator[Block]:
        for rows in tally.counting(read_rows(journal_file)):
            if rows.indices:
                block = Block(
                    tuple(sources.names[index] for index in rows.indices),
                    decision(rows.probabilities),
                    rows.probabilities,
                )
                predicted.update(block.predicted)
                yield block

    with atomic_write(out) as temporary:
        choose_writer(out)(blocks(), model.classes, temporary)
        meta = {
            "schema": SCHEMA,
            **model.session.facts(),
            "batches": tally.batches(),
            "identity": identity,
            **decision.to_dict(),
            "rows": tally.images,
            "quarantine": [asdict(entry) for entry in tally.skipped],
        }
        # Before the table: where that stands, its meta file stands too.
        write_json(meta_path(out), meta)
    return Written(out, predicted, tuple(tally.skipped))


def _identity(model: Classifier, sources: Sources, batch_size: int) -> dict[str, Any]:
    """What makes two runs the same work; of the images their names and sizes, so that none has to be read."""
    digest = hashlib.sha256()
    for name, image in zip(sources.names, sources.images, strict=True):
        digest.update(json.dumps([name, _bytes(image)]).encode())
    return {
        "model": model.metadata.content_hash,
        "list of images": digest.hexdigest(),
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

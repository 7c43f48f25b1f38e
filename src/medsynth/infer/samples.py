"""Generated images before they have a place: which ones, what tells each from all others, and how it becomes a PNG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from PIL import Image, PngImagePlugin

from medsynth.artifact.philox import MAX_SEED, MAX_START, check_range, check_truncation
from medsynth.infer.batching import check_batch_size
from medsynth.infer.rejection import STRIDE, Rejection
from medsynth.outputs import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medsynth.infer.sampler import Sampler

__all__ = ["MARK", "Order", "Report", "Sample", "beside_the_model", "encode", "open_manifest"]

MARK = "synthetic"
"""Key of the PNG text chunk, and name of the NPZ entry, that says that images are no patient's."""

_DIGITS = 8
_WORKERS = 4

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Sample:
    """What tells one generated image from all others: model, seed, index and label, and truncation where it was used.

    ``classifier`` (content hash) and ``confidence`` say why it was chosen where others were rejected.
    """

    seed: int
    index: int
    label: str
    model: str
    truncation: float | None = None
    classifier: str | None = None
    confidence: float | None = None

    @property
    def place(self) -> int:
        """Which image of the order it is: the index, of the first try where there were several."""
        return self.index if self.classifier is None else self.index % STRIDE

    @property
    def tries(self) -> int:
        """How many samples were drawn for it."""
        return 1 + (self.index - self.place) // STRIDE

    @property
    def name(self) -> str:
        """The place, zero-padded, so that names sort as places do."""
        return padded(self.place)

    @property
    def file_name(self) -> str:
        """Of its image, in every container and manifest."""
        return f"{self.name}.png"

    def to_json(self) -> str:
        """The mark that images carry."""
        return json.dumps(self.facts())

    def facts(self) -> dict[str, Any]:
        """What is known of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


Report: TypeAlias = Callable[[list[Sample]], None]
"""Called with the samples of each batch that is done, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Samples ``start`` to ``start + count - 1`` of a seed, as they were ordered.

    Attributes:
        sampler: The generator.
        count: How many images, at least 1.
        label: A class name or its index; ``None``: the classes in turn (sample i has i mod classes).
        seed: 0 to 2**64 - 1.
        start: Index of the first sample, 0 to 2**63 - ``count``; with ``rejection``, to 2**40 - ``count``.
        batch_size: Images in one run, at least 1.
        truncation: Limit of the noise.
        rejection: Which images to take.
    """

    sampler: Sampler
    count: int
    label: str | int | None
    seed: int
    start: int
    batch_size: int
    truncation: float | None = None
    rejection: Rejection | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be delivered.

        Raises:
            ConfigError: No such class, or a number outside its range.
        """
        most = MAX_START if self.rejection is None else STRIDE
        check_range("seed", self.seed, 0, MAX_SEED)
        check_range("start", self.start, 0, most)
        check_range("count", self.count, 1, most - self.start)
        check_batch_size(self.batch_size)
        check_truncation(self.truncation)
        self.sampler.labels_for(0, self.label)
        if self.rejection is not None:
            self.rejection.outputs(self.sampler.classes)

    def batches(self) -> Iterator[list[Sample]]:
        """The samples, as many at a time as the model draws: those of a million images need not stand in memory.

        Where images are rejected, these are the first tries.
        """
        model, classes = self.sampler.metadata.content_hash, self.sampler.classes
        for first in range(0, self.count, self.batch_size):
            labels = self.sampler.labels_for(min(self.batch_size, self.count - first), self.label, self.start + first)
            yield [
                Sample(self.seed, self.start + first + row, classes[label], model, **self.knobs())
                for row, label in enumerate(labels.tolist())
            ]

    def draw(self, samples: list[Sample]) -> tuple[list[Sample], NDArray[np.uint8]]:
        """The images of one batch, uint8 (n, height, width, channels), and the samples that they came to be."""
        first = samples[0].place
        images, index = self.sampler.draw(
            self.sampler.labels_for(len(samples), self.label, first),
            first,
            seed=self.seed,
            batch_size=self.batch_size,
            truncation=self.truncation,
            rejection=self.rejection,
        )
        return [replace(sample, index=at) for sample, at in zip(samples, index, strict=True)], images

    def knobs(self) -> dict[str, Any]:
        """What was asked for beside the samples as they come; empty: nothing."""
        told = {} if self.truncation is None else {"truncation": self.truncation}
        return told if self.rejection is None else told | self.rejection.facts()

    def identity(self) -> dict[str, Any]:
        """What tells this order from others; the batch size does not."""
        return {
            **dict.fromkeys(("truncation", "classifier", "confidence")),
            **self.knobs(),
            "model": self.sampler.metadata.content_hash,
            "seed": self.seed,
            "label": None
            if self.label is None
            else self.sampler.classes[int(self.sampler.labels_for(1, self.label)[0])],
            "start": self.start,
            "count": self.count,
        }

    @property
    def span(self) -> str:
        """First index and the one behind the last, as they stand in file names."""
        return f"{padded(self.start)}-{padded(self.start + self.count)}"


def padded(index: int) -> str:
    """An index as names have it.

    >>> padded(42)
    '00000042'
    """
    return f"{index:0{_DIGITS}d}"


def encode(pixels: NDArray[np.uint8], sample: Sample) -> bytes:
    """One image, uint8 (height, width, channels), as PNG with its mark in a text chunk."""
    text = PngImagePlugin.PngInfo()
    text.add_text(MARK, sample.to_json())
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "png", pnginfo=text)
    return stream.getvalue()


def beside_the_model(batches: Iterable[Iterable[_Job]], work: Callable[[_Job], _Result]) -> Iterator[list[_Result]]:
    """The results of each batch of jobs, done by threads while the next batch is drawn."""
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        waiting: list[Future[_Result]] | None = None
        try:
            for batch in batches:
                working = [pool.submit(work, job) for job in batch]
                if waiting is not None:
                    yield [job.result() for job in waiting]
                waiting = working
            if waiting is not None:
                yield [job.result() for job in waiting]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def open_manifest(path: Path, order: Order) -> Iterator[Report]:
    """A CSV with the columns ``path``, ``label``, ``index``, ``seed``, ``model``, and what else was asked for.

    A row for each sample, and last the column ``synthetic``, ``true``.

    Yields:
        What adds the rows of a batch.

    Raises:
        OutputError: The disk is full.
    """
    names = ["label", "index", "seed", "model", *order.knobs()]
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", *names, MARK])

        def add(samples: list[Sample]) -> None:
            writer.writerows([s.file_name, *(getattr(s, name) for name in names), "true"] for s in samples)

        yield add

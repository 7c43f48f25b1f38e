"""The data set: a lazy table of images with class, group and part; pixels are decoded when asked for."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.fingerprint import fingerprint
from medsynth.errors import DataError, ImageError
from medsynth.images import ImageSource, ImageSpec, is_grey, load_image, suggest_window
from medsynth.outputs import atomic_write

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CSV_COLUMNS", "PARTS", "Dataset", "Decoded", "Skipped"]

PARTS = ("train", "validation", "test")
"""Parts of a data set. Models learn from ``train``, are chosen on ``validation``, and meet ``test`` once."""

CSV_COLUMNS = ("path", "label", "group", "split")
"""Columns of a manifest, in the order in which :meth:`Dataset.to_csv` writes them."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out, and why (one line)."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Decoded:
    """Pixels of a data set.

    Attributes:
        images: uint8 (m, height, width, channels), in the order of the table.
        labels: int64 (m,), class index of each image.
        names: Name of each image.
        groups: Group of each image, where the data set has groups.
        skipped: Rows of the table that could not be decoded.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    groups: tuple[str, ...] | None
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Dataset:
    """A lazy table of labelled images; rows are in natural order of their names.

    Attributes:
        images: Absolute path or array of each row, as :func:`medsynth.images.load_image` takes it.
        names: POSIX path of each row relative to the root of the data; unique.
        labels: int64 (n,), class index of each row.
        classes: Class names in natural order.
        groups: Patient or other unit that must stay in one part, of each row; ``None`` where unknown.
        split: Part of each row, one of :data:`PARTS`.
        positive: Positive class of a binary task.
        skipped: Rows and files that were left out when the table was made.
        source: How a person calls the data: a folder or file name, or ``phantom``; never an absolute path.

    Raises:
        DataError: Columns of different lengths, repeated names, an unknown part, label or positive class, or a group
            that lies in two parts.
    """

    images: tuple[ImageSource, ...]
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None
    split: tuple[str, ...]
    positive: str
    skipped: tuple[Skipped, ...] = ()
    source: str

    def __post_init__(self) -> None:
        columns = {"names": self.names, "labels": self.labels, "split": self.split, "groups": self.groups}
        for name, column in columns.items():
            if column is not None and len(column) != len(self.images):
                raise DataError(
                    f"{self.source}: {name} must have one entry per image, {len(self.images)}. Got {len(column)}."
                )
        if len(set(self.names)) < len(self.names):
            raise DataError(f"{self.source}: names of images must be unique.")
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise DataError(f"{self.source}: labels must be class indices from 0 to {len(self.classes) - 1}.")
        if unknown := set(self.split) - set(PARTS):
            raise DataError(f"{self.source}: parts must be among {', '.join(PARTS)}. Got {', '.join(sorted(unknown))}.")
        if self.positive not in self.classes:
            spelt = {name.lower(): name for name in self.classes}
            close = difflib.get_close_matches(self.positive.lower(), spelt, n=1)
            raise DataError(
                f"{self.source}: the positive class must be one of {', '.join(self.classes)}. Got '{self.positive}'."
                + (f" Did you mean '{spelt[close[0]]}'?" if close else "")
            )
        _check_groups(self)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        classes = ", ".join(f"{name} {count}" for name, count in self.counts().items())
        parts = ", ".join(f"{part} {self.split.count(part)}" for part in PARTS if part in self.split)
        skipped = f"; {len(self.skipped)} skipped" if self.skipped else ""
        return f"<Dataset {self.source}: {len(self)} images; {classes}; {parts}; positive {self.positive}{skipped}>"

    @property
    def positive_index(self) -> int:
        """Class index of :attr:`positive`."""
        return self.classes.index(self.positive)

    def counts(self) -> dict[str, int]:
        """Number of rows of each class."""
        return dict(zip(self.classes, np.bincount(self.labels, minlength=len(self.classes)).tolist(), strict=True))

    def part(self, name: str) -> Dataset:
        """The rows of one part.

        Raises:
            DataError: Not one of :data:`PARTS`, or no row is in it.
        """
        if name not in self.split:
            has = ", ".join(part for part in PARTS if part in self.split) or "none"
            raise DataError(f"{self.source}: has no images in the part '{name}'. Parts with images: {has}.")
        return self.take([index for index, part in enumerate(self.split) if part == name])

    def take(self, indices: ArrayLike) -> Dataset:
        """Some rows, in the order given: integers (negative ones count from the end) or a boolean mask (n,)."""
        chosen = np.arange(len(self))[np.asarray(indices, dtype=None if np.size(indices) else np.int64)]
        rows = chosen.tolist()
        return Dataset(
            images=tuple(self.images[row] for row in rows),
            names=tuple(self.names[row] for row in rows),
            labels=self.labels[chosen],
            classes=self.classes,
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            split=tuple(self.split[row] for row in rows),
            positive=self.positive,
            skipped=self.skipped,
            source=self.source,
        )

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over classes, names, labels, parts and content; see :mod:`medsynth.dataset.fingerprint`."""
        return fingerprint(self.images, self.names, self.labels.tolist(), self.split, self.classes)

    def image_spec(self, image_size: int, channels: int | None = None) -> ImageSpec:
        """The square images that suit these data, decided by the training part alone.

        Args:
            image_size: Height and width in pixels.
            channels: 1 or 3; by default 1 if up to 32 evenly spaced training images are all grey, else 3.

        Returns:
            Its window is what :func:`medsynth.images.suggest_window` says of the training images.
        """
        training = self.part("train").images if "train" in self.split else self.images
        if channels is None:
            sample = {int(index) for index in np.linspace(0, len(training) - 1, 32)} if training else set()
            channels = 1 if all(_grey_or_unreadable(training[index]) for index in sorted(sample)) else 3
        return ImageSpec(height=image_size, width=image_size, channels=channels, window=suggest_window(training))

    def decode(
        self, spec: ImageSpec, *, workers: int = 4, on_progress: Callable[[int, int], None] | None = None
    ) -> Decoded:
        """Decode every row with :func:`medsynth.images.load_image`, which inference calls too.

        Args:
            spec: Size, channels and window.
            workers: Threads; each holds one full-size image at a time.
            on_progress: Called in this thread with (rows done, rows in all) after each row.

        Returns:
            Readable rows in order; unreadable ones are in ``skipped``.

        Raises:
            DataError: Not one image of a class could be decoded.
        """
        images = np.empty((len(self), *spec.shape), np.uint8)

        def fill(index: int) -> str | None:
            try:
                images[index] = load_image(self.images[index], spec)
            except ImageError as error:
                return str(error).removeprefix(f"{self.images[index]}: ")
            return None

        skipped: dict[int, Skipped] = {}
        with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
            for index, reason in enumerate(pool.map(fill, range(len(self)))):
                if reason is not None:
                    skipped[index] = Skipped(self.names[index], reason)
                if on_progress is not None:
                    on_progress(index + 1, len(self))
        kept = self if not skipped else self.take([index for index in range(len(self)) if index not in skipped])
        for name, count in kept.counts().items():
            if not count and self.counts()[name]:
                first = next(s for i, s in skipped.items() if self.classes[self.labels[i]] == name)
                raise DataError(
                    f"{self.source}: none of the {self.counts()[name]} images of class '{name}' can be read. "
                    f"The first, {first.name}: {first.reason}"
                )
        if skipped:
            images = images[[index for index in range(len(self)) if index not in skipped]]
        return Decoded(
            images=images, labels=kept.labels, names=kept.names, groups=kept.groups, skipped=tuple(skipped.values())
        )

    def to_csv(self, path: str | Path) -> None:
        """Write columns path, label, group, split, from which ``load_dataset`` makes the same split again.

        Paths are relative to the CSV's folder for images inside it, else absolute. Images that are arrays have no
        file: their names stand in the path column as a record, and such a CSV cannot be loaded.

        Raises:
            OutputError: The file cannot be written.
        """
        folder = Path(path).absolute().parent
        groups = self.groups or ("",) * len(self)
        with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(CSV_COLUMNS)
            for image, name, label, group, part in zip(
                self.images, self.names, self.labels.tolist(), groups, self.split, strict=True
            ):
                written = name if isinstance(image, np.ndarray) else _relative(Path(image), folder)
                writer.writerow((written, self.classes[label], group, part))


def _check_groups(data: Dataset) -> None:
    if data.groups is None:
        return
    parts: dict[str, str] = {}
    for group, part in zip(data.groups, data.split, strict=True):
        if parts.setdefault(group, part) != part:
            raise DataError(
                f"{data.source}: group '{group}' lies in both {parts[group]} and {part}. A group (a patient) must be in"
                " one part only, else the test measures memory. Mend the split, or remove it and let medsynth split."
            )


def _relative(image: Path, folder: Path) -> str:
    return (image.relative_to(folder) if image.is_relative_to(folder) else image).as_posix()


def _grey_or_unreadable(source: ImageSource) -> bool:
    try:
        return is_grey(source)
    except ImageError:
        return True

"""From files to results: the images of a folder, decoded by the path that ``infer`` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.benchmark.inputs import Batch, GoldenRows
from medsynth.errors import ConfigError, DataError, ImageError
from medsynth.images import load_image
from medsynth.infer.classifier import Classifier
from medsynth.infer.session import Session
from medsynth.infer.sources import Sources, gather

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.images import ImageSource
    from medsynth.infer.model import OpenModel
    from medsynth.infer.tally import Rows

__all__ = ["FileStream", "Files", "SingleFiles"]

_MOST_FILES = 256
_SPACING = 64
_LIST = 65_536


class Files:
    """Real images, and the golden ones that travel among them: the first of every 64, which counts for nothing.

    Attributes:
        model: The classifier.
        decoded: uint8 (n, height, width, channels): what the model alone is fed with.
        golden: The images with known outputs.
    """

    def __init__(self, images: str | Path, model: OpenModel, *, seed: int = 0) -> None:
        """Choose at most 256 images, evenly spaced over the list, and decode them once; unreadable ones are left out.

        Args:
            images: A folder, a CSV or a file, as ``infer`` takes them.
            model: An artefact that is a classifier.
            seed: Of the order.

        Raises:
            ConfigError: Another model, of which nobody says how files become its inputs.
            DataError: No image can be read.
        """
        if not isinstance(model, Session) or model.metadata.task != "classifier":
            raise ConfigError(f"{model.path}: --images needs a classifier that medsynth export wrote.")
        self.model = model
        self.golden = GoldenRows(model.metadata)
        gathered = gather(images)
        decoded, self._paths = [], []
        for place in np.unique(np.linspace(0, len(gathered) - 1, _MOST_FILES).astype(int)).tolist():
            try:
                decoded.append(load_image(gathered.images[place], model.metadata.image))
            except ImageError:
                continue
            self._paths.append(gathered.images[place])
        if not decoded:
            raise DataError(f"{images}: none of its images can be read. Run medsynth infer on it to see why.")
        self.decoded = np.stack(decoded)
        self._seed = seed

    def __iter__(self) -> Iterator[ImageSource]:
        """Without end: golden image, 63 files in shuffled order, golden image, ..."""
        random, place = np.random.default_rng(self._seed), 0
        while True:
            for index in random.permutation(len(self._paths)).tolist():
                if place % _SPACING == 0:
                    yield self.golden.inputs["images"][place // _SPACING % self.golden.count]
                    place += 1
                yield self._paths[index]
                place += 1

    def known(self, start: int, size: int, feeds: Any) -> Batch:
        """The batch that begins at a place of this list."""
        places = np.arange(start, start + size)
        slots = np.flatnonzero(places % _SPACING == 0)
        return Batch(feeds, slots, places[slots] // _SPACING % self.golden.count, size - len(slots))


class FileStream:
    """Batches of files through :meth:`Classifier.batches`: threads decode ahead of the model, as in ``infer``.

    A subject's ``run`` and pool in one: batches are asked for and run in turns.
    """

    least_images = _SPACING

    def __init__(self, files: Files) -> None:
        self._files = files
        self._classifier = Classifier(files.model)
        self.tolerance = files.golden.tolerance
        listed = tuple(islice(files, _LIST))
        self._sources = Sources(listed, tuple(str(place) for place in range(_LIST)))
        self._rows: Iterator[Rows] = iter(())
        self._size, self._place = 0, 0

    def batch(self, size: int) -> Batch:
        """What is known of the next batch; another size, or the end of the list, begins anew."""
        if size != self._size or self._place + size > _LIST:
            self._size, self._place = size, 0
            self._rows = self._classifier.batches(self._sources, batch_size=size)
        batch = self._files.known(self._place, size, None)
        self._place += size
        return batch

    def run(self, _: Any) -> dict[str, NDArray[Any]]:
        """The results of the next batch.

        Raises:
            DataError: A file cannot be read any more.
        """
        rows = next(self._rows)
        if rows.skipped:
            raise DataError(f"an image became unreadable while measuring: {rows.skipped[0].reason}")
        return {"probabilities": rows.probabilities}

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest difference between the golden rows' outputs and what was recorded for them."""
        return self._files.golden.difference(batch, outputs)


class SingleFiles:
    """One file after the other, decoded when it is its turn: ``single-stream`` and ``server``."""

    least_images = _SPACING

    def __init__(self, files: Files) -> None:
        self._files = files
        self._sources = iter(files)
        self.tolerance = files.golden.tolerance
        self._place = 0

    def batch(self, size: int) -> Batch:
        """The next file."""
        batch = self._files.known(self._place, size, next(self._sources))
        self._place += size
        return batch

    def run(self, source: ImageSource) -> dict[str, NDArray[Any]]:
        """Decode one file and run the model on it."""
        model = self._files.model
        return model.run({"images": load_image(source, model.metadata.image)[None]})

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest difference between the golden rows' outputs and what was recorded for them."""
        return self._files.golden.difference(batch, outputs)

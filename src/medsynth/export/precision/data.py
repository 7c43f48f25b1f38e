"""The images that calibrate (training part) and judge (validation part) a classifier; the test part is never read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.dataset import Dataset, load_dataset
from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.artifact import Metadata
    from medsynth.dataset import Decoded
    from medsynth.train.run import Run

__all__ = ["Images", "decode_images", "remembered_data"]

_CALIBRATION_IMAGES = 128


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Images:
    """Decoded images.

    Attributes:
        calibration: uint8 (n, height, width, channels) of the training part.
        validation: The validation part; labels are the model's class indices.
        facts: Where both come from, for the metadata.
    """

    calibration: NDArray[np.uint8]
    validation: Decoded
    facts: dict[str, Any]


def remembered_data(run: Run) -> Dataset:
    """The data set that a run was trained on, from its ``data.csv``, or drawn again where it is the phantom.

    Raises:
        DataError: Its images are not there any more, or never were files.
    """
    give = "Give the data with --calibration."
    if run.data["source"] == "phantom":
        for seed in dict.fromkeys((0, int(run.config["seed"]))):
            phantom = load_dataset("phantom", positive=run.positive, seed=seed)
            if phantom.fingerprint == run.data["fingerprint"]:
                return phantom
        raise DataError(f"{run.folder}: was trained on another phantom than this version draws. {give}")
    try:
        data = load_dataset(run.folder / "data.csv", positive=run.positive)
    except DataError as error:
        raise DataError(f"{run.folder}: the data that it was trained on cannot be read ({error}). {give}") from error
    counts = {part: data.part(part).counts() for part in run.data["counts"] if part in data.split}
    if counts != {part: count for part, count in run.data["counts"].items() if part in data.split}:
        raise DataError(f"{run.folder}: images of the data that it was trained on are missing. {give}")
    return replace(data, source=run.data["source"])


def decode_images(data: Dataset, metadata: Metadata) -> Images:
    """Decode evenly spaced training images and the whole validation part as the model takes them.

    Raises:
        DataError: Other classes than the model's, no training or validation part, or no readable image of a class in
            the latter: nothing can be judged or fitted on it.
    """
    if set(data.classes) != set(metadata.classes):
        raise DataError(
            f"{data.source}: the calibration data must have the model's classes, {', '.join(metadata.classes)}. "
            f"Got {', '.join(data.classes)}."
        )
    training, validation = data.part("train"), data.part("validation")
    chosen = np.unique(np.linspace(0, len(training) - 1, _CALIBRATION_IMAGES).round().astype(np.int64))
    decoded = validation.decode(metadata.image)
    missing = [name for place, name in enumerate(data.classes) if not (decoded.labels == place).any()]
    if missing:
        raise DataError(
            f"{data.source}: the validation part has no readable image of {', '.join(missing)}. "
            "Every class needs some there; give more images or a split column."
        )
    index = np.array([metadata.classes.index(name) for name in data.classes])
    calibration = training.take(chosen).decode(metadata.image).images
    facts = {
        "source": data.source,
        "fingerprint": data.fingerprint,
        # Another data set, or another split of it, may hold what the model will be tested with.
        "same_data_as_training": data.fingerprint == metadata.data.get("fingerprint"),
    }
    return Images(calibration=calibration, validation=replace(decoded, labels=index[decoded.labels]), facts=facts)

"""What was evaluated, in plain values: the data set and the models, as a report names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset import Dataset, Skipped
    from medsynth.infer import Classifier, Sampler
    from medsynth.metrics import Scores

__all__ = ["DataSummary", "ModelSummary", "class_indices", "scores_to_dict"]

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """A data set in numbers; no image and no path.

    Attributes:
        source: How a person calls it.
        fingerprint: Of the whole set, :attr:`medsynth.dataset.Dataset.fingerprint`.
        classes: Class names in order.
        images: Images of each class in each part, part -> class -> count; only parts that have images.
        groups: Groups (patients) in each part; ``None`` where unknown.
        skipped: What was left out, with the reason.
    """

    source: str
    fingerprint: str
    classes: tuple[str, ...]
    images: Mapping[str, Mapping[str, int]]
    groups: Mapping[str, int] | None
    skipped: tuple[Skipped, ...]

    @classmethod
    def of(cls, data: Dataset) -> DataSummary:
        """Count a data set; reads every file once, for the fingerprint."""
        parts = {name: data.part(name) for name in PARTS if name in data.split}
        return cls(
            source=data.source,
            fingerprint=data.fingerprint,
            classes=data.classes,
            images={name: part.counts() for name, part in parts.items()},
            groups=None if data.groups is None else {name: len(set(part.groups or ())) for name, part in parts.items()},
            skipped=data.skipped,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "images": {part: dict(counts) for part, counts in self.images.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A model file by what its metadata says; fields are those of :class:`medsynth.artifact.Metadata`.

    Attributes:
        file: Name of the file, without its folder.
        device: Where it ran: ``cpu``, ``cuda`` or ``tensorrt``.
        content_hash: SHA-256 over graph, weights and metadata.
        plugin: Name, distribution, version and options of the plugin that built it.
        image: Height, width, channels, window.
        classes: Class names in the order of the outputs.
        positive: The positive class.
        threshold: Of the binary decision.
        temperature: Of the calibration.
        bias: Of the calibration, one number for each class.
        precision: Name of the precision.
        data: Source, fingerprint and counts of the data that it was trained on.
        training: The training configuration.
        validation: Metrics on the validation part.
        intended_use: One or two sentences.
        versions: Of the libraries that made it.
    """

    file: str
    device: str
    content_hash: str
    plugin: Mapping[str, Any]
    image: Mapping[str, Any]
    classes: tuple[str, ...]
    positive: str
    threshold: float | None
    temperature: float | None
    bias: tuple[float, ...] | None
    precision: str
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    validation: Mapping[str, Any]
    intended_use: str
    versions: Mapping[str, str]

    @classmethod
    def of(cls, model: Classifier | Sampler) -> ModelSummary:
        """Read off a loaded model."""
        metadata = model.metadata
        fields = metadata.to_dict()
        kept = {name: fields[name] for name in cls.__slots__ if name in fields}
        kept |= {"classes": metadata.classes, "bias": metadata.bias, "precision": str(metadata.precision["name"])}
        return cls(**kept, file=model.path.name, device=model.session.device)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def scores_to_dict(scores: Scores, model: ModelSummary) -> dict[str, Any]:
    """Scores for JSON, the positive class by its name as everywhere in the file."""
    return {
        **scores.to_dict(),
        "positive": None if scores.positive is None else model.classes[scores.positive],
    }


def class_indices(
    labels: NDArray[np.int64], names: tuple[str, ...], model: Classifier | Sampler, whose: str
) -> NDArray[np.int64]:
    """Labels over ``names`` as indices of the model's outputs.

    Raises:
        DataError: Model and data do not have the same classes.
    """
    if set(names) != set(model.classes):
        raise DataError(
            f"{model.path.name} knows the classes {', '.join(model.classes)}; {whose} has {', '.join(names)}. They "
            "must be the same: rename the classes of the data, or choose the model that was trained on them."
        )
    return np.array([model.classes.index(name) for name in names], np.int64)[labels]

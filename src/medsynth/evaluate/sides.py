"""Sets of images that are compared: training, held-out and generated ones, with what a network says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from medsynth.evaluate.subjects import class_indices
from medsynth.images import ImageSpec, load_images
from medsynth.metrics.features import in_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from medsynth.dataset import Dataset
    from medsynth.evaluate.features import FeatureNetwork
    from medsynth.infer import Sampler

__all__ = ["THUMBNAIL", "HeldOut", "Side", "halves", "read_side", "thumbnails"]

HeldOut: TypeAlias = Literal["validation", "test"]

THUMBNAIL = 32
"""Largest height and width at which pixels are compared."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Side:
    """Images of one kind.

    Attributes:
        images: uint8 (n, height, width, channels), all of the generator's size.
        labels: Class index of each, int64 (n,).
        features: float32 (n, d).
        names: Of real images.
        groups: Patient or other unit of each real image; ``None`` where unknown.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    features: NDArray[np.float32]
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: ArrayLike) -> Side:
        """Some of them, by index or mask."""
        chosen = np.arange(len(self))[np.asarray(rows)]
        return Side(
            images=self.images[chosen],
            labels=self.labels[chosen],
            features=self.features[chosen],
            names=tuple(self.names[row] for row in chosen) if self.names else (),
            groups=None if self.groups is None else tuple(self.groups[row] for row in chosen),
        )


def read_side(data: Dataset, part: str, sampler: Sampler, network: FeatureNetwork) -> Side:
    """Real images of one part, prepared as the generator saw them; none where the data have no such part."""
    if part not in data.split:
        empty = np.empty((0, *sampler.image.shape), np.uint8)
        return Side(images=empty, labels=np.empty(0, np.int64), features=network(empty))
    decoded = data.part(part).decode(sampler.image)
    return Side(
        images=decoded.images,
        labels=class_indices(decoded.labels, data.classes, sampler, data.source),
        features=network(decoded.images),
        names=decoded.names,
        groups=decoded.groups,
    )


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels of images reduced to at most 32 x 32, antialiased: float32 (n, pixels)."""
    height, width = (min(THUMBNAIL, size) for size in images.shape[1:3])
    small = load_images(list(images), ImageSpec(height=height, width=width, channels=1))
    return small.reshape(len(images), height * width).astype(np.float32)


def halves(side: Side) -> tuple[Side, Side]:
    """Two halves with the classes in equal shares, no group in both where groups are known.

    Which unit is in which half follows from content alone, not from the order of rows.
    """
    place = np.empty(len(side), np.int64)
    place[in_order(side.features)] = np.arange(len(side))
    units = np.array(side.groups) if side.groups is not None else np.arange(len(side)).astype(str)
    second = np.zeros(len(side), bool)
    for label in np.unique(side.labels):
        own = np.flatnonzero(side.labels == label)
        first_of = {unit: min(place[own[units[own] == unit]]) for unit in dict.fromkeys(units[own].tolist())}
        ranked = sorted(first_of, key=first_of.__getitem__)
        second[own] = np.isin(units[own], ranked[1::2])
    return side.take(~second), side.take(second)

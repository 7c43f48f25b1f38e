"""Groups that a data set does not name but shows: images that are too alike to be of two patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.hashing import close_pairs
from medsynth.dataset.audit.likeness import Yardstick, likeness, measure_random_pairs
from medsynth.dataset.folds import name_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = ["LookAlikes", "find_look_alikes", "number_groups"]

REACH = 3
"""How many names apart neighbours are compared; on CT slices the next one may be an odd one out."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LookAlikes:
    """What resembles what among the m readable images.

    Attributes:
        yardstick: What counts as alike; ``None``: too few images to tell, and nothing is.
        first: int64 (p,), one of each pair of near duplicates with different pixels, the most alike pair first.
        second: int64 (p,), the other.
        correlation: float64 (p,).
        next_ones: int64 (q, 2), images of one class whose names follow each other, of different groups if known.
        next_alike: bool (q,), which of them look alike.
        cluster: int64 (m,), group that each image should be in: the group it has, joined with the groups of its exact
            copies, near duplicates, and look-alikes of its class among the 3 next names.
    """

    yardstick: Yardstick | None
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: NDArray[np.float64]
    next_ones: NDArray[np.int64]
    next_alike: NDArray[np.bool_]
    cluster: NDArray[np.int64]


def find_look_alikes(readable: Dataset, survey: Survey) -> LookAlikes:
    """Compare the images of a data set with each other; ``readable`` is the table of the survey's rows."""
    groups = None if readable.groups is None else np.unique(readable.groups, return_inverse=True)[1].astype(np.int64)
    distinct, same = np.unique(np.array(survey.digests, "S16"), return_index=True, return_inverse=True)[1:]
    links = [np.stack([np.arange(len(readable)), distinct[same]])]
    if groups is not None:
        links.append(np.stack([np.arange(len(readable)), np.unique(groups, return_index=True)[1][groups]]))
    yardstick = measure_random_pairs(survey.thumbs, readable.labels, groups)
    pairs, next_ones, next_alike = np.empty((0, 3)), np.empty((0, 2), np.int64), np.empty(0, np.bool_)
    if yardstick is not None:
        found = [
            pair
            for pair in close_pairs(survey.thumbs, np.sort(distinct), yardstick.copy)
            if groups is None or groups[pair[0]] != groups[pair[1]]
        ]
        pairs = np.array(sorted(found, key=lambda pair: (-pair[2], pair)), np.float64).reshape(-1, 3)
        links.append(pairs[:, :2].T.astype(np.int64))
        for reach in range(1, REACH + 1):
            apart = _names_apart(readable, reach, groups)
            alike = likeness(survey.thumbs, *apart.T) > yardstick.high
            links.append(apart[alike].T)
            if reach == 1:
                next_ones, next_alike = apart, alike
    return LookAlikes(
        yardstick=yardstick,
        first=pairs[:, 0].astype(np.int64),
        second=pairs[:, 1].astype(np.int64),
        correlation=pairs[:, 2],
        next_ones=next_ones,
        next_alike=next_alike,
        cluster=_components(len(readable), np.concatenate(links, axis=1)),
    )


def _names_apart(readable: Dataset, reach: int, groups: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Pairs of one class, so many names apart, that no group holds together: int64 (pairs, 2)."""
    order = name_order(readable.names)
    order = order[np.argsort(readable.labels[order], kind="stable")]
    pairs = np.stack([order[:-reach], order[reach:]], axis=1)
    fit = readable.labels[pairs[:, 0]] == readable.labels[pairs[:, 1]]
    if groups is not None:
        fit &= groups[pairs[:, 0]] != groups[pairs[:, 1]]
    chosen: NDArray[np.int64] = pairs[fit]
    return chosen


def _components(count: int, links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected components of a graph: the lowest node spreads along links, and labels are followed to their end."""
    label = np.arange(count)
    while True:
        spread = label.copy()
        lowest = np.minimum(label[links[0]], label[links[1]])
        for end in links:
            np.minimum.at(spread, end, lowest)
            np.minimum.at(spread, label[end], lowest)
        spread = spread[spread]
        if np.array_equal(spread, label):
            return label
        label = spread


def number_groups(keys: Sequence[object], prefix: str) -> tuple[str, ...]:
    """Names ``prefix-0001``, ... for equal keys, in the order in which they come."""
    number = {key: index + 1 for index, key in enumerate(dict.fromkeys(keys))}
    width = max(4, len(str(len(number))))
    return tuple(f"{prefix}-{number[key]:0{width}d}" for key in keys)

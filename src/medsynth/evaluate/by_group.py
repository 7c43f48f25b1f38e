"""Which groups (patients) a classifier gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GroupErrors", "errors_by_group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupErrors:
    """One group's images.

    Attributes:
        group: Its name in the data.
        images: How many.
        errors: How many were decided wrongly.
    """

    group: str
    images: int
    errors: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def errors_by_group(groups: Sequence[str], wrong: NDArray[np.bool_]) -> tuple[GroupErrors, ...]:
    """Every group, those with the most errors first; among equals the smaller group, then by name.

    Args:
        groups: Group of each image, (n,).
        wrong: Whether it was decided wrongly, (n,).
    """
    names, index = np.unique(list(groups), return_inverse=True)
    images, errors = np.bincount(index), np.bincount(index, weights=wrong)
    rows = [
        GroupErrors(group=str(name), images=int(count), errors=int(missed))
        for name, count, missed in zip(names, images, errors, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.errors, row.images, row.group)))

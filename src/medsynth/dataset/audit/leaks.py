"""Checks of pairs: the same or nearly the same image where it must not be twice.

``readable`` is the table of the rows that the survey could read, in natural order of names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.checks import EXAMPLES
from medsynth.dataset.audit.findings import Finding, Severity
from medsynth.dataset.audit.likeness import Yardstick, alike_across, likeness
from medsynth.dataset.rows import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = ["exact_duplicates", "look_alike_neighbours", "near_duplicates"]

_LEAST_SHARE = 0.03  # Three times what chance gives.
_LEAST_PAIRS = 10
_SCATTERED = 0.10


def exact_duplicates(readable: Dataset, survey: Survey) -> Iterator[Finding]:
    """Files with identical pixels, whatever their format and metadata."""
    alike: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(survey.digests):
        alike[digest].append(row)
    copies = [rows for rows in alike.values() if len(rows) > 1]
    across = [rows for rows in copies if len({readable.split[row] for row in rows}) > 1]
    within = [rows for rows in copies if len({readable.split[row] for row in rows}) == 1]
    disputed = [rows for rows in copies if len({int(readable.labels[row]) for row in rows}) > 1]
    yield from _copies(
        readable,
        across,
        "duplicate-across-split",
        "error",
        "lie in more than one part, so the test asks what training has shown",
        "Delete the copies outside one part, or give all copies one group and let medsynth split.",
    )
    yield from _copies(
        readable,
        disputed,
        "duplicate-with-other-label",
        "error",
        "carry different labels",
        "Find out which label is right and delete the other copies.",
    )
    yield from _copies(
        readable,
        within,
        "exact-duplicate",
        "warning",
        "lie in one part and count more than once",
        "Delete the copies.",
    )


def _copies(
    readable: Dataset, found: Sequence[Sequence[int]], code: str, severity: Severity, what: str, advice: str
) -> Iterator[Finding]:
    if found:
        yield Finding(
            code=code,
            severity=severity,
            message=f"{counted(len(found), 'image')} in several files with identical pixels; the copies {what}.",
            evidence={
                "images": len(found),
                "files": sum(len(rows) for rows in found),
                "examples": [[readable.names[row] for row in rows] for rows in found[:EXAMPLES]],
            },
            advice=advice,
        )


def near_duplicates(readable: Dataset, survey: Survey, yardstick: Yardstick) -> Iterator[Finding]:
    """Images of different parts that are more alike than unrelated images get; exact copies are not counted again."""
    part = np.array(readable.split)
    pairs = [
        pair
        for here, there in (("test", ("train", "validation")), ("validation", ("train",)))
        for pair in alike_across(
            survey.thumbs, np.flatnonzero(part == here), np.flatnonzero(np.isin(part, there)), yardstick.copy
        )
        if survey.digests[pair[0]] != survey.digests[pair[1]]
    ]
    if pairs:
        pairs.sort(key=lambda pair: -pair[2])
        yield Finding(
            code="near-duplicate-across-split",
            severity="warning",
            message=f"{counted(len(pairs), 'pair')} of nearly identical images across different parts.",
            evidence={
                "pairs": len(pairs),
                "correlation at least": yardstick.copy,
                "median of random pairs": yardstick.median,
                "examples": [
                    {"names": [readable.names[one], readable.names[other]], "correlation": value}
                    for one, other, value in pairs[:EXAMPLES]
                ],
            },
            advice="Look at them: copies, or slices of one patient? Then give them one group and split again.",
        )


def look_alike_neighbours(
    readable: Dataset, survey: Survey, groups: NDArray[np.int64] | None, yardstick: Yardstick
) -> Iterator[Finding]:
    """Whether consecutive names of a class show nearly the same picture, more often than chance (1 in 100) allows."""
    rows = np.argsort(readable.labels, kind="stable")
    first, second = rows[:-1], rows[1:]
    fit = readable.labels[first] == readable.labels[second]
    if groups is not None:
        fit &= groups[first] != groups[second]  # A group is never split.
    first, second = first[fit], second[fit]
    alike = likeness(survey.thumbs, first, second) > yardstick.high
    count, share = int(alike.sum()), float(alike.mean()) if len(alike) else 0.0
    if count < _LEAST_PAIRS or share < _LEAST_SHARE:
        return
    part = np.array(readable.split)
    parted = float((part[first[alike]] != part[second[alike]]).mean())
    scattered = parted > _SCATTERED
    yield Finding(
        code="neighbours-look-alike",
        severity="warning" if scattered else "info",
        message=f"{share:.0%} of images look like the next one by name more than 99 % of random pairs of a class do: "
        "probably slices or visits of one patient."
        + (f" The split parts {parted:.0%} of them: the test is easier than it seems." if scattered else ""),
        evidence={
            "neighbours alike": count,
            "share": share,
            "share by chance": 0.01,
            "parted by the split": parted,
            "99th percentile of random pairs": yardstick.high,
        },
        advice="A random split would leak. Give a group (patient) column; without one, medsynth splits in blocks.",
    )

"""Checks of pairs: the same or nearly the same image, or the same patient, where it must not be twice.

``readable`` is the table of the rows that the survey could read, in natural order of names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.checks import EXAMPLES
from medsynth.dataset.audit.findings import Finding, Severity
from medsynth.dataset.rows import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.audit.look_alikes import LookAlikes
    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = ["exact_duplicates", "look_alike_neighbours", "near_duplicates", "patients_across"]

_LEAST_SHARE = 0.03  # Three times what chance gives.
_LEAST_PAIRS = 10
_SHOWN_PAIRS = 3
_SHOWN_RUNS, _SHOWN_OF_RUN = 3, 6


def exact_duplicates(readable: Dataset, survey: Survey) -> Iterator[Finding]:
    """Files with identical pixels, whatever their format and metadata."""
    alike: dict[bytes, list[int]] = defaultdict(list)
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
            shown=tuple(tuple(readable.names[row] for row in rows[:_SHOWN_OF_RUN]) for rows in found[:_SHOWN_PAIRS]),
        )


def near_duplicates(readable: Dataset, alike: LookAlikes) -> Iterator[Finding]:
    """Pairs that are more alike than unrelated images get; exact copies and pairs of one group are not counted."""
    part, label = np.array(readable.split), readable.labels
    across = part[alike.first] != part[alike.second]
    disputed = label[alike.first] != label[alike.second]
    yield from _near(
        readable,
        alike,
        across,
        "near-duplicate-across-split",
        "warning",
        "across different parts",
        "Look at them: copies, or slices of one patient? Then give them one group and split again: "
        "'medsynth dataset split DATA --by duplicates --out split.csv' does both.",
    )
    yield from _near(
        readable,
        alike,
        disputed,
        "near-duplicate-with-other-label",
        "warning",
        "with different labels",
        "Look at them: one image that was labelled twice? Correct or delete one of them.",
    )
    yield from _near(
        readable,
        alike,
        ~across & ~disputed,
        "near-duplicate",
        "info",
        "within a part",
        "They count more than once. Keep them in one group, so that no split parts them.",
    )


def _near(
    readable: Dataset,
    alike: LookAlikes,
    which: NDArray[np.bool_],
    code: str,
    severity: Severity,
    where: str,
    advice: str,
) -> Iterator[Finding]:
    if not which.any() or alike.yardstick is None:
        return
    pairs = [
        (readable.names[one], readable.names[other])
        for one, other in zip(alike.first[which].tolist(), alike.second[which].tolist(), strict=True)
    ]
    yield Finding(
        code=code,
        severity=severity,
        message=f"{counted(len(pairs), 'pair')} of nearly identical images {where}.",
        evidence={
            "pairs": len(pairs),
            "correlation at least": alike.yardstick.copy,
            "median of random pairs": alike.yardstick.median,
            "examples": [
                {"names": list(pair), "correlation": correlation}
                for pair, correlation in zip(pairs[:EXAMPLES], alike.correlation[which].tolist(), strict=False)
            ],
        },
        advice=advice,
        shown=tuple(pairs[:_SHOWN_PAIRS]),
    )


def look_alike_neighbours(readable: Dataset, alike: LookAlikes) -> Iterator[Finding]:
    """Whether consecutive names of a class show nearly the same picture, more often than chance (1 in 100) allows."""
    count, total = int(alike.next_alike.sum()), len(alike.next_alike)
    if alike.yardstick is None or count < _LEAST_PAIRS or count / total < _LEAST_SHARE:
        return
    first, second = alike.next_ones[alike.next_alike].T
    part = np.array(readable.split)
    parted = float((part[first] != part[second]).mean())
    sizes = np.bincount(alike.cluster, minlength=len(readable))
    several = sizes[alike.cluster] > 1
    groups = int(np.count_nonzero(sizes))
    largest = np.argsort(-sizes, kind="stable")[:_SHOWN_RUNS]
    shown = tuple(
        tuple(readable.names[row] for row in np.flatnonzero(alike.cluster == cluster)[:_SHOWN_OF_RUN].tolist())
        for cluster in largest.tolist()
    )
    yield Finding(
        code="neighbours-look-alike",
        severity="warning",
        message=f"{count / total:.0%} of images look like the next one by name more than 99 % of random pairs of a "
        f"class do: probably slices or visits of one patient. The split parts {parted:.0%} of these pairs.",
        evidence={
            "neighbours alike": count,
            "share": count / total,
            "share by chance": 0.01,
            "parted by the split": parted,
            "99th percentile of random pairs": alike.yardstick.high,
            "proposed groups": groups,
            "images in groups of several": int(several.sum()),
            "largest group": int(sizes.max()),
            "examples": [list(run) for run in shown],
        },
        advice="A random split would leak. Give a group (patient) column; without one, "
        f"'medsynth dataset split DATA --by duplicates --out split.csv' writes the {groups:,} groups that these "
        "look-alikes propose, and a split that keeps them together.",
        shown=shown,
    )


def patients_across(readable: Dataset, survey: Survey) -> Iterator[Finding]:
    """DICOM patients with images in more than one part."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, file in enumerate(survey.files):
        if file.patient:
            rows_of[file.patient].append(row)
    parted = [rows for rows in rows_of.values() if len({readable.split[row] for row in rows}) > 1]
    if parted:
        yield Finding(
            code="patient-across-split",
            severity="error",
            message=f"{counted(len(parted), 'patient')} of {len(rows_of)} (DICOM PatientID) with images in more than "
            "one part.",
            evidence={
                "patients": len(parted),
                "images": sum(map(len, parted)),
                "examples": [[readable.names[row] for row in rows[:EXAMPLES]] for rows in parted[:EXAMPLES]],
            },
            advice="Split by patient: 'medsynth dataset split DATA --by patient --out split.csv'.",
        )

"""Checks of single images and of counts; ``readable`` is the table of the rows that the survey could read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.findings import Finding
from medsynth.dataset.rows import counted

if TYPE_CHECKING:
    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = [
    "EXAMPLES",
    "class_imbalance",
    "left_out",
    "mixed_bit_depth",
    "odd_sizes",
    "unreadable",
]

EXAMPLES = 10
"""How many examples a finding shows."""

_IMBALANCE = 3.0  # Where accuracy of a blind guess passes 75 % for two classes.
_ODD_SIDE = 4.0
_ODD_ASPECT = 2.0
_SHOWN = 6


def left_out(data: Dataset) -> Iterator[Finding]:
    """Files and rows that the loader passed over."""
    if data.skipped:
        yield Finding(
            code="left-out",
            severity="warning",
            message=f"Left out when the data were listed (files, folders or rows): {len(data.skipped)}.",
            evidence={"count": len(data.skipped), "examples": [asdict(entry) for entry in data.skipped[:EXAMPLES]]},
            advice="Mend them, or make sure that they do not belong to the data.",
        )


def unreadable(data: Dataset, survey: Survey) -> Iterator[Finding]:
    """Images that cannot be decoded."""
    if not survey.failures:
        return
    had, have = data.counts(), data.take(survey.rows).counts()
    emptied = [name for name in data.classes if had[name] and not have[name]]
    examples = [{"name": data.names[row], "reason": reason} for row, reason in survey.failures.items()]
    yield Finding(
        code="unreadable",
        severity="error" if emptied else "warning",
        message=f"{len(examples)} of {counted(len(data), 'image')} cannot be read."
        + (f" None is left of {', '.join(emptied)}." if emptied else ""),
        evidence={"count": len(examples), "examples": examples[:EXAMPLES]},
        advice="Restore them from their source or delete them; until then they are skipped.",
    )


def class_imbalance(data: Dataset) -> Iterator[Finding]:
    """Training images of the commonest class against those of the rarest."""
    counts = data.part("train").counts() if "train" in data.split else data.counts()
    rare, common = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    ratio = counts[common] / max(1, counts[rare])
    if ratio >= _IMBALANCE:
        yield Finding(
            code="class-imbalance",
            severity="warning",
            message=f"'{common}' has {ratio:.1f} times as many training images as '{rare}' "
            f"({counts[common]} and {counts[rare]}).",
            evidence={"ratio": ratio, "counts": counts},
            advice="Judge by the recall of each class and by AUC, not by accuracy, and keep class weights on.",
        )


def odd_sizes(readable: Dataset, survey: Survey) -> Iterator[Finding]:
    """Images whose longer side or aspect is far from the median: icons, strips, screenshots."""
    if not len(readable):
        return
    side = survey.sizes.max(axis=1)
    aspect = survey.sizes[:, 1] / survey.sizes[:, 0]
    off_side = np.abs(np.log(side / np.median(side))) > np.log(_ODD_SIDE)
    off_aspect = np.abs(np.log(aspect / np.median(aspect))) > np.log(_ODD_ASPECT)
    odd = np.flatnonzero(off_side | off_aspect).tolist()
    if odd:
        examples = [{"name": readable.names[row], "size": survey.sizes[row].tolist()} for row in odd[:EXAMPLES]]
        median = [float(value) for value in np.median(survey.sizes, axis=0)]
        yield Finding(
            code="odd-size",
            severity="warning",
            message=f"{counted(len(odd), 'image')} of {len(readable)} with a size or aspect far from the median, "
            f"{median[0]:.0f}x{median[1]:.0f} (height x width).",
            evidence={"count": len(odd), "median": median, "examples": examples},
            advice="Look at them: every image is stretched to one size, and these are stretched most.",
            shown=(tuple(example["name"] for example in examples[:_SHOWN]),),
        )


def mixed_bit_depth(readable: Dataset, survey: Survey) -> Iterator[Finding]:
    """Images of 8 bits beside deeper ones: only the latter pass through the intensity window."""
    deep = int(survey.deep.sum())
    if 0 < deep < len(readable):
        by_class = {
            name: {
                "8 bits": int(np.sum(~survey.deep[readable.labels == label])),
                "more": int(np.sum(survey.deep[readable.labels == label])),
            }
            for label, name in enumerate(readable.classes)
        }
        yield Finding(
            code="mixed-bit-depth",
            severity="warning",
            message=f"{counted(deep, 'image')} of more than 8 bits beside {len(readable) - deep} of 8.",
            evidence={"more than 8 bits": deep, "8 bits": len(readable) - deep, "classes": by_class},
            advice="Export all of them alike: a model can learn the file format in place of the disease.",
        )

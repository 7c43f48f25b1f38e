"""One pass over the images, then every check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit import checks, leaks
from medsynth.dataset.audit.findings import SEVERITIES, Audit
from medsynth.dataset.audit.likeness import measure_random_pairs
from medsynth.dataset.audit.survey import survey_dataset
from medsynth.dataset.load import load_dataset
from medsynth.dataset.table import PARTS

if TYPE_CHECKING:
    from medsynth.dataset.table import Dataset

__all__ = ["audit_dataset"]


def audit_dataset(
    data: Dataset | str | Path, *, workers: int = 4, on_progress: Callable[[int, int], None] | None = None
) -> Audit:
    """Look for what makes results on a data set worth less than they seem. Decodes each image once.

    Args:
        data: A data set, or what :func:`~medsynth.dataset.load_dataset` takes.
        workers: Threads that decode.
        on_progress: Called with (images done, images in all).

    Returns:
        Findings with the codes ``left-out``, ``unreadable``, ``class-imbalance``, ``odd-size``, ``size-tells-class``,
        ``mixed-bit-depth``, ``exact-duplicate``, ``duplicate-across-split``, ``duplicate-with-other-label``,
        ``near-duplicate-across-split`` and ``neighbours-look-alike``.
    """
    data = load_dataset(data)
    survey = survey_dataset(data, workers=workers, on_progress=on_progress)
    readable = data.take(survey.rows)
    groups = None if data.groups is None else np.unique(readable.groups or (), return_inverse=True)[1]
    yardstick = measure_random_pairs(survey.thumbs, readable.labels, groups)
    findings = [
        *checks.left_out(data),
        *checks.unreadable(data, survey),
        *checks.class_imbalance(data),
        *checks.odd_sizes(readable, survey),
        *checks.size_tells_class(readable, survey),
        *checks.mixed_bit_depth(readable, survey),
        *leaks.exact_duplicates(readable, survey),
    ]
    if yardstick is not None:
        findings += leaks.near_duplicates(readable, survey, yardstick)
        findings += leaks.look_alike_neighbours(readable, survey, groups, yardstick)
    return Audit(
        source=data.source,
        images=len(data),
        parts={part: data.part(part).counts() for part in PARTS if part in data.split},
        findings=tuple(sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))),
    )

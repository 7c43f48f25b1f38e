"""One pass over the images, then every check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.dataset.audit import checks, leaks
from medsynth.dataset.audit.findings import SEVERITIES, Audit
from medsynth.dataset.audit.look_alikes import find_look_alikes
from medsynth.dataset.audit.optimism import split_optimism
from medsynth.dataset.audit.shortcuts import shortcuts
from medsynth.dataset.audit.survey import THUMB, survey_dataset
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
        Findings with the codes ``left-out``, ``unreadable``, ``class-imbalance``, ``odd-size``, ``mixed-bit-depth``,
        ``exact-duplicate``, ``duplicate-across-split``, ``duplicate-with-other-label``, ``near-duplicate``,
        ``near-duplicate-across-split``, ``near-duplicate-with-other-label``, ``patient-across-split``,
        ``neighbours-look-alike``, ``split-optimism``, and ``shortcut:`` with ``file-size``, ``file-format``, ``exif``,
        ``file-name``, ``image-size``, ``aspect``, ``bit-depth``, ``border`` or ``brightness``.
    """
    data = load_dataset(data)
    survey = survey_dataset(data, workers=workers, on_progress=on_progress)
    readable = data.take(survey.rows)
    findings = [*checks.left_out(data), *checks.unreadable(data, survey), *checks.class_imbalance(data)]
    if len(readable):
        alike = find_look_alikes(readable, survey)
        findings += [
            *checks.odd_sizes(readable, survey),
            *checks.mixed_bit_depth(readable, survey),
            *leaks.exact_duplicates(readable, survey),
            *leaks.near_duplicates(readable, alike),
            *leaks.patients_across(readable, survey),
            *leaks.look_alike_neighbours(readable, alike),
            *split_optimism(readable, survey, alike),
            *shortcuts(readable, survey, alike),
        ]
    number = {readable.names[row]: row for row in range(len(readable))}
    shown = {name for finding in findings for names in finding.shown for name in names}
    return Audit(
        source=data.source,
        images=len(data),
        parts={part: data.part(part).counts() for part in PARTS if part in data.split},
        findings=tuple(sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))),
        thumbnails={name: survey.thumbs[number[name]].reshape(THUMB, THUMB).copy() for name in sorted(shown)},
    )

"""What the numbers rest on: parts, classes, groups, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medsynth.evaluate.report.blocks import Block, Cell, Pictures, Section, Table, photo, text
from medsynth.evaluate.report.words import count, join

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset import Audit
    from medsynth.evaluate.report.model import Report

__all__ = ["data_section"]


_SEVERITY = {"info": "note", "warning": "warning", "error": "problem"}


def data_section(report: Report) -> Section:
    """Counts, how the parts were made, skipped files."""
    data = report.data
    grouped = data.groups is not None
    head = ("Part", *data.classes, "All", *(("Groups",) if grouped else ()))
    rows = []
    for part, counts in data.images.items():
        cells = [Cell(f"{counts[name]:,}") for name in data.classes]
        groups = [Cell(f"{data.groups[part]:,}")] if data.groups is not None else []
        rows.append((Cell(part), *cells, Cell(f"{sum(counts.values()):,}"), *groups))
    how = (
        "Every group (a patient) lies in one part only, so the test part shares no patient with the others."
        if grouped
        else "These data name no groups (patients). If the parts were not made by patient, images of one patient may "
        "lie on both sides, and the test numbers are then too good."
    )
    blocks: list[Block] = [
        text(f"The data set is {data.source}, with the classes {join(data.classes)}. {how}"),
        Table(
            "Images of each part and class",
            head,
            tuple(rows),
            notes=(f"Fingerprint of names, labels, parts and contents: {data.fingerprint[:16]}…",),
        ),
    ]
    if report.audit is not None:
        blocks += _audit_blocks(report.audit)
    skipped = (*data.skipped, *(report.classifier.skipped if report.classifier is not None else ()))
    if skipped:
        blocks.append(
            Table(
                f"{count(len(skipped), 'file')} left out",
                ("File", "Reason"),
                tuple((Cell(row.name), Cell(row.reason)) for row in skipped),
                folded=True,
                style="facts",
            )
        )
    return Section("data", "Data", tuple(blocks))


def _audit_blocks(audit: Audit) -> list[Block]:
    if not audit.findings:
        return [text("The audit of the data found nothing to object to.")]
    rows = tuple(
        (Cell(_SEVERITY[finding.severity], finding.code), Cell(finding.message, finding.advice))
        for finding in audit.findings
    )
    blocks: list[Block] = [
        Table("What the audit of the data found", ("Kind", "Finding and advice"), rows, style="prose")
    ]
    pictures = tuple(
        photo(
            _strip([audit.thumbnails[name] for name in names]),
            alt=", ".join(names),
            caption=f"{finding.code}: {join(names)}",
        )
        for finding in audit.findings
        for names in finding.shown
        if names
    )
    return [*blocks, Pictures(pictures, columns=2)] if pictures else blocks


def _strip(thumbnails: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Thumbnails beside each other, a white line between them: uint8 (h, w, 1)."""
    gap = np.full((thumbnails[0].shape[0], 2), 255, np.uint8)
    pieces = [piece for thumbnail in thumbnails for piece in (gap, thumbnail)][1:]
    return np.concatenate(pieces, axis=1)[..., None]

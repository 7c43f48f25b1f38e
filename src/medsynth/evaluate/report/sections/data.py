"""What the numbers rest on: parts, classes, groups, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medsynth.evaluate.report.blocks import Block, Cell, Section, Table, text
from medsynth.evaluate.report.words import count, join

if TYPE_CHECKING:
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
        blocks.append(_audit_block(report.audit))
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


def _audit_block(audit: Audit) -> Block:
    if not audit.findings:
        return text("The audit of the data found nothing to object to.")
    rows = tuple(
        (Cell(_SEVERITY[finding.severity]), Cell(finding.message, finding.advice)) for finding in audit.findings
    )
    return Table("What the audit of the data found", ("Kind", "Finding and advice"), rows, style="prose")

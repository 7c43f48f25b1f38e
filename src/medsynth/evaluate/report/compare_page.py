"""The page of two generators side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medsynth.artifact.runtime import runtime_versions
from medsynth.evaluate.report.blocks import Block, Cell, Points, Section, Table, text
from medsynth.evaluate.report.page import render_sections
from medsynth.evaluate.report.words import number

if TYPE_CHECKING:
    from medsynth.evaluate.comparison import ComparedRow, Comparison, Number

__all__ = ["render_comparison"]

_GROUPS = {
    "verdict": "The classifier's verdict",
    "features": "Distances to real images",
    "images": "Metrics of images",
    "utility": "Utility",
    "privacy": "Privacy",
}


def render_comparison(comparison: Comparison) -> str:
    """HTML that needs nothing from elsewhere."""
    heads = _heads(comparison)
    subjects = (comparison.first, comparison.second)
    facts = tuple(
        (Cell(head), Cell(subject.model, subject.content_hash), Cell(f"{subject.count:,}"), Cell(str(subject.seed)))
        for head, subject in zip(heads, subjects, strict=True)
    )
    summary: list[Block] = [
        Table("The two", ("Evaluation", "Generator", "Images", "Seed"), facts, style="prose"),
        *([Points(comparison.warnings, warns=True)] if comparison.warnings else []),
        Table(
            "The four questions",
            ("Question", *heads),
            tuple(
                (
                    Cell(answer.question),
                    Cell(answer.first.light, answer.first.sentence),
                    Cell(answer.second.light, answer.second.sentence),
                )
                for answer in comparison.answers
            ),
            style="prose",
        ),
    ]
    sections = [Section("summary", "Summary", tuple(summary))]
    sections += [
        Section(group, title, tuple(blocks))
        for group, title in _GROUPS.items()
        if (blocks := _tables(comparison, group))
    ]
    return render_sections(
        title=f"{heads[0]} and {heads[1]} side by side",
        created=comparison.created,
        version=runtime_versions().get("medsynth-core", ""),
        json_name="compare.json",
        sections=sections,
    )


def _heads(comparison: Comparison) -> tuple[str, str]:
    first, second = comparison.first.name, comparison.second.name
    return (first, second) if first != second else (f"A: {first}", f"B: {second}")


def _tables(comparison: Comparison, group: str) -> list[Block]:
    """A table for each feature space, so that no column holds numbers of two."""
    rows = [row for row in comparison.rows if row.group == group]
    blocks: list[Block] = []
    for network in dict.fromkeys(row.network for row in rows):
        here = [row for row in rows if row.network == network]
        sides = [head for head, which in zip(_heads(comparison), ("first", "second"), strict=True) if _any(here, which)]
        whose = "" if len(sides) == 2 else f", {sides[0]} alone"
        where = f" ({here[0].space}, {(network or '')[:12]})" if here[0].space else ""
        table = tuple((_name(row), _cell(row.first), _cell(row.second), Cell(_verdict(row))) for row in here)
        blocks.append(Table(f"{_GROUPS[group]}{where}{whose}", ("Metric", *_heads(comparison), "Apart"), table))
    if blocks:
        blocks.append(text("Apart: the 95 % intervals do not touch. Below a number: its interval; real images' value."))
    return blocks


def _any(rows: list[ComparedRow], which: str) -> bool:
    return any(getattr(row, which) is not None for row in rows)


def _name(row: ComparedRow) -> Cell:
    better = {True: "Higher is better.", False: "Lower is better.", None: ""}[row.higher_is_better]
    return Cell(row.name.replace("_", " "), better)


def _cell(found: Number | None) -> Cell:
    if found is None:
        return Cell("–", "not measured")
    if found.value is None:
        return Cell("no number", found.error or "")
    span = "" if found.low is None or found.high is None else f"{number(found.low)} to {number(found.high)}"
    real = "" if found.real is None else f"real {number(found.real)}"
    return Cell(number(found.value), "; ".join(filter(None, (span, real))))


def _verdict(row: ComparedRow) -> str:
    return {True: "yes", False: "no", None: "–"}[row.apart]

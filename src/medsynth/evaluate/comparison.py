"""What a comparison of two evaluated generators says, and how it is written.

``compare.json``, schema 1: ``schema``, ``created``, ``first`` and ``second`` (``name``, ``model``, ``content_hash``,
``count``, ``seed``), ``same_features``, ``warnings``, ``answers`` (``question``, ``first``, ``second``: light and
sentence each) and ``rows``: ``group`` (``verdict``, ``features``, ``images``, ``utility`` or ``privacy``), ``name``,
``space`` (name of the features), ``network`` (their content hash; numbers are in one row only where it is the same),
``higher_is_better``, ``first`` and ``second`` (``value``, ``low``, ``high``, ``real``, ``error``; null where that side
has no such row) and ``apart`` (whether the intervals do not touch; null where one is missing).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.outputs import atomic_write, ensure_folder, write_json

if TYPE_CHECKING:
    from medsynth.evaluate.answers import Answer

__all__ = ["ComparedAnswer", "ComparedRow", "Comparison", "Number", "Subject", "write_comparison"]

HTML_NAME, JSON_NAME = "compare.html", "compare.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One of the two.

    Attributes:
        name: Of its folder.
        model: File of the generator.
        content_hash: Of the generator.
        count: Images that were judged.
        seed: Of their noise.
    """

    name: str
    model: str
    content_hash: str
    count: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A value with its interval and that of real images; or what went wrong."""

    value: float | None
    low: float | None = None
    high: float | None = None
    real: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One metric of both.

    Attributes:
        group: ``verdict``, ``features``, ``images``, ``utility`` or ``privacy``.
        name: Of the metric.
        space: Name of the features that it was measured in, where there are any.
        network: Their content hash.
        higher_is_better: ``None`` where unknown.
        first: ``None`` where the first has no such number.
        second: Likewise.
    """

    group: str
    name: str
    space: str | None
    network: str | None
    higher_is_better: bool | None
    first: Number | None
    second: Number | None

    @property
    def apart(self) -> bool | None:
        """Whether the 95 % intervals do not touch; ``None`` where one is missing."""
        ends = [end for side in (self.first, self.second) if side for end in (side.low, side.high) if end is not None]
        if len(ends) < 4:
            return None
        return bool(ends[1] < ends[2] or ends[3] < ends[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedAnswer:
    """What each got to one of the four questions."""

    question: str
    first: Answer
    second: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two generators.

    Attributes:
        created: ISO 8601, UTC.
        first: The one.
        second: The other.
        same_features: Whether both were measured in one feature space.
        answers: The four questions.
        rows: Numbers.
        warnings: Why some of them cannot be compared.
    """

    created: str
    first: Subject
    second: Subject
    same_features: bool
    answers: tuple[ComparedAnswer, ...]
    rows: tuple[ComparedRow, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The content of ``compare.json``."""
        rows = [{**asdict(row), "apart": row.apart} for row in self.rows]
        return {"schema": _SCHEMA, **asdict(self), "rows": rows}


def write_comparison(folder: str | Path, comparison: Comparison) -> Path:
    """Write ``compare.html`` and ``compare.json``, each atomically.

    Returns:
        The path of ``compare.html``.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    from medsynth.evaluate.report.compare_page import render_comparison

    out = ensure_folder(folder)
    write_json(out / JSON_NAME, comparison.to_dict())
    with atomic_write(out / HTML_NAME) as temporary:
        temporary.write_text(render_comparison(comparison), encoding="utf-8")
    return out / HTML_NAME

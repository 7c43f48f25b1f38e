"""A report's two files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.outputs import atomic_write, ensure_folder, write_json

if TYPE_CHECKING:
    from medsynth.evaluate.report.model import Report

__all__ = ["HTML_NAME", "JSON_NAME", "write_report"]

HTML_NAME, JSON_NAME = "report.html", "metrics.json"


def write_report(folder: str | Path, report: Report) -> Path:
    """Write ``report.html`` and ``metrics.json`` into a folder, each atomically.

    Args:
        folder: Created where it does not exist.
        report: What to write.

    Returns:
        The path of ``report.html``.

    Raises:
        OutputError: The folder cannot be written to, or the disk is full.
    """
    from medsynth.evaluate.report.page import render_page

    out = ensure_folder(folder)
    write_json(out / JSON_NAME, report.to_dict())
    page = render_page(report)
    with atomic_write(out / HTML_NAME) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out / HTML_NAME

"""The page as one HTML text. Imported only when a page is written: matplotlib costs half a second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2

from medsynth.evaluate.report.sections.classifier import classifier_section
from medsynth.evaluate.report.sections.data import data_section
from medsynth.evaluate.report.sections.generator import generator_section
from medsynth.evaluate.report.sections.privacy import privacy_section
from medsynth.evaluate.report.sections.provenance import limits_section, provenance_section
from medsynth.evaluate.report.sections.summary import summary_section
from medsynth.evaluate.report.sections.utility import utility_section

if TYPE_CHECKING:
    from medsynth.evaluate.report.blocks import Section
    from medsynth.evaluate.report.model import Report

__all__ = ["render_page", "render_sections"]


def render_page(report: Report) -> str:
    """HTML that needs nothing from elsewhere; sections depend on what the report holds."""
    sections = [summary_section(report), data_section(report)]
    if report.classifier is not None:
        sections.append(classifier_section(report, report.classifier))
    if report.generator is not None:
        sections.append(generator_section(report, report.generator))
        sections += [utility_section(report.generator), privacy_section(report.generator)]
    sections += [limits_section(report), provenance_section(report)]
    plugins = [
        f"{role} {part.model.plugin['name']}"
        for role, part in (("classifier", report.classifier), ("generator", report.generator))
        if part is not None
    ]
    subject = " and ".join(plugins) or "data"
    return render_sections(
        title=f"{subject[0].upper()}{subject[1:]} on {report.data.source}",
        created=report.provenance.created,
        version=report.provenance.versions.get("medsynth-core", ""),
        json_name="metrics.json",
        sections=sections,
    )


def render_sections(*, title: str, created: str, version: str, json_name: str, sections: Sequence[Section]) -> str:
    """Any page of sections.

    Args:
        title: Of the page.
        created: ISO 8601.
        version: Of medsynth.
        json_name: The file that holds the same numbers.
        sections: In order.
    """
    return _template().render(
        title=title,
        created=f"{datetime.fromisoformat(created):%d %B %Y, %H:%M} UTC",
        version=version,
        json_name=json_name,
        sections=sections,
    )


def _template() -> jinja2.Template:
    # Names of classes and files are the user's: everything is escaped.
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    source = files("medsynth.evaluate.report").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)

"""``medsynth verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(model: Annotated[Path, typer.Argument(help="An .onnx file that medsynth wrote.")]) -> None:
    """Check an artefact against its own hash, schema, contract and golden outputs. Exit 1 if it fails.

    Example: medsynth verify classifier.onnx
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from medsynth.artifact import verify as run_checks
    from medsynth.errors import CheckFailedError

    checks = run_checks(model)
    table = Table(title=Text(f"verify {model}"), title_justify="left")
    for column in ("", "check", "found"):
        table.add_column(column, overflow="fold")
    for check in checks:
        verdict, style = ("ok", "") if check.passed else ("FAILED", "red")
        table.add_row(verdict, check.name, Text(check.detail), style=style)
    Console().print(table)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise CheckFailedError(f"{model}: {failed[0].name}: {failed[0].detail}")

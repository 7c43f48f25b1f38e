"""``medsynth compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medsynth.benchmark import Comparison

__all__ = ["compare", "show_verdicts"]


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="What medsynth benchmark wrote, to compare with.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="The one in question.")],
    noise: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="How much two runs of one model differ on this machine.")
    ] = 0.05,
) -> None:
    """Say whether B is slower than A. Exit 1 if it is, beyond noise, or if a measurement is INVALID.

    Example: medsynth compare before.json after.json
    """
    from medsynth.benchmark import compare as run_comparison

    show_verdicts(run_comparison(a, b, noise=noise))


def show_verdicts(comparisons: Sequence[Comparison]) -> None:
    """Print a table; fail where B is slower or nothing can be said."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from medsynth.errors import CheckFailedError

    console = Console(highlight=False)
    for a, b in dict.fromkeys((row.a, row.b) for row in comparisons):
        console.print(Text(f"speed of {b} (B) over speed of {a} (A)", "bold"))
        table = Table(box=None, pad_edge=False)
        for column in ("scenario", "scope", "batch", "ratio", "95 % interval", ""):
            table.add_column(column, justify="right" if column in {"batch", "ratio"} else "left", no_wrap=True)
        rows = [row for row in comparisons if (row.a, row.b) == (a, b)]
        for row in rows:
            said = "INVALID" if row.verdict == "invalid" else f"B is {row.verdict}"
            figures = (str(row.batch_size), f"{row.ratio:.3f}", f"{row.low:.3f} to {row.high:.3f}")
            table.add_row(row.scenario, row.scope, *figures, said)
        console.print(table)
        for row in rows:
            if row.reasons:
                console.print(Text(f"INVALID, {row.scope} at batch {row.batch_size}: {'; '.join(row.reasons)}."))
    for row in comparisons:
        if row.verdict in {"slower", "invalid"}:
            why = "is slower" if row.verdict == "slower" else f"cannot be judged ({row.reasons[0]})"
            raise CheckFailedError(
                f"{row.b}: {why}: {row.ratio:.3f} times the speed of {row.a} ({row.low:.3f} to {row.high:.3f}), "
                f"{row.scenario}, batch {row.batch_size}."
            )

"""``medsynth benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsynth.cli.infer import Device

if TYPE_CHECKING:
    from medsynth.benchmark import BenchmarkReport

__all__ = ["benchmark"]


def benchmark(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Classifiers' or generators' .onnx files.")],
    out: Annotated[Path, typer.Option("--out", help="The JSON file to write.")],
    device: Device = "auto",
    batch_sizes: Annotated[str, typer.Option(help="Images in one run, separated by commas.")] = "1,8,32",
) -> None:
    """Time models on this machine. Exit 1 if one computes something else than its file records.

    Example: medsynth benchmark classifier.onnx --batch-sizes 1,8,32 --out timing.json
    """
    from medsynth.benchmark import benchmark as measure
    from medsynth.benchmark import write_reports
    from medsynth.errors import CheckFailedError, ConfigError
    from medsynth.outputs import ensure_folder
    from medsynth.progress import progress_bar

    try:
        sizes = [int(part) for part in batch_sizes.split(",")]
    except ValueError:
        raise ConfigError(f"--batch-sizes must be whole numbers separated by commas. Got {batch_sizes!r}.") from None
    ensure_folder(out.parent)
    reports = []
    for model in models:
        with progress_bar(f"benchmark {model.name}", "batch sizes") as report:
            reports.append(measure(model, sizes, device, on_progress=report))
    write_reports(reports, out)
    _show(reports)
    typer.echo(f"{out}: written.")
    wrong = [report for report in reports for row in report.batches if not row.outputs_agree]
    if wrong:
        raise CheckFailedError(f"{wrong[0].facts['model']['file']}: its outputs differ from those that it records.")


def _show(reports: list[BenchmarkReport]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"on {reports[0].facts['provider']}; n: too few runs to say", title_justify="left")
    for column in ("model", "batch", "images/s", "median ms", "p90 ms", "p99 ms", "runs", ""):
        table.add_column(column, justify="left" if column in {"model", ""} else "right", overflow="fold")
    for report in reports:
        for row in report.batches:
            table.add_row(
                str(report.facts["model"]["file"]),
                str(row.batch_size),
                f"{row.images_per_second:.1f}",
                f"{row.median_ms:.2f}",
                *("n" if bound is None else f"<= {bound:.2f}" for bound in (row.p90_ms, row.p99_ms)),
                str(row.runs),
                "" if row.valid else f"INVALID: {'; '.join(row.reasons)}",
            )
    Console().print(table)

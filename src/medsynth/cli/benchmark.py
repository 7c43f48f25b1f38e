"""``medsynth benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsynth.cli.compare import show_verdicts
from medsynth.cli.infer import Device

if TYPE_CHECKING:
    from medsynth.benchmark import BenchmarkReport

__all__ = ["benchmark"]


def benchmark(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Any .onnx files.")],
    out: Annotated[Path, typer.Option("--out", help="The JSON file to write.")],
    device: Device = "auto",
    batch_sizes: Annotated[str, typer.Option(help="Images in one run, separated by commas (offline).")] = "1,8,32",
    scenario: Annotated[str, typer.Option(help="offline, single-stream or server, as MLPerf names them.")] = "offline",
    rate: Annotated[float | None, typer.Option(help="Server: images that arrive in a second, at random.")] = None,
    target_ms: Annotated[float | None, typer.Option(help="Server: what the 99th percentile must keep.")] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Foreign model: height and width if free.")] = None,
    vs: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Measure MODEL (A) and OTHER (B) in turns, in fresh processes.")
    ] = None,
) -> None:
    """Time models on this machine. Exit 1 if one computes something else than it should, or --vs OTHER is slower.

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
    if vs is not None:
        given = (scenario != "offline", rate, target_ms, image_size, len(models) > 1)
        if any(given):
            raise ConfigError("--vs takes one MODEL, --batch-sizes and --device only.")
        _duel(models[0], vs, sizes, device, out)
        return
    options: dict[str, Any] = {
        "scenario": scenario,
        "rate": rate,
        "target_ms": target_ms,
        "image_size": image_size,
    }
    reports = []
    for model in models:
        with progress_bar(f"benchmark {model.name}", "batch sizes") as report:
            reports.append(measure(model, sizes, device, **options, on_progress=report))
    write_reports(reports, out)
    _show(reports)
    typer.echo(f"{out}: written.")
    wrong = [report for report in reports for row in report.batches if not row.outputs_agree]
    if wrong:
        raise CheckFailedError(f"{wrong[0].facts['model']['file']}: its outputs differ from what they must be.")


def _duel(a: Path, b: Path, sizes: list[int], device: str, out: Path) -> None:
    from medsynth.benchmark import duel
    from medsynth.benchmark.report import write_duels
    from medsynth.progress import progress_bar

    duels = []
    for size in sizes:
        with progress_bar(f"batch {size}", "processes") as report:
            duels.append(duel(a, b, size, device, on_progress=report))
    write_duels(duels, out)
    typer.echo(f"{out}: written.")
    show_verdicts([each.comparison for each in duels])


def _show(reports: list[BenchmarkReport]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"on {reports[0].facts['provider']}; n: too few runs to say", title_justify="left")
    for column in ("model", "scenario", "batch", "images/s", "median ms", "p90 ms", "p99 ms", "of peak", "runs", ""):
        table.add_column(column, justify="left" if column in {"model", "scenario", ""} else "right", overflow="fold")
    for report in reports:
        for row in report.batches:
            table.add_row(
                str(report.facts["model"]["file"]),
                row.scenario,
                str(row.batch_size),
                f"{row.images_per_second:.1f}",
                f"{row.median_ms:.2f}",
                *("n" if bound is None else f"<= {bound:.2f}" for bound in (row.p90_ms, row.p99_ms)),
                "" if row.share_of_peak is None else f"{row.share_of_peak:.0%}",
                str(row.runs),
                "" if row.valid else f"INVALID: {'; '.join(row.reasons)}",
            )
    Console().print(table)

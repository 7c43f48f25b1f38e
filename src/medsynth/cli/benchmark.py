"""``medsynth benchmark``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsynth.cli.compare import show_verdicts

if TYPE_CHECKING:
    from medsynth.benchmark import BenchmarkReport, Unmeasured

__all__ = ["benchmark"]


def benchmark(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL", help="Any .onnx files, one for each precision.")],
    out: Annotated[Path, typer.Option("--out", help="The JSON file to write.")],
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or tensorrt; several (cpu,cuda): all that work.")
    ] = "auto",
    batch_sizes: Annotated[str, typer.Option(help="Images in one run, separated by commas (offline).")] = "1,8,32",
    images: Annotated[
        Path | None,
        typer.Option(help="A folder or CSV of real images: fed to the model, and measured from file to result too."),
    ] = None,
    scenario: Annotated[str, typer.Option(help="offline, single-stream or server, as MLPerf names them.")] = "offline",
    rate: Annotated[float | None, typer.Option(help="Server: images that arrive in a second, at random.")] = None,
    target_ms: Annotated[float | None, typer.Option(help="Server: what the 99th percentile must keep.")] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Foreign model: height and width if free.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="A picture of it too: .png, .svg or .pdf.")] = None,
    vs: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Measure MODEL (A) and OTHER (B) in turns, in fresh processes.")
    ] = None,
) -> None:
    """Time models on this machine. Exit 1 if one computes something else than it should, or --vs OTHER is slower.

    Example: medsynth benchmark classifier.onnx --images scans/ --batch-sizes 1,8,32 --out timing.json

    A sweep: medsynth benchmark fp32.onnx int8.onnx --device cpu,cuda --out timing.json --plot timing.png
    """
    from medsynth.artifact.files import require_file
    from medsynth.benchmark import working_devices, write_reports
    from medsynth.errors import CheckFailedError, ConfigError
    from medsynth.outputs import ensure_file

    try:
        sizes = [int(part) for part in batch_sizes.split(",")]
    except ValueError:
        raise ConfigError(f"--batch-sizes must be whole numbers separated by commas. Got {batch_sizes!r}.") from None
    for model in [*models, *([] if vs is None else [vs])]:
        require_file(model)
    ensure_file(out)
    if vs is not None:
        if any((scenario != "offline", images, rate, target_ms, image_size, plot, len(models) > 1, "," in device)):
            raise ConfigError("--vs takes one MODEL, --batch-sizes and one --device only.")
        _duel(models[0], vs, sizes, device, out)
        return
    if plot is not None:
        from medsynth.benchmark.plot import check_plot_path

        check_plot_path(plot)
        ensure_file(plot)
    options: dict[str, Any] = {
        "images": images,
        "scenario": scenario,
        "rate": rate,
        "target_ms": target_ms,
        "image_size": image_size,
    }
    working, broken = working_devices([name.strip() for name in device.split(",")])
    reports: list[BenchmarkReport] = []
    unmeasured = list(broken)
    try:
        _sweep(models, working, sizes, options, reports, unmeasured)
    finally:  # An error of a later model, or Ctrl-C, does not take what was measured before.
        if reports:
            write_reports(reports, out, unmeasured)
            _show(reports, unmeasured)
            typer.echo(f"{out}: written.")
    if plot is not None:
        from medsynth.benchmark.plot import plot_reports

        plot_reports(reports, plot)
        typer.echo(f"{plot}: written.")
    wrong = [report for report in reports for row in report.batches if not row.outputs_agree]
    if wrong:
        raise CheckFailedError(f"{wrong[0].facts['model']['file']}: its outputs differ from what they must be.")


def _sweep(
    models: Sequence[Path],
    devices: Sequence[str],
    sizes: Sequence[int],
    options: Mapping[str, Any],
    reports: list[BenchmarkReport],
    unmeasured: list[Unmeasured],
) -> None:
    """Measure every model on every device, and add what was found to ``reports`` and ``unmeasured``.

    Raises:
        MemoryRanOutError: For every model, on every device.
        MedsynthError: As :func:`medsynth.benchmark.benchmark`.
    """
    from medsynth.benchmark import Unmeasured
    from medsynth.benchmark import benchmark as measure
    from medsynth.errors import MemoryRanOutError
    from medsynth.progress import progress_bar

    tried = sizes if options["scenario"] == "offline" else (1,)
    pairs = [(model, device) for model in models for device in devices]
    for number, (model, device) in enumerate(pairs, 1):
        try:
            with progress_bar(f"benchmark {model.name} on {device}", "rows") as report:
                reports.append(measure(model, sizes, device, **options, on_progress=report))
        except MemoryRanOutError as error:
            if not reports and number == len(pairs):
                raise
            reason = str(error).removeprefix(f"{model}: ")
            unmeasured += (
                Unmeasured(model=model.name, device=device, batch_size=size, reason=reason) for size in tried
            )


def _duel(a: Path, b: Path, sizes: list[int], device: str, out: Path) -> None:
    from medsynth.benchmark import duel
    from medsynth.benchmark.duel import write_duels
    from medsynth.progress import progress_bar

    duels = []
    for size in sizes:
        with progress_bar(f"batch {size}", "processes") as report:
            duels.append(duel(a, b, size, device, on_progress=report))
    write_duels(duels, out)
    typer.echo(f"{out}: written.")
    show_verdicts([each.comparison for each in duels])


def _show(reports: Sequence[BenchmarkReport], unmeasured: Sequence[Unmeasured]) -> None:
    """A table for each model and device that fits 80 columns; what spoils a row stands below it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for report in reports:
        model = report.facts["model"]
        scenario = report.batches[0].scenario
        console.print(Text(f"{model['file']} ({model['precision']}) on {report.facts['device']}, {scenario}", "bold"))
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for column in ("batch", "images/s", "median ms", "p90 ms", "p99 ms", "of peak", "runs"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("")
        for row in report.batches:
            table.add_row(
                row.scope,
                str(row.batch_size),
                f"{row.images_per_second:.1f}",
                f"{row.median_ms:.2f}",
                *("n" if bound is None else f"{bound:.2f}" for bound in (row.p90_ms, row.p99_ms)),
                "" if row.share_of_peak is None else f"{row.share_of_peak:.0%}",
                str(row.runs),
                "" if row.valid else "INVALID",
            )
        console.print(table)
        for row in report.batches:
            if not row.valid:
                reasons = "; ".join(row.reasons)
                console.print(Text(f"INVALID, {row.scope} at batch {row.batch_size}: {reasons}."), soft_wrap=False)
        for each in report.unmeasured:
            console.print(Text(f"Not measured, batch {each.batch_size}: {each.reason}"))
        console.print(Text(f"Loaded in {report.load_seconds:.2f} s; {_memory(report)}.\n"))
    for each in unmeasured:
        what = "" if each.model is None else f", {each.model} on {each.device}, batch {each.batch_size}"
        console.print(Text(f"Not measured{what}: {each.reason}"))
    console.print(Text("p90, p99: upper bounds that hold with 99 % confidence; n: too few runs to say."))


def _memory(report: BenchmarkReport) -> str:
    used = "peak memory not known" if report.peak_memory_mib is None else f"at most {report.peak_memory_mib:.0f} MiB"
    gpus = [row.after.gpu for row in report.batches if row.after.gpu]
    taken = [gpu.memory_mib for gpu in gpus if gpu.memory_mib is not None]
    return f"{used}, {max(taken):.0f} MiB of the GPU" if taken else used

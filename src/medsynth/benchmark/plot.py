"""A picture of a benchmark. Imported only when one is asked for: matplotlib costs half a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from medsynth.errors import ConfigError
from medsynth.outputs import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from medsynth.benchmark.report import BatchResult, BenchmarkReport

__all__ = ["check_plot_path", "draw", "plot_reports"]

_SUFFIXES = (".png", ".svg", ".pdf")
# Okabe and Ito: told apart by colour-blind readers too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def check_plot_path(path: str | Path) -> None:
    """Refuse a suffix that is no picture.

    Raises:
        ConfigError: It is none.
    """
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"--plot must end in {', '.join(_SUFFIXES)}. Got {Path(path).name!r}.")


def plot_reports(reports: Sequence[BenchmarkReport], path: str | Path) -> None:
    """Draw :func:`draw` into a file, atomically.

    Raises:
        ConfigError: The suffix is no picture.
        OutputError: It cannot be written.
    """
    check_plot_path(path)
    figure = draw(reports)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=150)


def draw(reports: Sequence[BenchmarkReport]) -> Figure:
    """Speed and latency over the batch size, or, where single images were served, how latencies are spread.

    End-to-end rows are dashed; INVALID ones are crossed out, and still drawn.
    """
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    offline = all(row.scenario == "offline" for report in reports for row in report.batches)
    if offline:
        speed, latency = figure.subplots(1, 2)
        _draw_sweep(speed, latency, reports)
    else:
        _draw_latencies(figure.subplots(), reports)
    axes = figure.axes[0]
    if any(not row.valid for report in reports for row in report.batches):
        axes.plot([], [], "x", color="black", markersize=9, label="INVALID")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _series(reports: Sequence[BenchmarkReport]) -> Iterator[tuple[str, str, str, list[BatchResult]]]:
    """Label, colour, line style and rows."""
    for index, report in enumerate(reports):
        model = report.facts["model"]
        for scope, style in (("model", "-"), ("end-to-end", "--")):
            rows = sorted((row for row in report.batches if row.scope == scope), key=lambda row: row.batch_size)
            if rows:
                label = f"{model['file']} ({model['precision']}) on {report.facts['device']}, {scope}"
                yield label, _COLOURS[index % len(_COLOURS)], style, rows


def _draw_sweep(speed: Axes, latency: Axes, reports: Sequence[BenchmarkReport]) -> None:
    for label, colour, style, rows in _series(reports):
        sizes = [row.batch_size for row in rows]
        for axes, values in (
            (speed, [row.images_per_second for row in rows]),
            (latency, [row.median_ms for row in rows]),
        ):
            axes.plot(sizes, values, style, marker="o", color=colour, label=label)
            for size, value, row in zip(sizes, values, rows, strict=True):
                if not row.valid:
                    axes.plot(size, value, "x", color="black", markersize=9, zorder=3)
    sizes = sorted({row.batch_size for report in reports for row in report.batches})
    for axes in (speed, latency):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_major_formatter(FixedFormatter([str(size) for size in sizes]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("batch size (images in one run)")
        axes.grid(alpha=0.3)
    speed.set_ylabel("images / s")
    speed.set_ylim(bottom=0)
    latency.set_ylabel("median latency of a run, ms")
    latency.set_yscale("log")


def _draw_latencies(axes: Axes, reports: Sequence[BenchmarkReport]) -> None:
    for label, colour, style, rows in _series(reports):
        for row in rows:
            ordered = sorted(row.latencies_ms)
            shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
            axes.step(ordered, shares, style, where="post", color=colour, label=f"{label}, {row.scenario}")
            for bound, share in ((row.p90_ms, 90), (row.p99_ms, 99)):
                if bound is not None:
                    axes.plot(bound, share, "o", color=colour)
                    if not row.valid:
                        axes.plot(bound, share, "x", color="black", markersize=9, zorder=3)
            if row.target_ms is not None:
                axes.axvline(row.target_ms, color="black", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("latency of one image, ms (dots: upper bounds of the 90th and 99th percentile; dotted: target)")
    axes.set_ylabel("images that took at most that, %")
    axes.grid(alpha=0.3)

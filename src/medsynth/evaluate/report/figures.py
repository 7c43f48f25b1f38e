"""The report's charts as SVG text; see :mod:`medsynth.evaluate.report.drawing` for their style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medsynth.evaluate.report.drawing import COLOURS, canvas, plain, styles, svg
from medsynth.evaluate.report.history import thinned
from medsynth.metrics.roc import GRID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics import Estimate, PrecisionRecall, Reliability, Roc

__all__ = [
    "classifier_curves",
    "generator_curves",
    "precision_recall_figure",
    "reliability_figure",
    "roc_figure",
]


def roc_figure(curves: Sequence[tuple[str, Roc, Estimate]]) -> str:
    """ROC curves, each with its name, its 95 % band and its AUC in the legend."""
    figure, axes = canvas(width=4.8, height=4.6)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle=":", label="guessing, AUC 0.5")
    for (name, curve, area), (colour, dash) in zip(curves, styles(), strict=False):
        if curve.band_low is not None and curve.band_high is not None:
            axes.fill_between(GRID, curve.band_low, curve.band_high, color=colour, alpha=0.16, linewidth=0)
        value = "" if area.value is None else f", AUC {area.value:.3f}"
        axes.plot(curve.fpr, curve.tpr, color=colour, linestyle=dash, linewidth=1.8, label=f"{name}{value}")
    axes.set(xlabel="false positive rate (1 − specificity)", ylabel="true positive rate (sensitivity)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return svg(figure)


def precision_recall_figure(curves: Sequence[tuple[str, PrecisionRecall, Estimate]]) -> str:
    """Precision over recall as steps, each with its name, its 95 % band and its average precision in the legend."""
    figure, axes = canvas(width=4.8, height=4.6)
    for (name, curve, area), (colour, dash) in zip(curves, styles(), strict=False):
        if curve.low is not None and curve.high is not None:
            axes.fill_between(GRID, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
        value = "" if area.value is None else f", AP {area.value:.3f}"
        recall, precision = [0.0, *curve.recall], [curve.precision[0], *curve.precision]
        style = {"color": colour, "linestyle": dash, "linewidth": 1.8}
        axes.step(recall, precision, where="pre", label=f"{name}{value}", **style)
        axes.axhline(curve.share, color=colour, linewidth=1, linestyle=":")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision (positive predictive value)")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower left", fontsize=9, frameon=False)
    return svg(figure)


def reliability_figure(curve: Reliability, name: str) -> str:
    """Frequency of a class over its probability with 95 % bars, above the number of images in each bin."""
    figure = Figure(figsize=(4.8, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    filled = curve.counts > 0
    mean, frequency = curve.mean[filled], curve.frequency[filled]
    upper.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle=":", label="as often as said")
    upper.vlines(mean, curve.low[filled], curve.high[filled], color=COLOURS[0], alpha=0.35, linewidth=5)
    upper.plot(mean, frequency, color=COLOURS[0], linewidth=1.4, marker="o", markersize=4, label=name)
    upper.set(ylabel=f"share that is {name}", xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    upper.legend(loc="upper left", fontsize=9, frameon=False)
    lower.bar(curve.edges[:-1], curve.counts, width=np.diff(curve.edges), align="edge", color=COLOURS[0], alpha=0.7)
    lower.set(xlabel=f"probability of {name}", ylabel="images")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    for axes in (upper, lower):
        plain(axes)
    return svg(figure)


def classifier_curves(series: Mapping[str, NDArray[np.float64]], best: int | None = None) -> tuple[str, str]:
    """Losses, and metrics, by epoch.

    Args:
        series: Columns of the history, ``epoch`` among them.
        best: Epoch whose weights were kept, counted from 1.
    """
    losses = {"loss": "training", "val_loss": "validation"}
    scores = {
        "accuracy": "training accuracy",
        **{f"val_{name}": f"validation {name}" for name in ("accuracy", "precision", "recall")},
        "val_f1": "validation F1",
        "val_auc": "validation AUC",
    }
    return (
        _curves(series, "epoch", losses, ylabel="loss", mark=best, bottom=0.0),
        _curves(series, "epoch", scores, ylabel="score", mark=best),
    )


def generator_curves(series: Mapping[str, NDArray[np.float64]]) -> dict[str, str]:
    """Everything that a generator's train step returned, by step: charts ``loss`` and ``accuracy``."""
    names = [name for name in series if name not in {"step", "epoch", "seconds"}]
    scores = {name: name.replace("_", " ") for name in names if name.endswith("accuracy")}
    losses = {name: name.replace("_", " ") for name in names if name not in scores}
    count = "step" if "step" in series else "epoch"
    thin = thinned(dict(series))
    charts = {"loss": losses, "accuracy": scores}
    return {title: _curves(thin, count, lines, ylabel=title) for title, lines in charts.items() if lines}


def _curves(
    series: Mapping[str, NDArray[np.float64]],
    count: str,
    names: Mapping[str, str],
    *,
    ylabel: str,
    mark: int | None = None,
    bottom: float | None = None,
) -> str:
    """One chart: the columns ``names`` (column -> label) over the column ``count``."""
    figure, axes = canvas(width=4.8, height=3.6)
    drawn = [(name, label) for name, label in names.items() if name in series]
    marker = "o" if len(series[count]) <= 40 else ""
    for (name, label), (colour, dash) in zip(drawn, styles(), strict=False):
        style = {"color": colour, "linestyle": dash, "linewidth": 1.5, "marker": marker, "markersize": 3}
        axes.plot(series[count], series[name], label=label, **style)
    if mark is not None:
        axes.axvline(mark, color="#888888", linewidth=1, linestyle=":")
    axes.set(xlabel=count, ylabel=ylabel)
    axes.set_ylim(bottom=bottom)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    # Inside the axes many names would cover the lines.
    figure.legend(loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    return svg(figure)

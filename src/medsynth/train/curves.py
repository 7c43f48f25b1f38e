"""The history of a run as one picture in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medsynth.outputs import atomic_write

__all__ = ["draw_classifier_curves", "draw_generator_curves", "draw_watch"]

Rows = Sequence[dict[str, Any]]


def draw_classifier_curves(rows: Rows, path: Path) -> None:
    """Loss and validation metrics by epoch."""
    epochs = [row["epoch"] + 1 for row in rows]
    losses = {"training loss": "loss", "validation log-loss": "val_loss"}
    scores = {"training accuracy": "accuracy"} | {
        f"validation {name}": f"val_{name}" for name in ("accuracy", "f1", "precision", "recall", "auc")
    }
    _draw(path, "epoch", epochs, [("loss", losses), ("score", scores)], rows)


def draw_generator_curves(rows: Rows, path: Path) -> None:
    """Losses, and accuracies and probabilities, by step, with a running mean over 1 % of the steps."""
    names = [name for name in rows[0] if name not in {"step", "seconds"} and not name.startswith("watch_")]
    losses = {name.replace("_", " "): name for name in names if not name.endswith(("accuracy", "probability"))}
    scores = {name.replace("_", " "): name for name in names if name.endswith(("accuracy", "probability"))}
    smooth = max(1, len(rows) // 100)
    _draw(path, "step", [row["step"] + 1 for row in rows], [("loss", losses), ("share", scores)], rows, smooth)


def draw_watch(rows: Rows, path: Path) -> None:
    """Distance from real images, and diversity of each class, at every grid."""
    seen = [row for row in rows if "watch_distance" in row]
    if seen:
        diversity = {name.removeprefix("watch_").replace("_", " "): name for name in seen[0] if "_diversity_" in name}
        panels = [("kernel distance", {"distance": "watch_distance"}), ("share of the real diversity", diversity)]
        _draw(path, "step", [row["step"] + 1 for row in seen], panels, seen)


def _draw(
    path: Path, unit: str, at: Sequence[int], panels: Sequence[tuple[str, dict[str, str]]], rows: Rows, smooth: int = 1
) -> None:
    from matplotlib.figure import Figure

    panels = [panel for panel in panels if panel[1]]
    figure = Figure(figsize=(5.5 * len(panels), 3.8), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for label, name in lines.items():
            values = np.array([row[name] for row in rows], float)
            if smooth > 1:
                values = np.convolve(values, np.full(smooth, 1 / smooth), mode="valid")
            axes.plot(at[len(at) - len(values) :], values, label=label, linewidth=1.2)
        axes.set_xlabel(unit)
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)

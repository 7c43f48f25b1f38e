"""Keep the results of a ``medsynth run`` without any real image: numbers, curves, filmstrips of generated images.

python benchmarks/record_run.py runs/ct benchmarks/results/ct-reports
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

METRICS = ("loss", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "auc")


def main(run: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    metrics = json.loads((run / "metrics.json").read_text())
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    for name in ("history.jsonl", "curves.png"):
        shutil.copy(run / "runs" / "classifier" / name, out / f"classifier-{name}")
    # The generator's history has a line for each step; its curve says it.
    shutil.copy(run / "runs" / "generator" / "curves.png", out / "generator-curves.png")
    for strip in (run / "runs" / "generator").glob("filmstrip-*.png"):
        shutil.copy(strip, out / strip.name)
    _roc(metrics, out / "roc.png")
    (out / "table.md").write_text("\n".join(_table(metrics)) + "\n")


def _table(metrics: dict[str, Any]) -> list[str]:
    references = metrics["references"]
    heads = ["metric", "classifier, test part", "generated images, classifier's verdict"]
    heads += [f"{each['label']}: {side}" for each in references for side in ("test", "generated")]
    rows = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for name in METRICS:
        cells = [name, *(_interval(metrics[side]["overall"][name]) for side in ("classifier", "generator"))]
        for each in references:
            cells += [_number(each[side].get(name)) for side in ("classifier", "generator")]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _interval(value: dict[str, float]) -> str:
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _roc(metrics: dict[str, Any], picture: Path) -> None:
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    positive = metrics["classifier"]["positive"]
    index = metrics["data"]["classes"].index(positive)
    for side, label in (("classifier", "test part"), ("generator", "generated images")):
        curve, auc = metrics[side]["roc"][index], metrics[side]["overall"]["auc"]["value"]
        axes.plot(curve["fpr"], curve["tpr"], label=f"{label}, AUC {auc:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel(f"true positive rate ({positive})")
    axes.legend()
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

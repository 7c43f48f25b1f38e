"""The recorded JSON files of seeds.py, folds.py and recipes.py as Markdown tables.

python benchmarks/classifier/tables.py benchmarks/results/classifier/*.json > benchmarks/results/classifier/tables.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _whole(seconds: float | None) -> str:
    """Empty where a run was interrupted, so that its seconds mean nothing."""
    return "" if seconds is None else f"{seconds:.0f}"


def of_seeds(told: dict[str, Any]) -> Iterator[str]:
    heads = "seed, accuracy, F1, AUC, accuracy at 0.5, validation AUC, threshold, T, seconds"
    yield f"| {heads.replace(', ', ' | ')} |"
    yield f"|{' --- |' * 9}"
    for run in told["runs"]:
        test, seen = run["test"], run["validation"]
        cells = [test["accuracy"], test["f1"], test["auc"], run["test_at_half"], seen["auc"]]
        cells += [run["threshold"], run["temperature"]]
        yield f"| {run['seed']} | {' | '.join(f'{cell:.3f}' for cell in cells)} | {_whole(run['seconds'])} |"
    means = [
        f"{told['summary'][name]['mean']:.3f} ± {told['summary'][name]['sd']:.3f}" for name in ("accuracy", "f1", "auc")
    ]
    yield f"| mean ± sd | {' | '.join(means)} | | | | | {told['summary']['seconds']['mean']:.0f} |"
    if "calibration" in told["runs"][0]:
        yield ""
        yield from _of_calibration(told["runs"])


def _of_calibration(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Expected calibration error, beside what chance alone gives a perfectly calibrated model."""
    yield "| seed | validation, in sample | validation, cross-fitted | validation floor | test | test floor |"
    yield f"|{' --- |' * 6}"
    for run in runs:
        seen = run["calibration"]
        cells = [seen["in_sample"], seen["cross_fitted"], seen["floor"]["mean"]]
        cells += [run["test_calibration_error"], run["test_calibration_floor"]["mean"]]
        yield f"| {run['seed']} | {' | '.join(f'{cell:.3f}' for cell in cells)} |"


def of_recipes(told: dict[str, Any]) -> Iterator[str]:
    names = ["auc", "accuracy", "accuracy_at_half", "calibration_error"]
    yield "| recipe | AUC | accuracy | accuracy at 0.5 | ECE | AUC of each fold |"
    yield f"|{' --- |' * 6}"
    for recipe, found in told["recipes"].items():
        cells = " | ".join(f"{found['summary'][name]['mean']:.3f}" for name in names)
        each = ", ".join(f"{row['auc']:.3f}" for row in found["folds"])
        yield f"| {recipe} | {cells} | {each} |"


def of_folds(told: dict[str, Any]) -> Iterator[str]:
    names = list(told["summary"])
    yield f"| fold | images | {' | '.join(name.replace('_', ' ') for name in names)} | seconds |"
    yield f"|{' --- |' * (len(names) + 3)}"
    for row in told["folds"]:
        cells = " | ".join(f"{row['test'][name][0]:.3f}" for name in names)
        yield f"| {row['fold'] + 1} | {row['images']} | {cells} | {_whole(row['seconds'])} |"
    cells = " | ".join(f"{each['mean']:.3f} ± {each['sd']:.3f}" for each in told["summary"].values())
    yield f"| mean ± sd | | {cells} | |"


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        told = json.loads(path.read_text())
        for key, lines in (("runs", of_seeds), ("folds", of_folds), ("recipes", of_recipes)):
            if key in told:
                print(f"### {path.stem}\n")
                print("\n".join(lines(told)), end="\n\n")


if __name__ == "__main__":
    main()

"""The recorded JSON files of seeds.py and folds.py as Markdown tables.

python benchmarks/classifier/tables.py benchmarks/results/classifier/*.json > benchmarks/results/classifier/tables.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def of_seeds(told: dict[str, Any]) -> Iterator[str]:
    heads = "seed, accuracy, F1, AUC, accuracy at 0.5, ECE, validation AUC, validation ECE, threshold, T, seconds"
    yield f"| {heads.replace(', ', ' | ')} |"
    yield f"|{' --- |' * 11}"
    for run in told["runs"]:
        test, seen = run["test"], run["validation"]
        cells = [test["accuracy"], test["f1"], test["auc"], run["test_at_half"], run["test_calibration_error"]]
        cells += [seen["auc"], seen["calibration_error"], run["threshold"], run["temperature"]]
        yield f"| {run['seed']} | {' | '.join(f'{cell:.3f}' for cell in cells)} | {run['seconds']:.0f} |"
    means = [
        f"{told['summary'][name]['mean']:.3f} ± {told['summary'][name]['sd']:.3f}" for name in ("accuracy", "f1", "auc")
    ]
    yield f"| mean ± sd | {' | '.join(means)} | | | | | | | {told['summary']['seconds']['mean']:.0f} |"


def of_folds(told: dict[str, Any]) -> Iterator[str]:
    names = list(told["summary"])
    yield f"| fold | images | {' | '.join(name.replace('_', ' ') for name in names)} | seconds |"
    yield f"|{' --- |' * (len(names) + 3)}"
    for row in told["folds"]:
        cells = " | ".join(f"{row['test'][name][0]:.3f}" for name in names)
        yield f"| {row['fold'] + 1} | {row['images']} | {cells} | {row['seconds']:.0f} |"
    cells = " | ".join(f"{each['mean']:.3f} ± {each['sd']:.3f}" for each in told["summary"].values())
    yield f"| mean ± sd | | {cells} | |"


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        told = json.loads(path.read_text())
        if "runs" in told or "folds" in told:
            print(f"### {path.stem}\n")
            print("\n".join(of_seeds(told) if "runs" in told else of_folds(told)), end="\n\n")


if __name__ == "__main__":
    main()

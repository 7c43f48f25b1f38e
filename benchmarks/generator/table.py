"""The study's JSON files as Markdown tables.

python benchmarks/generator/table.py benchmarks/results/generator/study > benchmarks/results/generator/study.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEADS = "run, steps, judge, precision, recall, density, coverage, KID, TSTR accuracy, TSTR AUC, checkerboard, MS-SSIM"


def cell(found: list[float]) -> str:
    return f"{found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})"


def likeness(told: dict[str, list[float]]) -> str:
    return ", ".join(f"{values[0]:.3f}" for values in told.values())


def row(name: str, told: dict[str, Any]) -> str:
    synthetic = told["train_on_synthetic"]
    cells = [str(told["steps"]), cell(told["judge_accuracy"])]
    cells += [cell(told[key]) for key in ("precision", "recall", "density", "coverage", "kid")]
    cells += [cell(synthetic["accuracy"]), cell(synthetic["auc"]), f"{told['checkerboard']:.3f}"]
    return f"| {name} | {' | '.join(cells)} | {likeness(told['ms_ssim'])} |"


def real(name: str, told: dict[str, Any]) -> list[str]:
    judge, lines = told["judge_on_real_test"], []
    for key in ("train_against_test", "halves_of_train"):
        cells = [cell(told[key][each]) for each in ("precision", "recall", "density", "coverage", "kid")]
        own = [cell(judge["accuracy"]), cell(judge["auc"])] if key == "train_against_test" else ["", ""]
        tail = [f"{told['checkerboard']:.3f}", likeness(told["ms_ssim"])]
        lines.append(f"| {name}: {key.replace('_', ' ')} | | | {' | '.join([*cells, *own, *tail])} |")
    return lines


def main() -> None:
    files = {path.stem: json.loads(path.read_text()) for path in sorted(Path(sys.argv[1]).glob("*.json"))}
    print(f"| {HEADS.replace(', ', ' | ')} |\n|{' --- |' * 12}")
    for name, told in files.items():
        print("\n".join(real(name, told)) if name.startswith("real-") else row(name, told))


if __name__ == "__main__":
    main()

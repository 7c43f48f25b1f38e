"""The study's JSON files as Markdown tables.

python benchmarks/generator/table.py benchmarks/results/generator/study > benchmarks/results/generator/study.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SPACES = ("", "_random")
DISTANCES = ("precision", "recall", "density", "coverage", "kid")
HEADS = [
    "run", "steps", "judge", *DISTANCES, *(f"{each} (random features)" for each in DISTANCES),
    "TSTR accuracy", "TSTR AUC", "TSTR AUC from random weights", "checkerboard", "MS-SSIM",
]  # fmt: skip


def cell(found: list[float] | None) -> str:
    """Empty where a run has no such figure, as it was measured before there was one."""
    return "" if found is None else f"{found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})"


def likeness(told: dict[str, list[float]]) -> str:
    return ", ".join(f"{values[0]:.3f}" for values in told.values())


def row(name: str, told: dict[str, Any]) -> str:
    synthetic, untaught = told["train_on_synthetic"], told.get("untaught_on_synthetic", {})
    cells = [name, str(told["steps"]), cell(told["judge_accuracy"])]
    cells += [cell(told.get(key + space)) for space in SPACES for key in DISTANCES]
    cells += [cell(synthetic["accuracy"]), cell(synthetic["auc"]), cell(untaught.get("auc"))]
    return line([*cells, f"{told['checkerboard']:.3f}", likeness(told["ms_ssim"])])


def real(name: str, told: dict[str, Any]) -> list[str]:
    judge, untaught, lines = told["judge_on_real_test"], told.get("untaught_on_real_test", {}), []
    for key in ("train_against_test", "train_against_noisy_test", "halves_of_train"):
        found = [told.get(key + space, {}) for space in SPACES]
        own = [cell(judge["accuracy"]), cell(judge["auc"]), cell(untaught.get("auc"))]
        lines.append(
            line(
                [
                    *(f"{name}: {key.replace('_', ' ')}", "", ""),
                    *(cell(each.get(name)) for each in found for name in DISTANCES),
                    *(own if key == "train_against_test" else ["", "", ""]),
                    *(f"{told['checkerboard']:.3f}", likeness(told["ms_ssim"])),
                ]
            )
        )
    return lines


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of the study's JSON files")
    found = sorted(parser.parse_args().results.glob("*.json"))
    files = {path.stem: json.loads(path.read_text()) for path in found}
    print(f"{line(HEADS)}\n|{' --- |' * len(HEADS)}")
    for name, told in files.items():
        print("\n".join(real(name, told)) if name.startswith("real-") else row(name, told))


if __name__ == "__main__":
    main()

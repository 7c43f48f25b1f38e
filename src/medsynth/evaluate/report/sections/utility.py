"""Does training on generated images help?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medsynth.evaluate.report.blocks import Block, Cell, Section, Table, text
from medsynth.evaluate.report.words import estimate_cell, number

if TYPE_CHECKING:
    from medsynth.evaluate.generator import GeneratorReport
    from medsynth.evaluate.utility import Arm

__all__ = ["utility_section"]


def utility_section(generator: GeneratorReport) -> Section:
    """The probe's arms."""
    report = generator.utility
    note = (
        f"Means of {report.seeds} draws of the training images, the same in every row. Each class has the same weight "
        "in every row, however many images there are. Gain: over real images alone, paired; its interval and p-value "
        "(two-sided, of no gain) are a bootstrap over test images, or patients where known, and draws."
    )
    blocks: list[Block] = [
        text(
            f"A probe (logistic regression on {report.space}) learns from real images, from generated ones and from "
            f"both, and is tested on the {report.part} part, which the generator has not seen. The verdict is about "
            "all real with all generated images; that was fixed beforehand.",
        ),
        Table(
            "Training with and without generated images",
            ("The probe learned from", "Tested on", "AUC", "Balanced accuracy", "Gain in AUC", "p"),
            tuple(map(_row, report.arms)),
            notes=(note,),
        ),
    ]
    return Section("utility", "Utility", tuple(blocks))


def _row(arm: Arm) -> tuple[Cell, ...]:
    if arm.name == "real":
        learned = Cell("real images alone", f"{arm.real:,}")
    elif arm.real:
        learned = Cell(arm.name, f"{arm.real:,} + {arm.added:,}")
    else:
        learned = Cell(f"{arm.name} images alone", f"{arm.added:,}")
    if arm.error is not None:
        return learned, Cell(arm.tested_on), Cell("no number", arm.error), *[Cell("–")] * 3
    gain = estimate_cell(arm.gain)
    numbers = (estimate_cell(arm.auc), estimate_cell(arm.balanced_accuracy), gain, Cell(number(arm.p)))
    return learned, Cell(arm.tested_on), *numbers

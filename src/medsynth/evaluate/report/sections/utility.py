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
    """What the probe, or a retrained network, made of each set of images."""
    report = generator.utility
    note = (
        f"Means of {report.seeds} draws of the training images, the same in every row. More images do not make more or "
        "larger steps. Gain: over real images alone, paired; its "
        "interval and p-value (two-sided, of no gain) are a bootstrap over test images, or patients where known, and "
        "draws. It is an upper bound for generated images: their generator learned from every training image, those "
        "that a draw leaves out included."
    )
    on = "" if report.space is None else f" on {report.space}"
    blocks: list[Block] = [
        text(
            f"A {report.learner} ({report.description}{on}) learns from real images, from generated ones and from "
            f"both, and is tested on the {report.part} part, which the generator has not seen. The verdict is about "
            "all real with all generated images; that was fixed beforehand.",
        ),
        Table(
            "Training with and without generated images",
            (f"The {report.learner} learned from", "Tested on", "AUC", "Balanced accuracy", "Gain in AUC", "p"),
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

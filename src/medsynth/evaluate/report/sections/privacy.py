"""Do generated images give a training image away?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medsynth.evaluate.privacy import PIXELS
from medsynth.evaluate.report.blocks import Block, Cell, Picture, Pictures, Points, Section, Table, photo, text
from medsynth.evaluate.report.words import count, estimate_cell, number

if TYPE_CHECKING:
    from medsynth.evaluate.generator import GeneratorReport
    from medsynth.evaluate.privacy import Lookalike, PrivacyRow

__all__ = ["privacy_section"]

_MEANING = {
    "distance": "median distance to the nearest training image; far below the control is suspicious",
    "copies": "share of images so near to a training image that they must be copies",
    "authenticity": "share that is farther from the nearest training image than that one is from the next; 0: copies",
    "copying-test": "C_T: below −3, nearer to training images than other real images are",
    "membership": "AUC of telling training images from others by a generated image near them; its control is what the "
    "mean of the training images gets, which remembers nobody: above 0.5 where the two parts differ as groups",
    "classifier-membership": "the same by the loss of the classifier file: what that file, not the images, gives away",
}


def privacy_section(generator: GeneratorReport) -> Section:
    """Tests of copying beside their controls, and the nearest pairs."""
    report = generator.privacy
    blocks: list[Block] = [
        text(
            f"{count(generator.count, 'generated image')} against {count(report.train, 'training image')}, all of "
            f"them, and {count(report.held_out, 'image')} of the {report.part} part, which the generator has not "
            "seen. Control: the same number with real images of that part in the place of the generated ones, where "
            "nothing else is said.",
        )
    ]
    if report.duplicates:
        told = (
            f"{report.duplicates:,} of these {report.held_out:,} images equal a training image. Limits for copies were "
            "measured without them; the control of copies counts them."
        )
        blocks.append(Points((told,), warns=True))
    for space in dict.fromkeys(row.space for row in report.rows):
        where = f"in {space}" if space not in {None, PIXELS} else "in pixels, at most 32 x 32" if space else ""
        caption = f"Nearness to training images, {where}" if where else "What the classifier gives away"
        rows = tuple(_row(row) for row in report.rows if row.space == space)
        blocks.append(Table(caption, ("Test", "Generated", "Control"), rows))
    if report.lookalikes:
        blocks += [
            text(
                "The generated images (left) that are nearest to a training image (right), of both spaces. A number "
                "of 1 or less is a copy: nearer than half the distance that only 1 % of the other real images reach."
            ),
            Pictures(tuple(map(_pair, report.lookalikes)), columns=2),
        ]
    return Section("privacy", "Privacy", tuple(blocks))


def _row(row: PrivacyRow) -> tuple[Cell, ...]:
    value = estimate_cell(row.estimate) if row.error is None else Cell("no number", row.error)
    return Cell(row.name.replace("-", " "), _MEANING[row.name]), value, Cell(number(row.control))


def _pair(pair: Lookalike) -> Picture:
    gap = np.full((pair.made.shape[0], 2, pair.made.shape[2]), 255, np.uint8)
    near = "–" if pair.nearness is None else f"{pair.nearness:.2f}"
    verdict = "copy, " if pair.copy else ""
    return photo(
        np.concatenate([pair.made, gap, pair.real], axis=1),
        alt=f"Generated image {pair.index} beside the nearest training image.",
        caption=f"{verdict}{near} in {pair.space}: image {pair.index} and {pair.name}",
    )

"""Which number catches which fault: faults planted in images of further phantom patients, and what every number says.

    python benchmarks/planted_faults.py            prints the table of docs/explanation/planted-faults.md
    python benchmarks/planted_faults.py --numbers  with every value

All is done four times, with other phantom patients each time. The rules of the lights were settled while looking at the
first draw; the others are a test of them.

The faultless sets are slices of patients that are in no other set: what a generator makes that has learned everything.
A number catches a fault when it, and its whole 95 % interval where it has one, is worse than that of each of three
faultless sets by more than these differ among themselves; a light, when it is worse than each of theirs. Features are
grey levels and edges of squares of 8 by 8 pixels.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter
from threadpoolctl import threadpool_limits

from medsynth.dataset import make_phantom
from medsynth.evaluate.answers import LIGHTS
from medsynth.evaluate.assess import Assessment, assess
from medsynth.evaluate.sides import Side
from medsynth.metrics import Estimate, Resampling

SIZE, SLICES, SQUARES = 32, 2, 4
TRAIN, HELD_OUT, MADE, SETS = 320, 120, 160, 3
"""Patients."""

DRAWS = 4

LOWER_IS_BETTER = {"copies", "membership"}


def features_of(images: np.ndarray) -> np.ndarray:
    """Mean grey level, edges across and edges down in each square: float32 (n, 48)."""
    grey = images[..., 0].astype(np.float32) / 255
    across, down = np.abs(np.diff(grey, axis=2, append=0)), np.abs(np.diff(grey, axis=1, append=0))
    step = SIZE // SQUARES
    maps = [each.reshape(len(grey), SQUARES, step, SQUARES, step).mean(axis=(2, 4)) for each in (grey, across, down)]
    # Edges are fainter than grey levels, and as telling.
    return np.concatenate(
        [scale * each.reshape(len(grey), -1) for scale, each in zip((1, 8, 8), maps, strict=True)], axis=1
    )


def side(images: np.ndarray, labels: np.ndarray, **rest: object) -> Side:
    return Side(images=images, labels=labels, features=features_of(images), **rest)


def patients(draw: int) -> list[Side]:
    """Training, held-out and faultless sets, no patient in two of them."""
    drawn = make_phantom(patients=TRAIN + HELD_OUT + SETS * MADE, slices_per_patient=SLICES, size=SIZE, seed=draw)
    edges = np.cumsum([0, TRAIN, HELD_OUT, *[MADE] * SETS]) * SLICES
    return [
        side(drawn.images[a:b, :, :, None], drawn.labels[a:b], names=drawn.names[a:b], groups=drawn.groups[a:b])
        for a, b in itertools.pairwise(edges)
    ]


def _each(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(image[..., 0])))[..., None] for image in images])


FAULTS: dict[str, Callable[[Side, Side], Side]] = {
    "one image per class": lambda made, _: made.take([int(np.flatnonzero(made.labels == y)[0]) for y in made.labels]),
    "swapped labels": lambda made, _: replace(made, labels=1 - made.labels),
    "training images": lambda made, train: train.take(np.arange(len(made))),
    "blur": lambda made, _: side(_each(made.images, lambda i: i.filter(ImageFilter.GaussianBlur(1.0))), made.labels),
    "wrong grey range": lambda made, _: side((64 + made.images * 0.5).astype(np.uint8), made.labels),
}


def numbers_of(found: Assessment) -> dict[str, tuple[Estimate, bool]]:
    """Every number, and whether a higher one is better."""
    numbers = {}
    for row in found.metrics:
        if row.estimate.value is not None and row.higher_is_better is not None:
            numbers[row.name] = (row.estimate, row.higher_is_better)
    arms = {(arm.name, arm.tested_on): arm for arm in found.utility.arms}
    lead = found.utility.leading
    assert lead is not None
    numbers["auc of generated alone"] = (arms["generated", "real"].auc, True)
    numbers["gain"] = (lead.gain, True)
    for row in found.privacy.rows:
        if row.estimate.value is not None and row.space is not None:
            numbers[f"{row.name}, {row.space}"] = (row.estimate, row.name not in LOWER_IS_BETTER)
    return numbers


def examine(draw: int) -> tuple[dict[str, dict[str, bool]], dict[str, dict[str, float]]]:
    """Line -> fault -> whether it is caught; and line -> set -> value (of a light: its place from best to worst)."""
    train, held_out, *good = patients(draw)
    sets = {f"faultless {index + 1}": each for index, each in enumerate(good)}
    sets |= {fault: plant(good[0], train) for fault, plant in FAULTS.items()}
    found: dict[str, dict[str, Estimate]] = {}
    better: dict[str, bool] = {}
    for name, made in sets.items():
        with threadpool_limits(1):  # Small sets: threads would wait for each other.
            assessed = assess(train, held_out, made, space="squares", resampling=Resampling(resamples=100))
        for answer in assessed.answers:
            found.setdefault(f"**{answer.question}**", {})[name] = Estimate(float(LIGHTS.index(answer.light)))
            better[f"**{answer.question}**"] = False
        for line, (estimate, higher) in numbers_of(assessed).items():
            found.setdefault(line, {})[name] = estimate
            better[line] = higher
    caught = {
        line: {
            fault: is_caught(of, fault, higher_is_better=better[line], lights=line.startswith("**")) for fault in FAULTS
        }
        for line, of in found.items()
    }
    return caught, {line: {name: each.value or 0.0 for name, each in of.items()} for line, of in found.items()}


def is_caught(of: dict[str, Estimate], fault: str, *, higher_is_better: bool, lights: bool) -> bool:
    if fault not in of:
        return False
    sign = 1 if higher_is_better else -1
    fine = [sign * each.value for name, each in of.items() if name.startswith("faultless") and each.value is not None]
    best = max(sign * end for end in (of[fault].value, of[fault].low, of[fault].high) if end is not None)
    spread = 0.0 if lights else max(fine) - min(fine)
    return bool(best < min(fine) - spread)


def table(draws: list[dict[str, dict[str, bool]]]) -> str:
    """As Markdown: in how many draws each line caught each fault."""
    lines = [f"| | {' | '.join(FAULTS)} |", f"| --- |{' --- |' * len(FAULTS)}"]
    for line in draws[0]:
        times = (sum(bool(caught[line].get(fault)) for caught in draws) for fault in FAULTS)
        lines.append(f"| {line} | {' | '.join(str(each or '') for each in times)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", action="store_true", help="print every value")
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    given = parser.parse_args()
    found = [examine(draw) for draw in range(given.first, given.first + DRAWS)]
    print(table([caught for caught, _ in found]))
    if given.numbers:
        for draw, (_, values) in enumerate(found, given.first):
            for line, of in values.items():
                print(f"draw {draw}:", line, {name: round(value, 4) for name, value in of.items()})


if __name__ == "__main__":
    main()

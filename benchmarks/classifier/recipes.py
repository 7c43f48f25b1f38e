"""Whole recipes, trained by the library, on other patients than they learned from: the study behind the default.

python benchmarks/classifier/recipes.py ../shared/data/ct --weights ../shared/weights/vgg16_notop.weights.h5 \
    --positive covid --work DIR --out benchmarks/results/classifier/recipes.json [--only NAME ...]

Only images outside the test part are read. Each class is cut into three blocks of consecutive file names. A fold holds
out one block of the positive class and, of the other class, the block after it, because blocks from the same place of
both lists are told apart too easily. 15 names on each side of a held-out block are left out. The last 15 % of the other
names of each class are the validation part, which chooses calibration and threshold. Results are added to the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import machine, spread, test_numbers

import medsynth
from medsynth.metrics import Rows, calibration_error
from medsynth.train.calibrate import Calibration

FOLDS, GAP, VALIDATION = 3, 15, 0.15

FROZEN = {
    "image_size": 160, "trainable_blocks": 0, "epochs": 30, "learning_rate": 1e-3, "keep": "last",
    "training_precision": "float32",
}  # fmt: skip
TUNED = {
    "image_size": 64, "trainable_blocks": 4, "epochs": 5, "learning_rate": 5e-5, "augmentation": True, "keep": "last",
    "training_precision": "bfloat16",
}  # fmt: skip
RECIPES: dict[str, dict[str, Any]] = {
    "frozen, 160": FROZEN,
    "frozen, 64": FROZEN | {"image_size": 64},
    "frozen, 96": FROZEN | {"image_size": 96},
    "all trained, 64": TUNED,
    "all trained, 64, not augmented": TUNED | {"augmentation": False},
    "all trained, 64, 1e-4": TUNED | {"learning_rate": 1e-4},
    "all trained, 64, 2e-5": TUNED | {"learning_rate": 2e-5},
    "blocks 3 and 4 trained, 64": TUNED | {"trainable_blocks": 2, "views": 5},
    "all trained, 64, head gap": TUNED | {"head": "gap", "trainable_blocks": 5},
    "all trained, 96": TUNED | {"image_size": 96},
}


def with_fold(data: medsynth.Dataset, fold: int) -> medsynth.Dataset:
    """Rows are in natural order of their names, so consecutive ones of a class make a block."""
    split = np.full(len(data), "train", dtype=object)
    for label in range(len(data.classes)):
        rows = np.flatnonzero(data.labels == label)
        held = (fold + (label != data.positive_index)) % FOLDS
        blocks = np.array_split(np.arange(len(rows)), FOLDS)[held]
        first, last = blocks[0], blocks[-1]
        left = np.r_[0 : max(0, first - GAP), last + 1 + GAP : len(rows)]
        split[rows] = ""
        split[rows[blocks]] = "test"
        split[rows[left]] = "train"
        split[rows[left[-round(VALIDATION * len(left)) :]]] = "validation"
    kept = np.flatnonzero(split != "")
    return replace(data.take(kept), split=tuple(split[kept]), groups=None)


def answers(run: Any, images: Any) -> np.ndarray:
    """Logits of the network that the run kept."""
    import keras

    from medsynth.train.fitting import answerer
    from medsynth.train.rebuild import rebuild_classifier

    model = rebuild_classifier(run)
    return answerer(keras.Model(model.inputs[0], model.output["logits"]))(images, 32)


def one_fold(data: medsynth.Dataset, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    run = medsynth.train_classifier(data, out=folder, resume=True, **settings)
    seconds = time.monotonic() - began
    test, validation = data.part("test").decode(run.image), data.part("validation").decode(run.image)
    logits = answers(run, test.images)
    np.savez(
        folder / "logits.npz", test=logits, test_labels=test.labels,
        validation=answers(run, validation.images), validation_labels=validation.labels,
    )  # fmt: skip
    probabilities = Calibration(run.outcome["temperature"], tuple(run.outcome["bias"])).probabilities(logits)
    positive = data.positive_index
    labels, scores = (test.labels == positive).astype(int), probabilities[:, positive]
    rows = Rows.of(test.labels, probabilities, positive=positive, threshold=run.outcome["threshold"])
    numbers = test_numbers(labels, scores, run.outcome["threshold"])
    numbers["accuracy_at_half"] = test_numbers(labels, scores, 0.5)["accuracy"]
    numbers["calibration_error"] = float(calibration_error(rows, np.ones((1, len(rows))))[0, 0])
    return numbers | {"seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--positive")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; a killed command goes on there")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    given = parser.parse_args()
    data = medsynth.load_dataset(given.data, positive=given.positive)
    data = data.take([row for row, part in enumerate(data.split) if part != "test"])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {"recipes": {}}
    told |= {"data": {"source": data.source, "classes": data.counts()}, "machine": machine()}
    for name in given.only:
        settings = RECIPES[name]
        cache = {"cache": str(given.work / "features")} if not settings["trainable_blocks"] else {}
        folder = given.work / name.replace(", ", "-").replace(" ", "-")
        rows = [
            one_fold(with_fold(data, fold), folder / f"fold-{fold}", {"weights": given.weights, **settings, **cache})
            for fold in range(FOLDS)
        ]
        summary = {key: spread([row[key] for row in rows]) for key in rows[0]}
        told["recipes"][name] = {"settings": settings, "folds": rows, "summary": summary}
        given.out.write_text(json.dumps(told, indent=1) + "\n")
        print(name, {key: round(value["mean"], 3) for key, value in summary.items()}, flush=True)


if __name__ == "__main__":
    main()

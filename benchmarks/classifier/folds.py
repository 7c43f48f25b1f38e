"""The default recipe in blocked 5-fold cross-validation, beside published numbers of a random one.

python benchmarks/classifier/folds.py ../shared/data/cxr --weights ../shared/weights/vgg16_notop.weights.h5 \
    --work DIR --out benchmarks/results/classifier/cxr-3.json [--classes covid-19 no-findings]

Each class is cut into five blocks in natural order of its file names. A fold tests on one block, takes the block before
it as validation, and learns from the other three.
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
from common import machine, peak_memory_gb, spread

import medsynth
from medsynth.config import parse_assignments
from medsynth.metrics import STATISTICS, Rows

FOLDS = 5


def only(data: medsynth.Dataset, classes: list[str]) -> medsynth.Dataset:
    """The rows of some classes."""
    wanted = [data.classes.index(name) for name in classes]
    part = data.take(np.flatnonzero(np.isin(data.labels, wanted)))
    labels = np.array([wanted.index(label) for label in part.labels], dtype=np.int64)
    return replace(part, labels=labels, classes=tuple(classes), positive=classes[0])


def with_fold(data: medsynth.Dataset, fold: int) -> medsynth.Dataset:
    """Rows are in natural order of their names, so consecutive ones of a class make a block."""
    split = np.full(len(data), "train", dtype=object)
    for label in range(len(data.classes)):
        blocks = np.array_split(np.flatnonzero(data.labels == label), FOLDS)
        split[blocks[fold]] = "test"
        split[blocks[fold - 1]] = "validation"
    return replace(data, split=tuple(split), groups=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--classes", nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-O", "--option", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    data = medsynth.load_dataset(given.data)
    if given.classes:
        data = only(data, given.classes)
    settings = {"weights": given.weights, **parse_assignments(given.option)}
    rows: list[dict[str, Any]] = []
    for fold in range(FOLDS):
        part = with_fold(data, fold)
        began = time.monotonic()
        run = medsynth.train_classifier(part, out=given.work / f"fold-{fold}", resume=True, **settings)
        seconds = time.monotonic() - began
        model = medsynth.load_model(medsynth.export(run, given.work / f"fold-{fold}.onnx"), device="cpu")
        test = part.part("test")
        answers = Rows.of(
            test.labels,
            model.predict(test).probabilities,
            positive=model.classes.index(model.metadata.positive),
            threshold=model.metadata.threshold,
        )
        once = np.ones((1, len(answers)))
        numbers = {name: statistic(answers, once)[0].tolist() for name, statistic in STATISTICS.items()}
        rows.append({"fold": fold, "test": numbers, "seconds": round(seconds, 1), "images": len(test)})
        print(json.dumps({"fold": fold, "accuracy": numbers["accuracy"][0], "auc": numbers["auc"][0]}), flush=True)
    summary = {
        name: spread([row["test"][name][0] for row in rows])
        for name in ("accuracy", "balanced_accuracy", "f1", "auc", "calibration_error")
        if name in STATISTICS
    }
    result = {
        "data": {"source": data.source, "classes": data.counts()},
        "machine": machine() | {"peak_memory_gb": peak_memory_gb()},
        "summary": summary,
        "folds": rows,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for name, told in summary.items():
        print(f"{name}: {told['mean']:.4f} +- {told['sd']:.4f}")


if __name__ == "__main__":
    main()

"""The default recipe with several seeds on the CT test part, which each seed meets once.

python benchmarks/classifier/seeds.py ../shared/data/ct --weights ../shared/weights/vgg16_notop.weights.h5 \
    --positive covid --work DIR --out benchmarks/results/classifier/ct-seeds.json

Everything is chosen on the training and validation parts: the recipe by blocked cross-validation (study.md), epoch,
temperature and threshold by the validation part of each run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import machine, peak_memory_gb, spread, test_numbers

import medsynth
from medsynth.config import parse_assignments
from medsynth.metrics import Rows, calibration_error


def one_seed(data: medsynth.Dataset, seed: int, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    run = medsynth.train_classifier(data, out=folder / "run", seed=seed, resume=True, **settings)
    seconds = time.monotonic() - began
    path = medsynth.export(run, folder / "classifier.onnx")
    model = medsynth.load_model(path, device="cpu")
    test = data.part("test")
    predictions = model.predict(test)
    positive = model.classes.index(data.positive)
    scores, threshold = predictions.probabilities[:, positive], float(model.metadata.threshold)
    labels = (test.labels == test.classes.index(data.positive)).astype(int)
    rows = Rows.of(test.labels, predictions.probabilities, positive=positive, threshold=threshold)
    frozen = run.outcome["frozen"][0]
    return {
        "seed": seed,
        "test": test_numbers(labels, scores, threshold),
        "test_at_half": test_numbers(labels, scores, 0.5)["accuracy"],
        "test_calibration_error": float(calibration_error(rows, np.ones((1, len(rows))))[0, 0]),
        "validation": {key: run.outcome["validation"][key] for key in run.outcome["validation"]},
        "threshold": threshold,
        "temperature": run.outcome["temperature"],
        "best_epoch": run.outcome["best_epoch"] + 1,
        "seconds": round(seconds, 1),
        "seconds_of_epochs": run.outcome["seconds"],
        "epochs": run.outcome["epochs"],
        "frozen": frozen,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--positive")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs; a killed command goes on there")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-O", "--option", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    data = medsynth.load_dataset(given.data, positive=given.positive)
    # The first seed computes the frozen features, and its seconds say so; the others find them.
    cache = {"cache": str(given.work / "features")}
    settings = {"weights": given.weights, **cache, **parse_assignments(given.option)}
    rows = []
    for seed in range(given.seeds):
        rows.append(one_seed(data, seed, given.work / f"seed-{seed}", settings))
        print(json.dumps(rows[-1]), flush=True)
    summary = {name: spread([row["test"][name] for row in rows]) for name in ("accuracy", "f1", "auc")}
    summary["seconds"] = spread([row["seconds"] for row in rows])
    result = {
        "data": {"source": data.source, "fingerprint": data.fingerprint, "test_images": len(data.part("test"))},
        "options": parse_assignments(given.option),
        "machine": machine() | {"peak_memory_gb": peak_memory_gb()},
        "summary": summary,
        "runs": rows,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for name in ("accuracy", "f1", "auc"):
        print(f"{name}: {summary[name]['mean']:.3f} +- {summary[name]['sd']:.3f}")


if __name__ == "__main__":
    main()

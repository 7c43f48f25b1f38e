"""The default recipe with several seeds on the CT test part, which each seed meets once.

python benchmarks/classifier/seeds.py ../shared/data/ct --weights ../shared/weights/vgg16_notop.weights.h5 \
    --positive covid --work DIR --out benchmarks/results/classifier/ct-seeds.json

Everything is chosen on the training and validation parts: the recipe by blocked cross-validation (recipes.py),
calibration and threshold by the validation part of each run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import calibration_on, expected_error, floor, machine, peak_memory_gb, spread, test_numbers

import medsynth
from medsynth.config import parse_assignments


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
    validation = data.part("validation").decode(model.image)
    logits = model.run(validation.images)["logits"]
    return {
        "seed": seed,
        "test": test_numbers(labels, scores, threshold),
        "test_at_half": test_numbers(labels, scores, 0.5)["accuracy"],
        "test_calibration_error": expected_error(test.labels, predictions.probabilities, positive),
        "test_calibration_floor": floor(predictions.probabilities, positive),
        "calibration": calibration_on(logits, validation.labels, positive),
        "validation": {key: run.outcome["validation"][key] for key in run.outcome["validation"]},
        "threshold": threshold,
        "temperature": run.outcome["temperature"],
        "bias": run.outcome["bias"],
        "best_epoch": run.outcome["best_epoch"] + 1,
        "seconds": round(seconds, 1),
        "seconds_of_epochs": run.outcome["seconds"],
        "epochs": run.outcome["epochs"],
        "frozen": run.outcome["frozen"],
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
    settings = {"weights": given.weights, **parse_assignments(given.option)}
    rows = []
    for seed in range(given.seeds):
        told = given.work / f"seed-{seed}" / "told.json"
        if not told.exists():
            told.write_text(json.dumps(one_seed(data, seed, told.parent, settings)))
        rows.append(json.loads(told.read_text()))
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

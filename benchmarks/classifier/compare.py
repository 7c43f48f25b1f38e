"""The reports' recipe in plain Keras (baseline.py) and medsynth's default recipe (seeds.py), one after the other.

python benchmarks/classifier/compare.py ../shared/data/ct --weights ../shared/weights/vgg16_notop.weights.h5 \
    --positive covid --size 96 --epochs 5 --work DIR --out benchmarks/results/classifier/compare.json

The baseline is trained for EPOCHS at SIZE, and its steps are timed at 256x256, from which its time for as many epochs
there is extrapolated. medsynth runs its default recipe. Each is a process of its own, so that peak memory is its own,
and leaves its numbers in DIR, where a command that was killed finds them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def last_line(kept: Path, *command: str) -> dict[str, Any]:
    if not kept.exists():
        done = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True)
        kept.write_text(done.stdout.splitlines()[-1] + "\n")
    return dict(json.loads(kept.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--positive")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    plain = [str(HERE / "baseline.py"), given.data, "--weights", given.weights]
    given.work.mkdir(parents=True, exist_ok=True)
    timed = last_line(given.work / "baseline-256.json", *plain, "--size", "256", "--steps", str(given.steps))
    small = ["--size", str(given.size), "--epochs", str(given.epochs)]
    trained = last_line(given.work / f"baseline-{given.size}.json", *plain, *small)
    ours_file = given.work / "ours.json"
    positive = ["--positive", given.positive] if given.positive else []
    common = ["--weights", given.weights, "--seeds", "1", "--work", str(given.work), "--out", str(ours_file)]
    if not ours_file.exists():
        subprocess.run([sys.executable, str(HERE / "seeds.py"), given.data, *common, *positive], check=True)
    ours = json.loads(ours_file.read_text())
    result = {"baseline_steps_at_256": timed, "baseline_trained": trained, "medsynth": ours}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    run, epoch_256 = ours["runs"][0], timed["seconds_an_epoch_extrapolated"]
    print("\n".join(table(run, ours, trained, epoch_256, given.epochs, timed["peak_memory_gb"])))


def table(run: Any, ours: Any, trained: Any, epoch_256: float, epochs: int, memory_256: float) -> list[str]:
    each = run["seconds_of_epochs"] / run["epochs"]
    rows = [
        ("plain Keras, 256x256 (extrapolated)", None, epoch_256 * epochs, epoch_256, memory_256),
        (f"plain Keras, {trained['size']}x{trained['size']}", trained["test"], trained["seconds"],
         trained["seconds_an_epoch"], trained["peak_memory_gb"]),
        ("medsynth, default", run["test"], run["seconds"], each, ours["machine"]["peak_memory_gb"]),
    ]  # fmt: skip
    lines = ["| | accuracy | F1 | AUC | seconds | seconds an epoch | peak GB |", f"|{' --- |' * 7}"]
    for name, test, seconds, epoch, memory in rows:
        told = [f"{test[key]:.3f}" for key in ("accuracy", "f1", "auc")] if test else ["", "", ""]
        lines.append(f"| {name} | {' | '.join(told)} | {seconds:,.0f} | {epoch:,.2f} | {memory:.1f} |")
    return lines


if __name__ == "__main__":
    main()

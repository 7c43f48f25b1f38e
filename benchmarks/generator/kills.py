"""Ten SIGKILLs at random moments of a training run; the weights at the end against those of an uninterrupted run.

python benchmarks/generator/kills.py --work DIR --out benchmarks/results/generator/kills.json

Two uninterrupted runs and one that is killed and resumed, all with ``deterministic=true``, on the phantom set.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SMALL = ["recipe=modern", "width=4", "discriminator_width=8", "batch_size=16", "watched=8", "deterministic=true"]


def command(out: Path, given: argparse.Namespace, *more: str) -> list[str]:
    options = [part for each in (*SMALL, f"sample_every={given.every}", *given.option) for part in ("-O", each)]
    line = [sys.executable, "-m", "medsynth", "train", "generator", "phantom", "--out", str(out), "--image-size", "32"]
    return [*line, "--steps", str(given.steps), "--no-audit", *options, *more]


def steps_done(folder: Path) -> int:
    path = folder / "history.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def killed(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Kill a run so many times, then let it end."""
    draw, kills = random.Random(given.seed), []
    while len(kills) < given.kills:
        process = subprocess.Popen(command(folder, given, "--resume"), stdout=subprocess.DEVNULL)
        # Counted from new lines of the history on, so that every kill meets training.
        before, until = time.monotonic(), None
        reached = kills[-1]["lines_of_history"] if kills else 0
        while process.poll() is None and (until is None or time.monotonic() < until):
            if until is None and steps_done(folder) > reached:
                until = time.monotonic() + draw.uniform(0, given.longest)
            time.sleep(0.002)
        if process.poll() is not None:
            raise SystemExit(f"the run ended after {len(kills)} kills; give it more --steps or a shorter --longest")
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills.append({"after_seconds": round(time.monotonic() - before, 2), "lines_of_history": steps_done(folder)})
        print(json.dumps(kills[-1]), flush=True)
    subprocess.run(command(folder, given, "--resume"), check=True, stdout=subprocess.DEVNULL)
    return kills


def difference(one: Path, other: Path) -> dict[str, Any]:
    """Arrays of two files that are not bit-equal, and the largest difference."""
    with np.load(one) as first, np.load(other) as second:
        names = [name for name in first.files if name != "state"]
        unequal = [name for name in names if first[name].tobytes() != second[name].tobytes()]
        largest = max(float(np.abs(first[name].astype(float) - second[name]).max(initial=0.0)) for name in names)
    return {"arrays": len(names), "unequal": len(unequal), "largest_difference": largest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--every", type=int, default=20, help="steps between two checkpoints")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=3.0, help="most seconds from the first new step to the kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-O", "--option", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    for name in ("whole", "again"):
        subprocess.run(command(given.work / name, given, "--resume"), check=True, stdout=subprocess.DEVNULL)
    kills = killed(given.work / "killed", given)
    whole = given.work / "whole"
    result = {
        "steps": given.steps,
        "checkpoint_every": given.every,
        "kills": kills,
        "killed_against_whole": {
            file: difference(whole / file, given.work / "killed" / file) for file in ("weights.npz", "checkpoint.npz")
        },
        "again_against_whole": difference(whole / "checkpoint.npz", given.work / "again" / "checkpoint.npz"),
        "lines_of_history": steps_done(given.work / "killed"),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "kills"}))


if __name__ == "__main__":
    main()

"""One engine in a process of its own: answers a line of JSON with a line of JSON until the input ends."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from benchmarks.inference.engines import ENGINES, Files

PEAK = "peak"
CHECKED = 8


def main(name: str, batch: int, files: Files) -> None:
    # Libraries print; the answers need a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: dict) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        turn, facts = _peak() if name == PEAK else _engine(name, batch, files)
    except Exception as error:  # Absent, or unable to run this model: the table says which and why.
        say({"skipped": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error) else ''}"})
        return
    say(facts)
    for line in sys.stdin:
        say(turn(json.loads(line)["seconds"]))


def _peak():
    from medsynth.benchmark.peak import measure_peak

    return lambda _: {"peak": {precision: measure_peak("cpu", precision) for precision in ("fp32", "int8")}}, {}


def _engine(name: str, batch: int, files: Files):
    images = files.images("timing")
    opened = ENGINES[name].open(files)
    count = max(batch, CHECKED)
    starts = range(0, count, batch)
    probabilities = np.concatenate([opened.step(opened.prepare(images[at : at + batch])) for at in starts])
    batches = [opened.prepare(np.take(images, range(at, at + batch), axis=0, mode="wrap")) for at in range(0, 64, 8)]

    def turn(seconds: float) -> dict:
        runs: list[float] = []
        while sum(runs) < seconds:
            began = time.perf_counter()
            opened.step(batches[len(runs) % len(batches)])
            runs.append(time.perf_counter() - began)
        return {"seconds": runs}

    return turn, {"version": opened.version, "probabilities": np.asarray(probabilities, float).tolist()}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Files(*map(Path, sys.argv[3:6])))

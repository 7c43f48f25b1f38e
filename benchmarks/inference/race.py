"""The engines take turns."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from benchmarks.inference.engines import ENGINES, REFERENCE, Files
from benchmarks.inference.worker import PEAK

from medsynth.benchmark.machine import load_average, machine_facts

PAUSE = 0.2
"""Seconds between two turns: threads of the last one may still wait actively."""

ALLOWED = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.2}
"""Largest difference of a probability from the reference; an engine beyond it computes something else."""


def race(files: Files, batch: int, engines: Sequence[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Open every engine, compare what they say, let them take turns, and return everything measured."""
    workers: dict[str, subprocess.Popen[str]] = {}
    facts: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    try:
        for name in [*engines, PEAK]:
            worker, told = _start(name, batch, files)
            reason = told.get("skipped") or _disagreement(name, told, facts)
            if reason:
                skipped[name] = reason
                worker.kill()
            else:
                workers[name], facts[name] = worker, told
            print(f"batch {batch}: {name}: {reason or 'ready'}", file=sys.stderr, flush=True)
        before = load_average()
        turns = _take_turns(workers, rounds, seconds)
    finally:
        for worker in workers.values():
            worker.kill()
    for told in facts.values():
        told.pop("probabilities", None)
    return {
        "schema": 1,
        "batch": batch,
        "rounds": rounds,
        "seconds_of_a_turn": seconds,
        "machine": machine_facts(),
        "load_average": [before, load_average()],
        "engines": facts,
        "skipped": skipped,
        "turns": turns,
    }


def _start(name: str, batch: int, files: Files) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    paths = [str(path) for path in (files.fp32, files.int8, files.work)]
    command = [sys.executable, "-m", "benchmarks.inference.worker", name, str(batch), *paths]
    log = (files.work / "engines.log").open("a")
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    return worker, _answer(worker)


def _answer(worker: subprocess.Popen[str]) -> dict[str, Any]:
    line = worker.stdout.readline() if worker.stdout else ""
    return json.loads(line) if line else {"skipped": "its process ended; see engines.log"}


def _disagreement(name: str, told: dict[str, Any], facts: dict[str, Any]) -> str:
    if "probabilities" not in told:
        return ""
    own = np.array(told["probabilities"])
    told["difference"] = 0.0
    if name != REFERENCE:
        told["difference"] = float(np.abs(own - np.array(facts[REFERENCE]["probabilities"])).max())
    allowed = ALLOWED[ENGINES[name].precision]
    if told["difference"] <= allowed:
        return ""
    return f"disagrees: a probability differs by {told['difference']:.3g} from {REFERENCE}, {allowed:g} is allowed"


def _take_turns(workers: dict[str, subprocess.Popen[str]], rounds: int, seconds: float) -> list[dict[str, Any]]:
    turns = []
    order = list(workers)
    draw = random.Random(0)
    for index in range(rounds):
        draw.shuffle(order)
        for name in order:
            worker = workers[name]
            assert worker.stdin is not None
            print(json.dumps({"seconds": seconds}), file=worker.stdin, flush=True)
            turns.append({"round": index, "engine": name, **_answer(worker)})
            time.sleep(PAUSE)
    return turns

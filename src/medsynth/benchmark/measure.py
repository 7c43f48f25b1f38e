"""Timing one model at one batch size, in the scenarios that MLPerf Inference names."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.benchmark.statistics import MIN_SAMPLES, is_stable, upper_bound
from medsynth.benchmark.trial import Clock, Rules, Scenario, Subject, Trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.benchmark.report import BatchResult

__all__ = ["measure", "measure_server"]

_LEAST_INPUTS = 32


def measure(
    subject: Subject, size: int, rules: Rules, *, scenario: Scenario = "offline", clock: Clock = time.perf_counter
) -> BatchResult:
    """Time one batch size, one run after the other; inputs are made and outputs checked while the clock is stopped.

    Args:
        subject: What is timed.
        size: Images in one run.
        rules: When to stop.
        scenario: ``offline``, or ``single-stream`` with as many runs as the 90th percentile needs.
        clock: Seconds.
    """
    trial = Trial(subject, size, rules, clock)
    least = max(rules.min_runs, MIN_SAMPLES[90] if scenario == "single-stream" else 0)
    latencies: list[float] = []
    seconds, images = 0.0, 0
    while len(latencies) < least or seconds < rules.min_seconds or images < subject.pool.least_images:
        batch = subject.pool.batch(size)
        latencies.append(trial.timed(batch))
        seconds += latencies[-1]
        images += batch.counted
    drifted = "the first, middle and last third of the runs differ by more than 10 %"
    return trial.result(scenario, latencies, images, seconds, [] if is_stable(latencies) else [drifted])


def measure_server(subject: Subject, rules: Rules, *, rate: float, target_ms: float, seed: int = 0) -> BatchResult:
    """Serve single images that arrive at random, whether the last one is done or not.

    Latency counts from the arrival, so it includes the queue. Arrivals are a Poisson process drawn beforehand.

    Args:
        subject: What is timed.
        rules: When to stop; never before the 99th percentile has enough samples.
        rate: Arrivals in a second.
        target_ms: What the 99th percentile must not exceed, milliseconds; else the result is invalid.
        seed: Of the arrivals.
    """
    batches = [subject.pool.batch(1) for _ in range(max(_LEAST_INPUTS, subject.pool.least_images))]
    trial = Trial(subject, 1, rules)
    count = max(rules.min_runs, MIN_SAMPLES[99], round(rate * rules.min_seconds))
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count)).tolist()
    kept: dict[int, dict[str, NDArray[Any]]] = {}
    latencies = []
    began = time.perf_counter()
    for index, arrival in enumerate(arrivals):
        wait = began + arrival - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        # The last outputs for each image are checked when the clock has stopped.
        slot = index % len(batches)
        kept[slot] = subject.run(batches[slot].feeds)
        latencies.append(time.perf_counter() - began - arrival)
    seconds = time.perf_counter() - began
    for slot, outputs in kept.items():
        trial.check(batches[slot], outputs)
    bound = upper_bound(latencies, 99)
    missed = []
    if bound is not None and 1000 * bound > target_ms:
        missed.append(f"the 99th percentile may be {1000 * bound:.1f} ms (target {target_ms:g}) at {rate:g} images/s")
    result = trial.result("server", latencies, count, seconds, missed)
    return replace(result, rate=rate, target_ms=target_ms)

"""Timing one model at one batch size, in the scenarios that MLPerf Inference names."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from medsynth.benchmark.load import LoadMeter
from medsynth.benchmark.report import BatchResult
from medsynth.benchmark.statistics import MIN_SAMPLES, is_stable, median, upper_bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.benchmark.inputs import Batch, Pool

__all__ = ["Rules", "Run", "Scenario", "measure", "measure_server"]

Scenario: TypeAlias = Literal["offline", "single-stream", "server"]
Run: TypeAlias = "Callable[[Any], dict[str, NDArray[Any]]]"

_SERVER_INPUTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When measuring may stop.

    Attributes:
        min_seconds: Least sum of timed runs.
        min_runs: Least number of timed runs; a scenario that needs a percentile makes more.
        max_warmup_seconds: Warm-up that is not stable by then makes the result invalid.
        warmup_runs: Runs that are looked at for stability: three windows whose medians lie within 10 %.
    """

    min_seconds: float = 3.0
    min_runs: int = 10
    max_warmup_seconds: float = 20.0
    warmup_runs: int = 6


class _Checker:
    """Runs batches and remembers the worst difference from what they should give."""

    def __init__(self, run: Run, pool: Pool, clock: Callable[[], float]) -> None:
        self._run, self._pool, self._clock = run, pool, clock
        self.worst, self.rows = 0.0, 0

    def timed(self, batch: Batch) -> float:
        """Seconds of one run; the outputs are checked while the clock is stopped."""
        began = self._clock()
        outputs = self._run(batch.feeds)
        seconds = self._clock() - began
        self.check(batch, outputs)
        return seconds

    def check(self, batch: Batch, outputs: dict[str, NDArray[Any]]) -> None:
        self.worst = max(self.worst, self._pool.difference(batch, outputs))
        self.rows += len(batch.slots)

    def complaints(self) -> list[str]:
        if self.worst <= self._pool.tolerance:
            return []
        return [f"outputs differ from the golden ones by {self.worst:.3g} (allowed {self._pool.tolerance:g})"]


def measure(
    run: Run,
    pool: Pool,
    size: int,
    rules: Rules,
    clock: Callable[[], float] = time.perf_counter,
    scenario: Scenario = "offline",
) -> BatchResult:
    """Time one batch size, one run after the other; inputs are made and outputs checked while the clock is stopped.

    Args:
        run: From feeds to outputs on the host.
        pool: Where the batches come from.
        size: Images in one run.
        rules: When to stop.
        clock: Seconds.
        scenario: ``offline``, or ``single-stream`` with as many runs as the 90th percentile needs.
    """
    checker = _Checker(run, pool, clock)
    first = checker.timed(pool.batch(size))
    warmup, stable = _warm_up(checker, pool, size, rules)
    least = max(rules.min_runs, MIN_SAMPLES[90] if scenario == "single-stream" else 0)
    meter = LoadMeter()
    latencies: list[float] = []
    seconds = 0.0
    while len(latencies) < least or seconds < rules.min_seconds:
        latencies.append(checker.timed(pool.batch(size)))
        seconds += latencies[-1]
    reasons = [] if stable else [f"not stable after {len(warmup)} warm-up runs"]
    if not is_stable(latencies):
        reasons.append("the first, middle and last third of the runs differ by more than 10 %")
    return _result(checker, pool, meter, scenario, size, first, warmup, latencies, seconds, reasons)


def measure_server(run: Run, pool: Pool, rules: Rules, *, rate: float, target_ms: float, seed: int = 0) -> BatchResult:
    """Serve single images that arrive at random, whether the last one is done or not.

    Latency counts from the arrival, so it includes the queue. Arrivals are a Poisson process drawn beforehand.

    Args:
        run: From feeds to outputs on the host.
        pool: Where the images come from.
        rules: When to stop; never before the 99th percentile has enough samples.
        rate: Arrivals in a second.
        target_ms: What the 99th percentile must not exceed, milliseconds; else the result is invalid.
        seed: Of the arrivals.
    """
    checker = _Checker(run, pool, time.perf_counter)
    batches = [pool.batch(1) for _ in range(_SERVER_INPUTS)]
    first = checker.timed(batches[0])
    warmup, stable = _warm_up(checker, pool, 1, rules)
    count = max(rules.min_runs, MIN_SAMPLES[99], round(rate * rules.min_seconds))
    arrivals = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count)).tolist()
    kept: dict[int, dict[str, NDArray[Any]]] = {}
    latencies = []
    meter = LoadMeter()
    began = time.perf_counter()
    for index, arrival in enumerate(arrivals):
        wait = began + arrival - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        # The last outputs for each image are checked when the clock has stopped.
        kept[index % _SERVER_INPUTS] = run(batches[index % _SERVER_INPUTS].feeds)
        latencies.append(time.perf_counter() - began - arrival)
    seconds = time.perf_counter() - began
    for slot, outputs in kept.items():
        checker.check(batches[slot], outputs)
    reasons = [] if stable else [f"not stable after {len(warmup)} warm-up runs"]
    bound = upper_bound(latencies, 99)
    if bound is not None and 1000 * bound > target_ms:
        reasons.append(f"the 99th percentile may be {1000 * bound:.1f} ms (target {target_ms:g}) at {rate:g} images/s")
    result = _result(checker, pool, meter, "server", 1, first, warmup, latencies, seconds, reasons)
    return replace(result, rate=rate, target_ms=target_ms)


def _warm_up(checker: _Checker, pool: Pool, size: int, rules: Rules) -> tuple[list[float], bool]:
    warmup: list[float] = []
    spent, stable = 0.0, False
    while not stable and spent < rules.max_warmup_seconds:
        warmup.append(checker.timed(pool.batch(size)))
        spent += warmup[-1]
        stable = len(warmup) >= rules.warmup_runs and is_stable(warmup[-rules.warmup_runs :])
    return warmup, stable


def _result(
    checker: _Checker,
    pool: Pool,
    meter: LoadMeter,
    scenario: Scenario,
    size: int,
    first: float,
    warmup: Sequence[float],
    latencies: Sequence[float],
    seconds: float,
    reasons: list[str],
) -> BatchResult:
    foreign = meter.foreign_cores()
    busy = meter.complaint()
    reasons = [*reasons, *([busy] if busy else []), *checker.complaints()]
    bounds = {percentile: upper_bound(latencies, percentile) for percentile in MIN_SAMPLES}
    in_ms = {percentile: None if bound is None else 1000 * bound for percentile, bound in bounds.items()}
    return BatchResult(
        scenario=scenario,
        batch_size=size,
        valid=not reasons,
        reasons=tuple(reasons),
        first_run_seconds=first,
        warmup_runs=len(warmup),
        runs=len(latencies),
        seconds=seconds,
        images_per_second=size * len(latencies) / seconds,
        median_ms=1000 * median(latencies),
        p90_ms=in_ms[90],
        p95_ms=in_ms[95],
        p99_ms=in_ms[99],
        checked_rows=checker.rows,
        largest_difference=checker.worst,
        tolerance=pool.tolerance,
        foreign_cores=foreign,
        latencies_ms=tuple(round(1000 * latency, 4) for latency in latencies),
    )

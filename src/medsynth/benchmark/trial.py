"""One row in the making: first run, warm-up, checks of the outputs, and the state of the machine around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from medsynth.benchmark.conditions import complaints, read_conditions
from medsynth.benchmark.load import LoadMeter, complaint
from medsynth.benchmark.report import BatchResult
from medsynth.benchmark.statistics import MIN_SAMPLES, is_stable, median, upper_bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.benchmark.inputs import Batch, Pool

__all__ = ["Clock", "Rules", "Run", "Scenario", "Scope", "Subject", "Trial"]

Scenario: TypeAlias = Literal["offline", "single-stream", "server"]
Scope: TypeAlias = Literal["model", "end-to-end"]
Run: TypeAlias = "Callable[[Any], dict[str, NDArray[Any]]]"
Clock: TypeAlias = Callable[[], float]


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


@dataclass(frozen=True, slots=True)
class Subject:
    """What is timed.

    Attributes:
        run: From the feeds of a batch to outputs on the host.
        pool: Where batches come from, and what must come out.
        scope: ``model``: prepared pixels go in; ``end-to-end``: files.
        on_gpu: Whether a GPU is watched.
    """

    run: Run
    pool: Pool
    scope: Scope = "model"
    on_gpu: bool = False


class Trial:
    """Warms a subject up when it is made; then times single runs and turns their latencies into a result."""

    def __init__(self, subject: Subject, size: int, rules: Rules, clock: Clock = time.perf_counter) -> None:
        self._subject, self._size, self._clock = subject, size, clock
        self._worst, self._checked = 0.0, 0
        self._before = read_conditions(on_gpu=subject.on_gpu)
        self._first = self.timed(subject.pool.batch(size))
        self._warmup = 0
        self._stable = self._warm_up(rules)
        self._meter = LoadMeter()

    def timed(self, batch: Batch) -> float:
        """Seconds of one run; the outputs are checked while the clock is stopped."""
        began = self._clock()
        outputs = self._subject.run(batch.feeds)
        seconds = self._clock() - began
        self.check(batch, outputs)
        return seconds

    def check(self, batch: Batch, outputs: dict[str, NDArray[Any]]) -> None:
        """Remember the worst difference from what is known of a batch."""
        self._worst = max(self._worst, self._subject.pool.difference(batch, outputs))
        self._checked += len(batch.slots)

    def result(
        self, scenario: Scenario, latencies: Sequence[float], images: int, seconds: float, reasons: Sequence[str] = ()
    ) -> BatchResult:
        """What the latencies say, and whether they may be quoted.

        Args:
            scenario: How the runs followed one another.
            latencies: Seconds of every timed run, in order.
            images: That went through in these runs.
            seconds: That they took together.
            reasons: Against quoting them, besides those that are found here.
        """
        foreign, others = self._meter.foreign_cores(), self._meter.others()
        after = read_conditions(on_gpu=self._subject.on_gpu)
        busy = complaint(foreign, len(self._meter.cores), others)
        tolerance = self._subject.pool.tolerance
        found = [] if self._stable else [f"not stable after {self._warmup} warm-up runs"]
        found += [*reasons, *([busy] if busy else []), *complaints(self._before, after)]
        if self._worst > tolerance:
            found.append(f"outputs differ from the golden ones by {self._worst:.3g} (allowed {tolerance:g})")
        bounds = {percentile: upper_bound(latencies, percentile) for percentile in MIN_SAMPLES}
        in_ms = {percentile: None if bound is None else 1000 * bound for percentile, bound in bounds.items()}
        return BatchResult(
            scenario=scenario,
            scope=self._subject.scope,
            batch_size=self._size,
            valid=not found,
            reasons=tuple(found),
            first_run_seconds=self._first,
            warmup_runs=self._warmup,
            runs=len(latencies),
            seconds=seconds,
            images_per_second=images / seconds,
            median_ms=1000 * median(latencies),
            p90_ms=in_ms[90],
            p95_ms=in_ms[95],
            p99_ms=in_ms[99],
            checked_rows=self._checked,
            largest_difference=self._worst,
            tolerance=tolerance,
            foreign_cores=foreign,
            other_processes=others,
            before=self._before,
            after=after,
            latencies_ms=tuple(round(1000 * latency, 4) for latency in latencies),
        )

    def _warm_up(self, rules: Rules) -> bool:
        latencies: list[float] = []
        spent, stable = 0.0, False
        while not stable and spent < rules.max_warmup_seconds:
            latencies.append(self.timed(self._subject.pool.batch(self._size)))
            spent += latencies[-1]
            stable = len(latencies) >= rules.warmup_runs and is_stable(latencies[-rules.warmup_runs :])
        self._warmup = len(latencies)
        return stable

"""How fast a model is on this machine, measured so that the number can be believed.

:func:`benchmark` gives a :class:`BenchmarkReport`: model load and first run apart, warm-up until stable, a least time
and a least number of runs, percentiles only with enough samples, real inputs, outputs checked between the timed runs,
what other processes used meanwhile, and with images the whole way from files to results. :func:`compare` holds two
such measurements against each other, :func:`duel` measures two models in turns.
"""

from __future__ import annotations

from medsynth.benchmark.compare import Comparison, compare
from medsynth.benchmark.devices import working_devices
from medsynth.benchmark.duel import Duel, duel
from medsynth.benchmark.report import SCHEMA, BatchResult, BenchmarkReport, Unmeasured, write_reports
from medsynth.benchmark.run import benchmark

__all__ = [
    "SCHEMA",
    "BatchResult",
    "BenchmarkReport",
    "Comparison",
    "Duel",
    "Unmeasured",
    "benchmark",
    "compare",
    "duel",
    "working_devices",
    "write_reports",
]

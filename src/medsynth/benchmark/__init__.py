"""How fast an artefact is on this machine, measured so that the number can be believed.

:func:`benchmark` gives a :class:`BenchmarkReport`: model load and first run apart, warm-up until stable, a least time
and a least number of runs, percentiles only with enough samples, real inputs, outputs checked between the timed runs.
"""

from __future__ import annotations

from medsynth.benchmark.report import SCHEMA, BatchResult, BenchmarkReport, write_reports
from medsynth.benchmark.run import benchmark

__all__ = ["SCHEMA", "BatchResult", "BenchmarkReport", "benchmark", "write_reports"]

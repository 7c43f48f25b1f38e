"""fp16 and int8 from the fp32 artefact, and the gate that judges whether a user would decide otherwise.

:func:`convert` is the path: simplify the graph, convert it (:mod:`fp16 <medsynth.export.precision.fp16>`,
:mod:`int8 <medsynth.export.precision.int8>`), judge it (:mod:`gate <medsynth.export.precision.gate>`), keep layers in
float32 where it must be (:mod:`search <medsynth.export.precision.search>`). None of it needs TensorFlow.
"""

from __future__ import annotations

from medsynth.export.precision.convert import PRECISIONS, Precision, convert
from medsynth.export.precision.gate import Budget

__all__ = ["PRECISIONS", "Budget", "Precision", "convert"]

"""From a training run to a self-describing ONNX file that Keras has checked, in the precision that its use needs."""

from __future__ import annotations

from medsynth.export.precision import Budget
from medsynth.export.run import export

__all__ = ["Budget", "export"]

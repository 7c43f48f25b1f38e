"""From a training run to a self-describing ONNX file that Keras has checked."""

from __future__ import annotations

from medsynth.export.run import export

__all__ = ["export"]

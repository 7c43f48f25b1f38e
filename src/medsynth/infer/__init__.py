"""Serving artefacts with onnxruntime alone: classify images, draw samples. TensorFlow is never imported.

:func:`load_model` opens an ONNX file on a device that was proven to work and gives a :class:`Classifier` or a
:class:`Sampler`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medsynth.artifact.philox import noise
    from medsynth.infer.classifier import Classifier
    from medsynth.infer.device import check_device
    from medsynth.infer.foreign import ForeignFacts
    from medsynth.infer.generate import generate_images
    from medsynth.infer.load import load_classifier, load_model, load_sampler
    from medsynth.infer.predict import Written, predict_folder
    from medsynth.infer.predictions import Predictions
    from medsynth.infer.rejection import Rejection
    from medsynth.infer.sampler import Sampler

__all__ = [
    "Classifier",
    "ForeignFacts",
    "Predictions",
    "Rejection",
    "Sampler",
    "Written",
    "check_device",
    "generate_images",
    "load_classifier",
    "load_model",
    "load_sampler",
    "noise",
    "predict_folder",
]

_HOMES = {
    "Classifier": "medsynth.infer.classifier",
    "ForeignFacts": "medsynth.infer.foreign",
    "Predictions": "medsynth.infer.predictions",
    "Rejection": "medsynth.infer.rejection",
    "Sampler": "medsynth.infer.sampler",
    "Written": "medsynth.infer.predict",
    "check_device": "medsynth.infer.device",
    "generate_images": "medsynth.infer.generate",
    "load_classifier": "medsynth.infer.load",
    "load_model": "medsynth.infer.load",
    "load_sampler": "medsynth.infer.load",
    "noise": "medsynth.artifact.philox",
    "predict_folder": "medsynth.infer.predict",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""Honest classifiers and class-conditional generators for small medical image sets, exported to ONNX.

    import medsynth
    data = medsynth.load_dataset("ct/")
    run = medsynth.train_classifier(data, out="runs/cls")       # Keras
    medsynth.export(run, "classifier.onnx")
    model = medsynth.load_model("classifier.onnx")              # onnxruntime; no TensorFlow from here on
    table = model.predict("scans/")

Everything is imported on first use: ``import medsynth`` costs neither TensorFlow nor onnxruntime.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medsynth.artifact import verify as verify
    from medsynth.benchmark import benchmark as benchmark
    from medsynth.cross_validation import cross_validate as cross_validate
    from medsynth.dataset import Dataset as Dataset
    from medsynth.dataset import audit_dataset as audit_dataset
    from medsynth.dataset import from_arrays as from_arrays
    from medsynth.dataset import load_dataset as load_dataset
    from medsynth.dataset import split_dataset as split_dataset
    from medsynth.errors import MedsynthError as MedsynthError
    from medsynth.estimator import MedsynthClassifier as MedsynthClassifier
    from medsynth.evaluate import evaluate as evaluate
    from medsynth.export import export as export
    from medsynth.images import ImageSpec as ImageSpec
    from medsynth.infer import load_model as load_model
    from medsynth.train import train_classifier as train_classifier
    from medsynth.train import train_generator as train_generator

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "medsynth.dataset",
    "ImageSpec": "medsynth.images",
    "MedsynthClassifier": "medsynth.estimator",
    "MedsynthError": "medsynth.errors",
    "audit_dataset": "medsynth.dataset",
    "benchmark": "medsynth.benchmark",
    "cross_validate": "medsynth.cross_validation",
    "evaluate": "medsynth.evaluate",
    "export": "medsynth.export",
    "from_arrays": "medsynth.dataset",
    "load_dataset": "medsynth.dataset",
    "load_model": "medsynth.infer",
    "split_dataset": "medsynth.dataset",
    "train_classifier": "medsynth.train",
    "train_generator": "medsynth.train",
    "verify": "medsynth.artifact",
}

__all__ = ["__version__", *sorted(_HOMES)]


class _Package(types.ModuleType):
    """Keeps ``medsynth.export`` the function although there is a package of that name.

    The import system binds a subpackage to its parent once it is loaded, which would put the package in the place of
    the public function (``export``, ``evaluate`` and ``benchmark`` are both, one word for one thing).
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'medsynth' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

"""Training, on Keras and TensorFlow: from a data set to the folder of a run.

Importing this package imports neither; a missing TensorFlow is explained when a training function is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medsynth.train.backend import require_tensorflow

if TYPE_CHECKING:
    from medsynth.train.classifier import train_classifier as train_classifier
    from medsynth.train.generator import train_generator as train_generator
    from medsynth.train.retrain import retrainer as retrainer
    from medsynth.train.run import Run as Run
    from medsynth.train.run import open_run as open_run

__all__ = ["Run", "open_run", "retrainer", "train_classifier", "train_generator"]


def __getattr__(name: str) -> Any:
    if name in {"Run", "open_run"}:
        from medsynth.train import run

        return getattr(run, name)
    if name == "train_classifier":
        require_tensorflow("Training a classifier")
        from medsynth.train.classifier import train_classifier

        return train_classifier
    if name == "retrainer":
        require_tensorflow("Training a network to see whether generated images help")
        from medsynth.train.retrain import retrainer

        return retrainer
    if name == "train_generator":
        require_tensorflow("Training a generator")
        from medsynth.train.generator import train_generator

        return train_generator
    raise AttributeError(f"module 'medsynth.train' has no attribute {name!r}")

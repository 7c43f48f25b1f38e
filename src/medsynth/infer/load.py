"""From an ONNX file to the object that serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.errors import ArtifactError
from medsynth.infer.classifier import Classifier
from medsynth.infer.sampler import Sampler
from medsynth.infer.session import Session

if TYPE_CHECKING:
    from medsynth.infer.foreign import ForeignFacts

__all__ = ["load_classifier", "load_model", "load_sampler"]


def load_model(path: str | Path, *, device: str = "auto", foreign: ForeignFacts | None = None) -> Classifier | Sampler:
    """Open an artefact, or a classifier that others wrote.

    Args:
        path: An ONNX file.
        device: ``auto`` (CUDA where it works, else the CPU), ``cpu``, ``cuda`` or ``tensorrt``. A device that does not
            work is an error, never silently another one.
        foreign: What the file of a foreign classifier does not say; an artefact of ours says it itself.

    Returns:
        A :class:`Classifier` or a :class:`Sampler`, as the file's task says.

    Raises:
        ArtifactError: The file is missing or corrupt, its graph breaks the contract, or it is foreign and facts are
            missing, which the line names.
        ConfigError: There is no such device.
        DeviceError: The device does not work here; the line says why and how to mend it.
    """
    session = Session(path, device, foreign)
    return Classifier(session) if session.metadata.task == "classifier" else Sampler(session)


def load_classifier(path: str | Path, *, device: str = "auto", foreign: ForeignFacts | None = None) -> Classifier:
    """:func:`load_model` for a file that must be a classifier."""
    model = load_model(path, device=device, foreign=foreign)
    if not isinstance(model, Classifier):
        raise ArtifactError(f"{path}: must be a classifier. Got a generator; medsynth generate draws images from it.")
    return model


def load_sampler(path: str | Path, *, device: str = "auto") -> Sampler:
    """:func:`load_model` for a file that must be a generator."""
    model = load_model(path, device=device)
    if not isinstance(model, Sampler):
        raise ArtifactError(f"{path}: must be a generator. Got a classifier; medsynth infer runs it on images.")
    return model

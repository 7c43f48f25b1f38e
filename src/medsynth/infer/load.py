"""From an ONNX file to the object that serves it."""

from __future__ import annotations

from pathlib import Path

from medsynth.errors import ArtifactError
from medsynth.infer.classifier import Classifier
from medsynth.infer.sampler import Sampler
from medsynth.infer.session import Session

__all__ = ["load_classifier", "load_model", "load_sampler"]


def load_model(path: str | Path, *, device: str = "auto") -> Classifier | Sampler:
    """Open an artefact.

    Args:
        path: An ONNX file that medsynth wrote.
        device: ``auto`` (CUDA where it works, else the CPU), ``cpu``, ``cuda`` or ``tensorrt``. A device that does not
            work is an error, never silently another one.

    Returns:
        A :class:`Classifier` or a :class:`Sampler`, as the file's task says.

    Raises:
        ArtifactError: The file is missing, corrupt, not ours, or its graph breaks the contract.
        ConfigError: There is no such device.
        DeviceError: The device does not work here; the line says why and how to mend it.
    """
    session = Session(path, device)
    return Classifier(session) if session.metadata.task == "classifier" else Sampler(session)


def load_classifier(path: str | Path, *, device: str = "auto") -> Classifier:
    """:func:`load_model` for a file that must be a classifier."""
    model = load_model(path, device=device)
    if not isinstance(model, Classifier):
        raise ArtifactError(f"{path}: must be a classifier. Got a generator; medsynth generate draws images from it.")
    return model


def load_sampler(path: str | Path, *, device: str = "auto") -> Sampler:
    """:func:`load_model` for a file that must be a generator."""
    model = load_model(path, device=device)
    if not isinstance(model, Sampler):
        raise ArtifactError(f"{path}: must be a generator. Got a classifier; medsynth infer runs it on images.")
    return model

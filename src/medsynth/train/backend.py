"""Training needs TensorFlow, and Keras on top of it; this is where a missing or another backend is explained."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib import metadata

from medsynth.errors import ConfigError, MissingExtraError

__all__ = ["require_tensorflow", "training_versions"]


def require_tensorflow(what: str) -> None:
    """Check that TensorFlow can be imported and is Keras' backend, before anything imports Keras.

    Args:
        what: What the user asked for; the subject of the error message.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        ConfigError: ``KERAS_BACKEND`` names another backend.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ConfigError(
            f"{what} needs Keras on TensorFlow, but KERAS_BACKEND is '{backend}'. Unset it or set it to 'tensorflow'."
        )
    for module in ("tensorflow", "keras"):
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise MissingExtraError(what, "train", missing=module)
    if "tensorflow" not in sys.modules and "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        with _standard_error_closed():
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def _standard_error_closed() -> Iterator[None]:
    """TensorFlow's libraries greet on file descriptor 2 while they load, before they read the level of their log.

    Whoever wants to hear them sets ``TF_CPP_MIN_LOG_LEVEL``.
    """
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def training_versions() -> dict[str, str]:
    """Versions of the packages that shaped the weights, for the run manifest and the artefact."""
    names = ("medsynth-core", "keras", "tensorflow", "tensorflow-cpu", "numpy", "pillow")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

"""Training and export need TensorFlow, Keras on top of it and tf2onnx; what is missing or broken is explained here."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib import metadata

from medsynth.errors import ConfigError, MedsynthError, MissingExtraError
from medsynth.processor import processor_has

__all__ = ["ask_for_onednn", "require_tensorflow", "training_versions"]


def require_tensorflow(what: str) -> None:
    """Check that what the extra ``train`` brings is there and TensorFlow is Keras' backend, before Keras is imported.

    Args:
        what: What the user asked for; the subject of the error message.

    Raises:
        MissingExtraError: TensorFlow, Keras or tf2onnx is not installed.
        ConfigError: ``KERAS_BACKEND`` names another backend.
        MedsynthError: TensorFlow is installed, but does not load.
    """
    # Set where it is not, because a keras.json in the user's home may name another backend.
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ConfigError(
            f"{what} needs Keras on TensorFlow, but KERAS_BACKEND is '{backend}'. Unset it or set it to 'tensorflow'."
        )
    for module in ("tensorflow", "keras", "tf2onnx"):
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise MissingExtraError(what, "train", missing=module)
    if "tensorflow" in sys.modules:
        return
    ask_for_onednn()
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    if quiet:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        with _standard_error_closed() if quiet else contextlib.nullcontext():
            importlib.import_module("tensorflow")
    except Exception as error:  # A broken installation raises ImportError, and much else.
        cause = " ".join(str(error).split()) or type(error).__name__
        raise MedsynthError(
            f"{what} needs TensorFlow, which is installed but does not load ({cause[:300]}). "
            "Install it again: pip install --force-reinstall tensorflow"
        ) from error


def ask_for_onednn() -> None:
    """Have TensorFlow take oneDNN's kernels, if it is not imported yet and ``TF_ENABLE_ONEDNN_OPTS`` is not set.

    By itself it takes them only on processors with instructions for neural networks (VNNI, bfloat16, AMX). With AVX2
    alone they are 1.5 times as fast and more.
    """
    if processor_has("avx2"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


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

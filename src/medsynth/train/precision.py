"""Arithmetic of layers while training: bfloat16 where the processor multiplies it in hardware.

Sums, weights and their updates stay in float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tensorflow as tf

from medsynth.processor import processor_has

__all__ = ["precision", "wants_bfloat16"]

_REWRITE = "auto_mixed_precision_onednn_bfloat16"
"""TensorFlow's own graph rewrite for oneDNN (``tf.config.optimizer.set_experimental_options``)."""


def wants_bfloat16(asked: Literal["auto", "bfloat16", "float32"], *, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether to compute in bfloat16; ``auto``: on a CPU that has instructions for it."""
    if asked != "auto":
        return asked == "bfloat16"
    if tf.config.list_physical_devices("GPU"):
        return False
    return processor_has("avx512_bf16", "amx_bf16", cpuinfo=cpuinfo)


@contextlib.contextmanager
def precision(bfloat16: bool) -> Iterator[None]:
    """Within it, a ``tf.function`` that is called for the first time is compiled for this arithmetic."""
    before = tf.config.optimizer.get_experimental_options().get(_REWRITE, False)
    tf.config.optimizer.set_experimental_options({_REWRITE: bfloat16})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_REWRITE: before})

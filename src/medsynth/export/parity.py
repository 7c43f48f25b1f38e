"""What computes by another way and onnxruntime must say the same, or there is no file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.golden import TOLERANCE
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PROBABILITY_TOLERANCE", "GREY_TOLERANCE", "check_parity"]

# What verify allows between machines is what export allows against Keras.
PROBABILITY_TOLERANCE, GREY_TOLERANCE = TOLERANCE["fp32"]

Run = Callable[[Mapping[str, "NDArray[Any]"]], "NDArray[Any]"]


def check_parity(
    expected_run: Run,
    onnx_run: Run,
    inputs: Mapping[str, NDArray[Any]],
    batch_sizes: Iterable[int],
    tolerance: float,
    *,
    reference: str = "Keras",
) -> dict[str, float]:
    """Compare one output at several batch sizes.

    Args:
        expected_run: From named inputs to the output, by the reference.
        onnx_run: The same by onnxruntime.
        inputs: Named arrays with at least as many rows as the largest batch.
        batch_sizes: Rows to give at once.
        tolerance: Largest absolute difference allowed, in the unit of the output.
        reference: Its name, for the message.

    Returns:
        Largest absolute difference by batch size (as text, for JSON).

    Raises:
        ArtifactError: A difference is above the tolerance, or not a number.
    """
    worst = {}
    for size in sorted(set(batch_sizes)):
        rows = {name: array[:size] for name, array in inputs.items()}
        expected, got = np.asarray(expected_run(rows), np.float64), np.asarray(onnx_run(rows), np.float64)
        difference = float(np.abs(expected - got).max()) if expected.shape == got.shape else float("nan")
        if not difference <= tolerance:
            raise ArtifactError(
                f"the exported graph disagrees with {reference} by {difference:.3g} at batch {size} "
                f"(shapes {expected.shape} and {got.shape}); at most {tolerance:g} is allowed. Nothing was written. "
                "This is a fault of the export, not of the data: please report it with the plugin's name."
            )
        worst[str(size)] = difference
    return worst

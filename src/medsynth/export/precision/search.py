"""Which layers must stay in float32, so that the gate lets the rest pass?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medsynth.errors import CheckFailedError

if TYPE_CHECKING:
    import onnx

    from medsynth.export.precision.gate import Verdict
    from medsynth.export.precision.subject import Subject

__all__ = ["Converted", "convert_within_budget"]

Convert = Callable[[Sequence[str]], "onnx.ModelProto"]


@dataclass(frozen=True, eq=False, slots=True)
class Converted:
    """A conversion that passed.

    Attributes:
        model: The converted graph.
        kept: Layers that stayed in float32, the most harmful first.
        verdict: What the gate found.
        whole: What it found with no layer kept.
    """

    model: onnx.ModelProto
    kept: tuple[str, ...]
    verdict: Verdict
    whole: Verdict


def convert_within_budget(
    convert: Convert, layers: Sequence[str], subject: Subject, *, fallback: bool, tell: Callable[[str], None]
) -> Converted:
    """Convert everything; where the gate refuses, keep the layers in float32 that do most harm, one more at a time.

    Layers are ranked by the error that is left on the calibration inputs when only that layer is kept; validation
    images are asked for the verdict alone. At most half of the layers are kept: beyond that little is left to gain.

    Args:
        convert: Converts all but the layers named.
        layers: Layers that may be kept.
        subject: Ranks and judges.
        fallback: Whether layers may be kept at all.
        tell: Takes one line about each step.

    Raises:
        CheckFailedError: The gate refuses.
    """
    model = convert(())
    whole = verdict = subject.judge(model)
    kept: tuple[str, ...] = ()
    if not verdict.passed and fallback and layers:
        tell(f"Over the budget: {'; '.join(verdict.over)}. Ranking {len(layers)} layers by the harm they do.")
        ranked = sorted(layers, key=lambda name: subject.error(convert((name,))))
        for count in range(1, (len(layers) + 1) // 2 + 1):
            kept = tuple(ranked[:count])
            model = convert(kept)
            verdict = subject.judge(model)
            tell(f"  {count} in float32: {verdict.summary}")
            if verdict.passed:
                break
    if not verdict.passed:
        tried = f" even with {len(kept)} of {len(layers)} layers in float32" if kept else ""
        raise CheckFailedError(
            f"the gate refuses this precision{tried}: {'; '.join(verdict.over)}. Nothing was written. "
            f"{subject.advice}, or stay with fp32."
        )
    return Converted(model, kept, verdict, whole)

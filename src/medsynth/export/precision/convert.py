"""From the fp32 artefact to one of another precision that the gate let pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from medsynth import artifact
from medsynth.artifact.files import parse_model, read_bytes
from medsynth.artifact.runtime import import_onnxruntime
from medsynth.errors import ArtifactError, ConfigError
from medsynth.export.precision.calibrate import measure
from medsynth.export.precision.data import decode_images
from medsynth.export.precision.fp16 import to_fp16
from medsynth.export.precision.graph import Wires, layers, simplify
from medsynth.export.precision.int8 import quantised_tensors, to_int8, worth_quantising
from medsynth.export.precision.pixels import fold_pixel_arithmetic
from medsynth.export.precision.search import convert_within_budget
from medsynth.export.precision.subject import ClassifierSubject, GeneratorSubject, Subject
from medsynth.export.precision.transposed import convolve_instead

if TYPE_CHECKING:
    import onnx

    from medsynth.artifact import Metadata
    from medsynth.dataset import Dataset
    from medsynth.export.precision.gate import Budget
    from medsynth.infer import Classifier

__all__ = ["PRECISIONS", "Precision", "convert"]

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

_SAMPLES = 128

_Prepared: TypeAlias = tuple[list[str], Callable[[Sequence[str]], "onnx.ModelProto"], dict[str, Any]]
"""Layers that may stay in float32, the conversion that keeps some, and facts for the metadata."""

_RANGES = (1.0, 0.85, 0.7)
"""Shares of the activations' ranges that int8 tries."""

_TARGETS = {
    "fp16": "GPUs; float32 where sums, exponentials and the last rounding need it",
    "int8": "x86 with VNNI: unsigned activations, signed weights per output channel, static, QDQ",
}


def convert(
    source: str | Path,
    out: str | Path,
    *,
    precision: Precision,
    data: Dataset | None,
    classifier: Classifier | None,
    budget: Budget,
    fallback: bool,
    tell: Callable[[str], None],
) -> Metadata:
    """Write an fp32 artefact in another precision, if the gate lets it pass.

    Args:
        source: The fp32 artefact.
        out: The file to write.
        precision: ``fp16`` or ``int8``.
        data: For a classifier: training images calibrate, validation images judge.
        classifier: For a generator: names the class of the images.
        budget: What the gate lets pass.
        fallback: Whether single layers may stay in float32.
        tell: Takes one line about each step.

    Returns:
        The metadata as written: those of ``source`` but for the precision.

    Raises:
        ArtifactError: ``source`` is missing, corrupt or not fp32.
        CheckFailedError: The gate refuses.
        ConfigError: A classifier without data.
        DataError: The data do not fit the model.
    """
    parent = artifact.read(source)
    if parent.precision["name"] != "fp32":
        raise ArtifactError(f"{source}: must be fp32 to be converted. Got {parent.precision['name']}.")
    if parent.tta:
        raise ArtifactError(
            f"{source}: averages {parent.tta['views']} views. Convert the file that it was made from, "
            "or give --tta together with --precision."
        )
    reference = parse_model(read_bytes(source))
    del reference.metadata_props[:]
    subject, judged, calibration = _subject(source, reference, parent, data, classifier, budget)
    prepare = _prepare_int8 if precision == "int8" else _prepare_fp16
    names, make, how = prepare(reference, subject)
    found = convert_within_budget(make, names, subject, fallback=fallback, tell=tell)
    facts: dict[str, Any] = {
        "name": precision,
        "target": _TARGETS[precision],
        "parent": parent.content_hash,
        "kept_in_fp32": list(found.kept),
        "gate": {"budget": asdict(budget), **judged, **found.verdict.measured},
    }
    if found.kept:
        facts["gate"]["without_fp32_layers"] = dict(found.whole.measured)
    if precision == "int8":
        facts["calibration"] = {**calibration, **how}
    versions = {**parent.versions, "onnxruntime": str(import_onnxruntime().__version__)}
    tell(found.verdict.summary)
    return artifact.write(found.model, replace(parent, precision=facts, versions=versions), out)


def _subject(
    source: str | Path,
    reference: onnx.ModelProto,
    metadata: Metadata,
    data: Dataset | None,
    classifier: Classifier | None,
    budget: Budget,
) -> tuple[Subject, dict[str, Any], dict[str, Any]]:
    """What is converted, and for the metadata the facts of what judges and of what calibrates it."""
    if metadata.task == "generator":
        subject = GeneratorSubject(reference, metadata, _SAMPLES, budget, classifier)
        return subject, {"part": "noise"}, {"noise": _SAMPLES}
    if data is None:
        raise ConfigError(
            f"{source}: a classifier is calibrated on training images and judged on validation images. "
            "Give the data set that it was trained on with --calibration."
        )
    images = decode_images(data, metadata)
    return (
        ClassifierSubject(reference, metadata, images.calibration, images.validation, budget),
        {**images.facts, "part": "validation"},
        {**images.facts, "part": "train", "images": len(images.calibration)},
    )


def _prepare_fp16(reference: onnx.ModelProto, subject: Subject) -> _Prepared:
    del subject  # Nothing to calibrate.
    simple = simplify(reference)
    return [node.name for node in layers(simple)], lambda keep: to_fp16(simple, keep), {}


def _prepare_int8(reference: onnx.ModelProto, subject: Subject) -> _Prepared:
    ready = convolve_instead(fold_pixel_arithmetic(simplify(reference)))
    wires = Wires(ready.graph)
    names = [node.name for node in layers(ready) if worth_quantising(node, wires)]
    if not names:
        raise ArtifactError("the network has no layer that int8 could make faster. Stay with fp32.")
    seen = measure(ready, quantised_tensors(ready), subject.batches())

    def make(keep: Sequence[str], share: float) -> onnx.ModelProto:
        return to_int8(ready, {name: spread.narrowed(share) for name, spread in seen.items()}, keep)

    share = min(_RANGES, key=lambda share: subject.error(make((), share)))
    return names, lambda keep: make(keep, share), {"share_of_ranges": share}

"""Names, dtypes and shapes that the graph of an artefact must have, for onnx's and onnxruntime's view of it alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from medsynth.artifact.metadata import Metadata

__all__ = ["BATCH", "TensorInfo", "broken_rules", "infos_from_onnx", "infos_from_session", "latent_length"]

BATCH = "batch"
"""Name of the free first axis of every input and output."""

Axis: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output; an axis is a length, the name of a free axis, or ``None`` for an unnamed one."""

    name: str
    dtype: str
    shape: tuple[Axis, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if axis is None else str(axis) for axis in self.shape)}]"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What must stand under one name; ``None`` in ``shape`` is any fixed length. The batch axis comes before."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    required: bool = True

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join([BATCH, *('n' if axis is None else str(axis) for axis in self.shape)])}]"

    def allows(self, info: TensorInfo) -> bool:
        if info.dtype != self.dtype or len(info.shape) != len(self.shape) + 1 or info.shape[0] != BATCH:
            return False
        return all(
            isinstance(got, int) and got >= 1 and wanted in {None, got}
            for got, wanted in zip(info.shape[1:], self.shape, strict=True)
        )


def broken_rules(inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo], metadata: Metadata) -> tuple[str, ...]:
    """Every difference between a graph and the contract of its task, a sentence each; empty where it keeps it."""
    for_inputs, for_outputs = _rules(metadata)
    return (*_differences("input", tuple(inputs), for_inputs), *_differences("output", tuple(outputs), for_outputs))


def _rules(metadata: Metadata) -> tuple[tuple[_Rule, ...], tuple[_Rule, ...]]:
    images = _Rule("images", "uint8", metadata.image.shape)
    classes = len(metadata.classes)
    if metadata.task == "generator":
        return (_Rule("noise", "float32", (None,)), _Rule("label", "int64", ())), (images,)
    return (images,), (
        _Rule("logits", "float32", (classes,)),
        _Rule("probabilities", "float32", (classes,)),
        _Rule("features", "float32", (None,)),
        _Rule("activations", "float32", (None, None, None), required=False),
        _Rule("decision", "int64", (), required=False),
    )


def _differences(kind: str, infos: Sequence[TensorInfo], rules: Sequence[_Rule]) -> Iterator[str]:
    by_name = {info.name: info for info in infos}
    for rule in rules:
        info = by_name.pop(rule.name, None)
        if info is None:
            if rule.required:
                yield f"{kind} {rule.name!r} is missing, must be {rule}"
        elif not rule.allows(info):
            yield f"{kind} {rule.name!r} must be {rule}, is {info}"
    for name in by_name:
        yield f"{kind} {name!r} is not one of {', '.join(rule.name for rule in rules)}"


def latent_length(inputs: Iterable[TensorInfo]) -> int:
    """Length of a generator's noise rows."""
    for info in inputs:
        if info.name == "noise" and len(info.shape) == 2 and isinstance(info.shape[1], int):
            return info.shape[1]
    raise ArtifactError("the generator's noise input must have a fixed length: noise float32[batch, n].")


def infos_from_onnx(values: Iterable[Any]) -> tuple[TensorInfo, ...]:
    """From ``graph.input`` or ``graph.output``."""
    infos = []
    for value in values:
        tensor = value.type.tensor_type
        kind = _kind(tensor.elem_type)
        axes = tuple(
            axis.dim_value if axis.HasField("dim_value") else (axis.dim_param or None) for axis in tensor.shape.dim
        )
        infos.append(TensorInfo(value.name, {"float": "float32", "double": "float64"}.get(kind, kind), axes))
    return tuple(infos)


def _kind(number: int) -> str:
    """Onnx's name of an element type; a later onnx, or a damaged file, may have numbers that this one cannot name."""
    import onnx

    known = onnx.TensorProto.DataType
    return known.Name(number).lower() if number in known.values() else f"type {number}"


def infos_from_session(arguments: Iterable[Any]) -> tuple[TensorInfo, ...]:
    """From ``session.get_inputs()`` or ``session.get_outputs()``."""
    infos = []
    for argument in arguments:
        kind = argument.type.removeprefix("tensor(").removesuffix(")")
        dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
        infos.append(TensorInfo(argument.name, dtype, tuple(argument.shape)))
    return tuple(infos)

"""Classifiers that medsynth did not write: the facts that their files lack, and a graph that keeps our contract.

Scaling, layout and softmax are put into the graph, so that everything else treats such a model as one of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.contract import BATCH, TensorInfo, infos_from_onnx
from medsynth.artifact.files import serialise
from medsynth.artifact.golden import CpuRunner
from medsynth.artifact.metadata import Metadata, canonical_json
from medsynth.errors import ArtifactError, ConfigError
from medsynth.images import ImageSpec

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

__all__ = ["ForeignFacts", "adopt"]

_FLOATS = ("float32", "float16")
_PREFIX = "foreign/"
_ROWS_TESTED = 4
_SUM_TOLERANCE = 5e-3  # float16 rounds each of them


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFacts:
    """What the file of a foreign classifier does not say. The model gets (pixel - mean) * scale of RGB or grey pixels.

    One that takes uint8 gets the pixels as they are.

    Attributes:
        labels: Class names in the order of the outputs.
        scale: Factor for pixels from 0 to 255, one for all channels or one each; not for a model that takes uint8.
        mean: Subtracted before, in grey levels from 0 to 255; one for all channels or one each; not for uint8 either.
        image_size: Height and width, where the graph leaves them free.
    """

    labels: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    mean: tuple[float, ...] = (0.0,)
    image_size: int | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """How images go in."""

    channels: int
    channels_first: bool
    height: int | None
    width: int | None
    batch: int | None


def adopt(path: Path, facts: ForeignFacts) -> tuple[bytes, Metadata]:
    """Wrap a foreign classifier: uint8 ``images`` [batch, height, width, channels] in, ``probabilities`` out.

    Layout and channels come from the shape of its one input; the output is the one with a row of as many values as
    there are labels. Outputs whose rows sum to 1 stay as they are, others go through a softmax.

    Args:
        path: The ONNX file; external data beside it are loaded.
        facts: What it does not say.

    Returns:
        The serialised graph and metadata for it. Their content hash covers both and the facts.

    Raises:
        ArtifactError: Not an image classifier, or one of another number of classes than labels; or facts are missing:
            the line names the options.
        ConfigError: Facts that do not fit the graph.
    """
    import onnx
    import onnx.compose

    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's DecodeError, or what the onnx package says of external data
        raise ArtifactError(f"{path}: the ONNX file cannot be read ({error}).") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = infos_from_onnx(value for value in model.graph.input if value.name not in weights)
    outputs = infos_from_onnx(model.graph.output)
    if len(inputs) != 1 or inputs[0].dtype not in {*_FLOATS, "uint8"}:
        raise ArtifactError(
            f"{path}: must have one input of float32, float16 or uint8 images. "
            f"Got {', '.join(f'{info.name} {info}' for info in inputs) or 'none'}."
        )
    shape = _read_shape(path, inputs[0])
    missing = list(_missing(inputs[0], shape, facts))
    if missing:
        raise ArtifactError(f"{path}: was not written by medsynth, so say what it does not: {'; '.join(missing)}.")
    spec = _spec(path, inputs[0], shape, facts)
    output = _choose_output(path, outputs, len(facts.labels))
    model = onnx.compose.add_prefix(model, _PREFIX)  # Its tensors may be called as ours.
    _put_before(model, inputs[0], spec, shape, facts)
    _put_behind(model, output, shape, len(facts.labels))
    if not _gives_probabilities(path, model, spec, shape.batch, len(facts.labels)):
        _add_softmax(model)
    wrapped = serialise(model)
    digest = hashlib.sha256(wrapped)
    digest.update(canonical_json(asdict(facts)).encode())
    metadata = Metadata(
        task="classifier",
        classes=facts.labels,
        positive=facts.labels[-1],
        image=spec,
        plugin={"name": "foreign"},
        data={},
        training={},
        validation={},
        intended_use="Not known: medsynth did not write this model.",
        versions={},
        precision={"name": "not known"},
        content_hash=digest.hexdigest(),
    )
    return wrapped, metadata


def _read_shape(path: Path, info: TensorInfo) -> _Shape:
    axes = tuple(axis if isinstance(axis, int) else None for axis in info.shape)
    first, last = (len(axes) == 4 and axes[place] in {1, 3} for place in (1, 3))
    if first == last:
        raise ArtifactError(
            f"{path}: the input must be [batch, channels, height, width] or [batch, height, width, channels] with 1 or "
            f"3 channels. Got {info.name} {info}."
        )
    channels = axes[1 if first else 3]
    assert channels is not None
    height, width = axes[2:] if first else axes[1:3]
    return _Shape(channels, first, height, width, axes[0])


def _missing(info: TensorInfo, shape: _Shape, facts: ForeignFacts) -> Iterator[str]:
    if not facts.labels:
        yield "--labels NAME,NAME,... (class names in the order of its outputs)"
    if not facts.scale and info.dtype != "uint8":
        yield "--scale NUMBER (it gets pixels from 0 to 255 times this; 0.003921568627 for 0 to 1)"
    if facts.image_size is None and (shape.height is None or shape.width is None):
        yield "--image-size N (its height and width are free)"


def _spec(path: Path, info: TensorInfo, shape: _Shape, facts: ForeignFacts) -> ImageSpec:
    height, width = shape.height or facts.image_size, shape.width or facts.image_size
    assert height is not None
    assert width is not None
    if facts.image_size is not None and (height, width) != (facts.image_size, facts.image_size):
        raise ConfigError(
            f"{path}: --image-size must be what the graph says, {height}x{width}. Got {facts.image_size}."
        )
    if info.dtype == "uint8" and (facts.scale or any(facts.mean)):
        raise ConfigError(f"{path}: takes uint8, so it gets the pixels as they are. Omit --scale and --mean.")
    for name, values in (("--scale", facts.scale), ("--mean", facts.mean)):
        if len(values) not in {0, 1, shape.channels}:
            raise ConfigError(f"{path}: {name} must be 1 number or {shape.channels}. Got {len(values)}.")
    return ImageSpec(height=height, width=width, channels=shape.channels)


def _choose_output(path: Path, outputs: tuple[TensorInfo, ...], classes: int) -> TensorInfo:
    fitting = [
        info
        for info in outputs
        if info.dtype in _FLOATS
        and len(info.shape) == 2
        and (info.shape[1] == classes or not isinstance(info.shape[1], int))
    ]
    if len(fitting) != 1:
        got = ", ".join(f"{info.name} {info}" for info in outputs)
        raise ArtifactError(
            f"{path}: must have one output float32[batch, {classes}] for the {classes} labels. Got {got}. "
            "Check the number of labels."
        )
    return fitting[0]


def _put_before(model: onnx.ModelProto, info: TensorInfo, spec: ImageSpec, shape: _Shape, facts: ForeignFacts) -> None:
    """Make uint8 ``images`` the only input, and what the model took an inner tensor."""
    from onnx import TensorProto, helper, numpy_helper

    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if info.dtype != "uint8":
        for name, values in (("mean", facts.mean), ("scale", facts.scale)):
            constant = np.broadcast_to(np.asarray(values, np.float32), spec.channels)
            model.graph.initializer.append(numpy_helper.from_array(constant, name))
        # Scaled in float32 even where the model is float16, whose own rounding comes last.
        steps = [("Cast", [], {"to": TensorProto.FLOAT}), ("Sub", ["mean"], {}), ("Mul", ["scale"], {})]
        if info.dtype == "float16":
            steps.append(("Cast", [], {"to": TensorProto.FLOAT16}))
    steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}) if shape.channels_first else ("Identity", [], {}))
    names = ["images", *(f"prepared{step}" for step in range(1, len(steps))), _PREFIX + info.name]
    before = [
        helper.make_node(operator, [names[step], *more], [names[step + 1]], **attributes)
        for step, (operator, more, attributes) in enumerate(steps)
    ]
    inner = list(model.graph.node)
    del model.graph.input[:], model.graph.node[:]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, [shape.batch or BATCH, *spec.shape])
    model.graph.input.append(images)
    model.graph.node.extend([*before, *inner])


def _put_behind(model: onnx.ModelProto, output: TensorInfo, shape: _Shape, classes: int) -> None:
    """Make ``probabilities`` the only output; what comes out unchanged is tried first."""
    from onnx import TensorProto, helper

    model.graph.node.append(helper.make_node("Cast", [_PREFIX + output.name], ["rows"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Identity", ["rows"], ["probabilities"]))
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [shape.batch or BATCH, classes])
    )


def _add_softmax(model: onnx.ModelProto) -> None:
    from onnx import helper

    model.graph.node[-1].CopyFrom(helper.make_node("Softmax", ["rows"], ["probabilities"], axis=1))


def _gives_probabilities(path: Path, model: onnx.ModelProto, spec: ImageSpec, batch: int | None, classes: int) -> bool:
    """Whether the rows sum to 1 already, on noise.

    Raises:
        ArtifactError: They have another number of values than there are classes, which a free axis did not say.
    """
    images = np.random.default_rng(0).integers(0, 256, (batch or _ROWS_TESTED, *spec.shape), np.uint8)
    rows = CpuRunner(serialise(model)).run({"images": images})["probabilities"]
    if rows.shape != (len(images), classes):
        raise ArtifactError(
            f"{path}: must give {len(images)} images a row of {classes} values each, one for each label. "
            f"Got values of shape {rows.shape}. Check the number of labels."
        )
    return bool((rows >= 0).all() and np.abs(rows.sum(axis=1) - 1).max() < _SUM_TOLERANCE)

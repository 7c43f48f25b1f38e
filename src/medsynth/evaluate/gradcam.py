"""Grad-CAM from an ONNX file alone: where in the image the last feature maps speak for a class.

Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2) weighs each channel A_k of a layer by the mean of
the class score's gradient over its positions. That mean is, up to the number of positions, the derivative of the score
when the whole channel is raised by a constant, so the part of the graph behind the layer, run on raised and lowered
channels, gives it: no TensorFlow, no gradient graph, any backbone, any precision. It is exact where the score is linear
in such a shift, as behind pooling and one dense layer, where Grad-CAM is CAM (Zhou et al. 2016, arXiv 1512.04150).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.files import parse_model, read_bytes
from medsynth.artifact.golden import CpuRunner
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["GradCam"]

_SHIFT = 0.1
"""Of a channel's root mean square: far above rounding in float16, small where the head is not linear."""

_ROWS = 64
_SAME = frozenset({"Transpose", "Identity", "Cast"})
_REGROUPED = frozenset({"Reshape", "Gather"})


class GradCam:
    """Grad-CAM maps of one artefact with the output ``activations``, on the CPU.

    Raises:
        ArtifactError: The file has no such output, its logits do not follow from it, or the part of the graph between
            the two cannot be run alone.
    """

    def __init__(self, path: str | Path) -> None:
        self._model = parse_model(read_bytes(path))
        graph = self._model.graph
        if "activations" not in {value.name for value in graph.output}:
            raise ArtifactError(f"{Path(path).name}: has no output 'activations'.")
        self._root, self._axis = _root(graph)
        self._behind = _behind(graph, [self._root])
        if not any("logits" in node.output for node in self._behind):
            raise ArtifactError(f"{Path(path).name}: its logits do not follow from its activations.")
        made = {name for node in self._behind for name in node.output}
        on_images = {name for node in _behind(graph, [graph.input[0].name]) for name in node.output}
        # What else enters the part behind the layer, such as pooled earlier layers.
        self._others = sorted({n for node in self._behind for n in node.input if n in on_images} - made - {self._root})
        seen = dict.fromkeys((self._root, *self._others, "activations", "logits"))
        self._trunk = CpuRunner(_with_outputs(self._model, seen).SerializeToString())
        self._head: CpuRunner | None = None

    def __call__(self, image: NDArray[np.uint8], index: int) -> NDArray[np.float64]:
        """The map of one class for one image.

        Args:
            image: uint8 (height, width, channels), as the model takes it.
            index: The class.

        Returns:
            float64 (h, w), the layer's positions, 0 or above; in units of the class's logit per position.

        Raises:
            ArtifactError: The part behind the layer does not give the model's logits.
        """
        seen = self._trunk.run({self._model.graph.input[0].name: image[None]})
        inputs = {name: seen[name] for name in (self._root, *self._others)}
        if self._head is None:
            self._head = _head_alone(self._model, self._behind, inputs)
        unchanged = self._logits(inputs, np.zeros((2, seen["activations"].shape[-1])))
        if not np.allclose(unchanged, seen["logits"], rtol=1e-2, atol=1e-3):
            raise ArtifactError("the part of the graph behind the activations does not give the logits.")
        maps = seen["activations"][0].astype(np.float64)
        shifts = _SHIFT * np.sqrt(np.square(maps).mean(axis=(0, 1)))
        alive = np.flatnonzero(shifts > 0)  # The others weigh nothing, whatever their gradient.
        moved = np.zeros((2 * len(alive), len(shifts)))
        moved[np.arange(len(alive)), alive] = shifts[alive]
        moved[len(alive) + np.arange(len(alive)), alive] = -shifts[alive]
        raised, lowered = np.split(self._logits(inputs, moved)[:, index].astype(np.float64), 2)
        weights = (raised - lowered) / (2 * shifts[alive]) / (maps.shape[0] * maps.shape[1])
        return np.asarray(np.maximum(maps[..., alive] @ weights, 0.0))

    def _logits(self, inputs: dict[str, NDArray[Any]], moved: NDArray[np.float64]) -> NDArray[Any]:
        """Logits (n, classes) after moving the channels of the root by each line of ``moved`` (n, channels)."""
        assert self._head is not None
        parts = []
        for start in range(0, len(moved), _ROWS):
            block = moved[start : start + _ROWS]
            feeds = {
                name: np.concatenate([value] * len(block)) if value.ndim else value for name, value in inputs.items()
            }
            root = inputs[self._root]
            shape = [1] * root.ndim
            shape[self._axis] = block.shape[1]
            steps = np.concatenate([np.broadcast_to(line.reshape(shape), (len(root), *shape[1:])) for line in block])
            feeds[self._root] = (feeds[self._root] + steps).astype(root.dtype)
            parts.append(self._head.run(feeds)["logits"])
        return np.concatenate(parts)


def _root(graph: onnx.GraphProto) -> tuple[str, int]:
    """The tensor that ``activations`` is another form of, and which of its axes holds the channels.

    Converters lay feature maps out channels first; what follows reads that tensor, and the output is a transposed copy.
    """
    producers = {name: node for node in graph.node for name in node.output}
    name, axis = "activations", 3
    while name in producers:
        node = producers[name]
        leads = any("logits" in after.output for after in _behind(graph, [name]))
        # Views of one image regrouped: channels stay the last axis, and nothing else reads the result.
        if node.op_type in _REGROUPED and not leads and axis == 3:
            name = node.input[0]
        elif node.op_type in _SAME:
            name = node.input[0]
            if node.op_type == "Transpose":
                axis = list(next(entry.ints for entry in node.attribute if entry.name == "perm"))[axis]
        else:
            break
    return name, axis


def _behind(graph: onnx.GraphProto, names: Iterable[str]) -> list[onnx.NodeProto]:
    """Nodes that depend on some tensors. Converted files do not hold their nodes in topological order."""
    reached, left, found = set(names), list(graph.node), []
    while new := [node for node in left if reached.intersection(node.input)]:
        left = [node for node in left if not reached.intersection(node.input)]
        reached.update(name for node in new for name in node.output)
        found += new
    return found


def _with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy with other outputs; the runtime finds their types out."""
    import onnx

    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    del copied.graph.output[:]
    copied.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copied


def _head_alone(model: onnx.ModelProto, behind: Sequence[onnx.NodeProto], inputs: dict[str, NDArray[Any]]) -> CpuRunner:
    """The part of the graph behind the layer, with a free batch axis."""
    from onnx import helper

    head = _with_outputs(model, ["logits"])
    del head.graph.input[:], head.graph.value_info[:]
    head.graph.input.extend(
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            [f"{name}/rows", *value.shape[1:]] if value.ndim else [],
        )
        for name, value in inputs.items()
    )
    kept = [*(node for node in model.graph.node if not node.input), *behind]
    needed = {name for node in kept for name in node.input}
    weights = [tensor for tensor in head.graph.initializer if tensor.name in needed]
    del head.graph.node[:], head.graph.initializer[:]
    head.graph.node.extend(kept)
    head.graph.initializer.extend(weights)
    return CpuRunner(head.SerializeToString())

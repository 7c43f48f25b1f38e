"""Small questions about an ONNX graph, and the clean-up that comes before a change of precision."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import numpy_helper

from medsynth.artifact.files import serialise
from medsynth.artifact.golden import runtime_says
from medsynth.artifact.runtime import import_onnxruntime, session_options
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LAYER_OPS",
    "Wires",
    "attribute",
    "constant",
    "copy_model",
    "drop_unused",
    "layers",
    "name_nodes",
    "open_session",
    "simplify",
]

LAYER_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose weights make up nearly all of a network's arithmetic."""


class Wires:
    """Who makes and who uses each tensor of a graph; a snapshot."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output if name}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in graph.output}

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that are no constants."""
        return [name for name in node.input if name and name not in self.constants]

    def value(self, name: str) -> NDArray[Any]:
        """A constant as an array."""
        return numpy_helper.to_array(self.constants[name])

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """The node that alone uses a tensor; ``None`` where several do, or the tensor is an output of the model."""
        found = self.consumers.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None


def layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes of :data:`LAYER_OPS` whose weights are constants, in the order in which they run."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type in LAYER_OPS and len(node.input) > 1 and node.input[1] in constants
    ]


def constant(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    """An initialiser."""
    return numpy_helper.from_array(value, name)


def copy_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that may be changed."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: what stays in higher precision is told by name."""
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{index}"
        seen.add(node.name)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initialisers that no output depends on; nodes may stand in any order."""
    producers = {name: node for node in graph.node for name in node.output if name}
    needed: set[str] = set()
    asked = [value.name for value in graph.output]
    while asked:
        name = asked.pop()
        if name not in needed and name:  # An optional input that is absent has no name.
            needed.add(name)
            asked += producers[name].input if name in producers else ()
    kept = [node for node in graph.node if needed.intersection(node.output)]
    used = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(used)


def open_session(model: onnx.ModelProto, *, optimised: Path | None = None, extra_outputs: Iterable[str] = ()) -> Any:
    """An onnxruntime session on the CPU.

    Args:
        model: Weights inside.
        optimised: Where onnxruntime writes its standard-ONNX simplification of the model; then nothing more is done.
        extra_outputs: float32 tensors inside the graph to expose as outputs.

    Raises:
        ArtifactError: onnxruntime refuses the model, or it has more than 2 GiB.
    """
    onnxruntime = import_onnxruntime()
    options = session_options()
    if optimised is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimised)
    if extra_outputs:
        model = copy_model(model)
        present = {value.name for value in model.graph.output}
        model.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in dict.fromkeys(extra_outputs)
            if name not in present
        )
    serialised = serialise(model)
    try:
        return onnxruntime.InferenceSession(serialised, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions have no common class but this.
        raise ArtifactError(f"onnxruntime cannot load the converted model ({runtime_says(error)}).") from error


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and batch normalisation into the layers before them, by onnxruntime's own rules.

    A batch normalisation that stands between a layer and its quantiser would keep both in float32.

    Returns:
        A model of standard ONNX operators with the same outputs up to rounding; every node has a name.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simplified.onnx"
        open_session(model, optimised=path)
        simplified = onnx.load(str(path))
    # The runtime adds every domain that it knows.
    used = {node.domain for node in simplified.graph.node}
    imports = [entry for entry in simplified.opset_import if entry.domain in used | {""}]
    del simplified.opset_import[:], simplified.metadata_props[:], simplified.graph.value_info[:]
    simplified.opset_import.extend(imports)
    name_nodes(simplified.graph)
    return simplified


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute's value."""
    found: Mapping[str, Any] = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    return found.get(name, default)

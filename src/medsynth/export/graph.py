"""What tf2onnx leaves untidy in a graph: axis names, shape arithmetic, and names that change from run to run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from medsynth.errors import ArtifactError
from medsynth.export.precision.graph import drop_unused

if TYPE_CHECKING:
    import onnx

__all__ = ["tidy"]


def tidy(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    """Bring a converted graph into the form of the contract, in place.

    Args:
        graph: From tf2onnx, nodes in topological order.
        outputs: Names of outputs in the order in which they shall stand; all of the graph's are among them.
    """
    # TensorFlow sorts the keys of a dict; people look for the logits first.
    ordered = sorted(graph.output, key=lambda value: outputs.index(value.name))
    del graph.output[:]
    graph.output.extend(ordered)
    _fold_reshapes(graph)
    _name_batch(graph)
    _rename(graph)
    graph.doc_string = ""  # Names the traced function, numbered by what the process traced before.


def _name_batch(graph: onnx.GraphProto) -> None:
    """tf2onnx calls batch axes ``unk__43``; the contract says ``batch``."""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # Shapes in between repeat the old names and are only hints.
    del graph.value_info[:]


def _fold_reshapes(graph: onnx.GraphProto) -> None:
    """Replace the shape arithmetic that ``Flatten`` exports as (Shape, Gather, ..., Concat) by a constant.

    Where only the batch axis of the result is unknown, the shape ``[-1, ...]`` says the same. The arithmetic would run
    on the CPU whatever the device, and forbid CUDA graphs.
    """
    producers = {name: node for node in graph.node for name in node.output}
    known = {value.name: value.type.tensor_type.shape for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in producers or node.output[0] not in known:
            continue
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in known[node.output[0]].dim]
        if sizes[:1] == [-1] and all(size > 0 for size in sizes[1:]):
            name = f"{node.output[0]}/shape"
            graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), name))
            node.input[1] = name
    drop_unused(graph)


def _rename(graph: onnx.GraphProto) -> None:
    """Give nodes, tensors and constants names that follow from the graph alone.

    tf2onnx numbers what it folds in the order of a hash, and Keras numbers layers by what else the process built, so
    that the same network would export to other bytes each time, and have another content hash.
    """
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    used: Counter[str] = Counter()
    ordered = []
    for node in graph.node:
        _refuse_subgraphs(node)
        path = "/".join(filter(None, (re.sub(r"(_+\d+)+$", "", part) for part in node.name.split("/"))))
        used[path] += 1
        node.name = path if used[path] == 1 else f"{path}_{used[path]}"
        for position, name in enumerate(node.input):
            if name in initializers and name not in names:
                names[name] = f"{node.name}:{position}"
                ordered.append(initializers[name])
            node.input[position] = names.get(name, "")
        for position, name in enumerate(node.output):
            if name:  # An optional output that is absent has no name, and must not get one.
                names.setdefault(name, f"{node.name}/{position}" if position else f"{node.name}/out")
                node.output[position] = names[name]
    for tensor in ordered:
        tensor.name = names[tensor.name]
    copies = [type(tensor).FromString(tensor.SerializeToString()) for tensor in ordered]
    del graph.initializer[:]
    graph.initializer.extend(copies)


def _refuse_subgraphs(node: onnx.NodeProto) -> None:
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        raise ArtifactError(
            f"the network exports with the control flow operator {node.op_type} ({node.name}), which an "
            "artefact cannot hold. Build it without loops and conditions (for a recurrent layer: unroll=True)."
        )

"""Half precision from the fp32 graph; inputs and outputs keep their types."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING

from medsynth.artifact.runtime import import_onnxruntime
from medsynth.export.precision.graph import copy_model

if TYPE_CHECKING:
    import onnx

__all__ = ["to_fp16"]

# Sums over thousands of values, exponentials, and the last rounding to grey levels (above 128 a half has steps of 1/8).
_FLOAT32 = ("Softmax", "LogSoftmax", "ReduceMean", "ReduceSum", "GlobalAveragePool", "Exp", "Log", "Round")


def to_fp16(model: onnx.ModelProto, keep: Collection[str] = ()) -> onnx.ModelProto:
    """Convert a float32 model.

    Args:
        model: Simplified: every node has a name.
        keep: Names of nodes that stay in float32.

    Returns:
        A model whose inner tensors are float16 but for ``keep``, softmax, means, logarithms and final rounding.
    """
    import_onnxruntime()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    with warnings.catch_warnings():
        # It warns of every weight that is too small for a half and becomes 0 or the smallest one: the gate judges that.
        warnings.simplefilter("ignore")
        converted: onnx.ModelProto = convert_float_to_float16(
            copy_model(model),
            keep_io_types=True,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_FLOAT32],
            node_block_list=list(keep),
        )
    # A tensor that several float32 nodes read is cast once for each, every time by the same node.
    once = {node.SerializeToString(): node for node in converted.graph.node}
    del converted.graph.node[:]
    converted.graph.node.extend(once.values())
    return converted

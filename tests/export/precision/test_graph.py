from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from medsynth.artifact import files
from medsynth.errors import ArtifactError
from medsynth.export.precision.graph import drop_unused, open_session


def test_what_no_output_needs_is_dropped_in_any_order():
    # "" is an optional input or output that is absent, and joins nothing.
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["b", "used"], ["y"], name="last"),
            helper.make_node("Relu", ["c"], ["d"], name="leads nowhere"),
            helper.make_node("Clip", ["x", "", "used"], ["b"], name="first"),
            helper.make_node("Dropout", ["x"], ["c", ""], name="neither"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.ones(1, np.float32), name) for name in ("used", "unused")],
    )
    drop_unused(graph)
    assert [node.name for node in graph.node] == ["last", "first"]
    assert [tensor.name for tensor in graph.initializer] == ["used"]


def test_a_model_that_is_too_large_says_so(small, monkeypatch):
    monkeypatch.setattr(files, "_MAX_BYTES", 1000)
    with pytest.raises(ArtifactError, match=r"^the model has .* one ONNX file holds at most 2"):
        open_session(small.classifier())

from __future__ import annotations

import numpy as np
import onnx
import pytest

from medsynth.export.precision.graph import open_session, simplify
from medsynth.export.precision.transposed import convolve_instead


@pytest.mark.parametrize(
    ("kernel", "pads"), [(4, (1, 1, 1, 1)), (2, (0, 0, 0, 0)), (3, (0, 0, 1, 1)), (3, (1, 1, 0, 0)), (5, (1, 1, 2, 2))]
)
def test_a_transposed_convolution_becomes_a_convolution_of_the_same_function(small, kernel, pads):
    model = simplify(small.generator(kernel=kernel, pads=pads))
    rewritten = convolve_instead(model)
    onnx.checker.check_model(rewritten, full_check=True)
    kinds = [node.op_type for node in rewritten.graph.node]
    assert "ConvTranspose" not in kinds
    assert "DepthToSpace" in kinds
    feeds = {
        "noise": np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32),
        "label": np.arange(5) % 2,
    }
    wanted, got = (open_session(each, extra_outputs=["c"]).run(["c"], feeds)[0] for each in (model, rewritten))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_one_that_does_not_enlarge_by_its_stride_is_left_alone(small):
    model = simplify(small.generator())
    node = next(node for node in model.graph.node if node.op_type == "ConvTranspose")
    for attribute in node.attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [0, 0, 0, 0]
    assert "ConvTranspose" in [node.op_type for node in convolve_instead(model).graph.node]

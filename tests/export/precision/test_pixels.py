from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from medsynth.export.precision.graph import open_session, simplify
from medsynth.export.precision.pixels import PIXELS, fold_pixel_arithmetic
from medsynth.images import ImageSpec


def _outputs(model, images):
    return open_session(model).run(["probabilities", "activations"], {"images": images})


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_convolution_reads_pixels_and_says_the_same_at_the_border_too(small, channels):
    spec = ImageSpec(height=16, width=24, channels=channels)
    model = simplify(small.classifier(ImageSpec(height=16, width=24, channels=channels)))
    folded = fold_pixel_arithmetic(model)
    onnx.checker.check_model(folded, full_check=True)
    convolution = next(node for node in folded.graph.node if node.op_type == "Conv")
    assert convolution.input[0] == f"{PIXELS}/float"
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in folded.graph.initializer}
    assert weights[convolution.input[1]].shape[1] == 4
    assert not {"Sub", "Gather", "Pad"} & {node.op_type for node in folded.graph.node}
    images = np.random.default_rng(1).integers(0, 256, (3, *spec.shape), dtype=np.uint8)
    for got, wanted in zip(_outputs(folded, images), _outputs(model, images), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_copies_of_grey_share_weights_that_round_three_times_finer(small):
    folded = fold_pixel_arithmetic(simplify(small.classifier()))
    convolution = next(node for node in folded.graph.node if node.op_type == "Conv")
    weights = next(
        numpy_helper.to_array(tensor) for tensor in folded.graph.initializer if tensor.name == convolution.input[1]
    ).astype(np.float64)
    wanted = weights[:, :3].sum(axis=1)
    step = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
    error = np.abs((np.round(weights[:, :3] / step[:, :1]) * step[:, :1]).sum(axis=1) - wanted)
    assert (error <= 0.52 * step[:, 0]).all()  # Three that round alike would miss by 1.5 steps.


def test_arithmetic_that_is_not_affine_is_left_alone(small):
    model = small.classifier()
    node = next(node for node in model.graph.node if node.op_type == "Sub")
    node.op_type, node.input[1] = "Mul", "colour"  # Squares.
    model = simplify(model)
    assert fold_pixel_arithmetic(model) is model


def test_a_generator_has_no_pixels_to_fold(small):
    model = simplify(small.generator())
    assert fold_pixel_arithmetic(model) is model

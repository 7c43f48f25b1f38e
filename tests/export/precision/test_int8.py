from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from medsynth.export.precision.calibrate import measure
from medsynth.export.precision.graph import Wires, layers, open_session, simplify
from medsynth.export.precision.int8 import quantised_tensors, to_int8, worth_quantising
from medsynth.export.precision.pixels import PIXELS, fold_pixel_arithmetic
from medsynth.export.precision.transposed import convolve_instead


@pytest.fixture(scope="module")
def ready(classifier_model):
    return fold_pixel_arithmetic(simplify(classifier_model))


@pytest.fixture(scope="module")
def images(drawn, small):
    return drawn.part("train").decode(small.SPEC).images[:64]


@pytest.fixture(scope="module")
def spreads(ready, images):
    return measure(ready, quantised_tensors(ready), [{"images": images[:40]}, {"images": images[40:]}])


def _executed(model, tmp_path):
    """Operators that onnxruntime really runs after all of its optimisations."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(str(tmp_path / "optimised.onnx")).graph.node]


def test_every_convolution_and_the_pooling_run_on_integers(ready, spreads, tmp_path):
    model = to_int8(ready, spreads)
    onnx.checker.check_model(model, full_check=True)
    executed = _executed(model, tmp_path)
    assert executed.count("QLinearConv") == 3
    assert "QLinearAdd" in executed
    assert not {"Conv", "Relu", "FusedConv", "BatchNormalization", "Sub"} & set(executed)
    assert executed.count("QuantizeLinear") == 0  # The pixels are integers already.


def test_quantisers_are_those_of_vnni(ready, spreads):
    model = to_int8(ready, spreads)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    for node in convolutions:
        x, w, b = (makers[name] for name in node.input)
        assert tensors[x.input[2]].dtype == np.uint8
        assert tensors[x.input[2]] == 0  # All of them stand behind a ReLU or are pixels.
        assert tensors[w.input[0]].dtype == np.int8
        assert tensors[b.input[0]].dtype == np.int32
        assert tensors[w.input[1]].shape == (len(tensors[w.input[0]]),)
        assert (np.abs(tensors[w.input[0]]).reshape(len(tensors[w.input[1]]), -1).max(axis=1) == 127).all()
        np.testing.assert_allclose(tensors[b.input[1]], tensors[w.input[1]] * tensors[x.input[1]], rtol=1e-6)
    assert makers[convolutions[0].input[0]].input[0] == PIXELS


def test_the_outputs_are_near(ready, spreads, images):
    wanted = open_session(ready).run(["probabilities", "features"], {"images": images})
    got = open_session(to_int8(ready, spreads)).run(["probabilities", "features"], {"images": images})
    assert np.abs(got[0] - wanted[0]).max() < 0.1
    assert np.abs(got[1] - wanted[1]).mean() < 0.02 * np.abs(wanted[1]).mean()


def test_a_kept_layer_stays_in_float32_and_halves_nothing_else(ready, spreads, images, tmp_path):
    wanted = open_session(ready).run(["logits"], {"images": images})[0]
    names = [node.name for node in layers(ready) if worth_quantising(node, Wires(ready.graph))]
    assert names == ["conv1", "conv2", "conv3"]
    for name in names:
        model = to_int8(ready, spreads, (name,))
        executed = _executed(model, tmp_path)
        assert executed.count("QLinearConv") == 2
        assert np.abs(open_session(model).run(["logits"], {"images": images})[0] - wanted).max() < 0.5
    kept = open_session(to_int8(ready, spreads, names)).run(["logits"], {"images": images})[0]
    np.testing.assert_allclose(kept, wanted, atol=1e-4)


def test_ranges_are_the_extremes_with_zero_and_means_are_those_of_channels(ready, images):
    name = next(node.output[0] for node in ready.graph.node if node.op_type == "Conv")
    values = open_session(ready, extra_outputs=[name]).run([name], {"images": images})[0]
    spread = measure(ready, [name], [{"images": images[:50]}, {"images": images[50:]}])[name]
    assert spread.low == pytest.approx(min(values.min(), 0.0))
    assert spread.high == pytest.approx(max(values.max(), 0.0))
    np.testing.assert_allclose(spread.means, values.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_the_mean_error_of_rounded_weights_is_taken_back(ready, spreads, images):
    """With the biases as they were, the mean of the logits is further off than with the corrected ones."""
    corrected = to_int8(ready, spreads)
    plain = onnx.ModelProto()
    plain.CopyFrom(corrected)
    tensors = {tensor.name: tensor for tensor in plain.graph.initializer}
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in ready.graph.initializer}
    for node in layers(ready):
        if f"{node.name}/bias/int" in tensors:
            bias = before[node.input[2]] if len(node.input) > 2 else 0.0
            steps = numpy_helper.to_array(tensors[f"{node.name}/bias/scale"]).astype(np.float64)
            whole = np.round(np.broadcast_to(bias, steps.shape) / steps).astype(np.int32)
            tensors[f"{node.name}/bias/int"].CopyFrom(numpy_helper.from_array(whole, f"{node.name}/bias/int"))
    reference, *both = (
        open_session(model).run(["features"], {"images": images})[0].mean(axis=0) for model in (ready, plain, corrected)
    )
    assert np.abs(both[1] - reference).sum() < 0.5 * np.abs(both[0] - reference).sum()


@pytest.mark.parametrize("transposed", [0, 1])
def test_large_dense_layers_are_quantised_and_small_ones_are_not(transposed):
    random = np.random.default_rng(0)
    large, tiny = random.normal(size=(300, 400)).astype(np.float32), random.normal(size=(400, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "large", "shift"], ["h"], name="large", transB=transposed),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "tiny"], ["y"], name="tiny"),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [
            numpy_helper.from_array(np.ascontiguousarray(large.T) if transposed else large, "large"),
            numpy_helper.from_array(random.normal(size=400).astype(np.float32), "shift"),
            numpy_helper.from_array(tiny, "tiny"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    x = random.normal(size=(32, 300)).astype(np.float32)
    quantised = to_int8(model, measure(model, quantised_tensors(model), [{"x": x}]))
    onnx.checker.check_model(quantised, full_check=True)
    assert (
        sum(tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2 for tensor in quantised.graph.initializer)
        == 1
    )
    wanted, got = (open_session(each).run(None, {"x": x})[0] for each in (model, quantised))
    assert np.abs(got - wanted).mean() < 0.02 * np.abs(wanted).mean()


def test_what_feeds_a_tanh_stays_in_float32(small):
    model = convolve_instead(simplify(small.generator()))
    names = {node.name for node in layers(model) if worth_quantising(node, Wires(model.graph))}
    assert "last" not in names
    assert "up" in names

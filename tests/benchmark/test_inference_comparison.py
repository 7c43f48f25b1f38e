"""benchmarks/inference on a tiny network: engines that are installed with medsynth, and the arithmetic of the table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from medsynth.artifact import Metadata, write
from medsynth.dataset import load_dataset
from medsynth.images import ImageSpec

ROOT = Path(__file__).parents[2]
SIDE = 16


def _artefact(path: Path, data) -> Path:
    """Two convolutions written as the exporter writes VGG16."""
    random = np.random.default_rng(0)
    pads = {"pads": [1] * 4, "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["float"] * 3, ["colour"], axis=3),
        helper.make_node("Sub", ["colour", "mean"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "k1", "b1"], ["c1"], **pads),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", "k2"], ["c2"], **pads),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Transpose", ["r2"], ["activations"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["activations", "axes"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "dense"], ["products"]),
        helper.make_node("Add", ["products", "shift"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    constants = {
        "mean": np.array([103.939, 116.779, 123.68], np.float32),
        "k1": random.normal(0, 0.01, (4, 3, 3, 3)).astype(np.float32),
        "b1": random.normal(size=4).astype(np.float32),
        "k2": random.normal(0, 0.2, (6, 4, 3, 3)).astype(np.float32),
        "axes": np.array([1, 2]),
        "dense": random.normal(size=(6, 2)).astype(np.float32),
        "shift": np.array([0.5, -0.5], np.float32),
    }
    names = {"logits": [2], "probabilities": [2], "features": [6], "activations": [SIDE // 2, SIDE // 2, 6]}
    graph = helper.make_graph(
        nodes,
        "vgg16",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in names.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    metadata = Metadata(
        task="classifier",
        classes=data.classes,
        positive=data.positive,
        image=ImageSpec(height=SIDE, width=SIDE, channels=1),
        plugin={"name": "vgg16", "distribution": "medsynth-core", "version": "0", "options": {}},
        data={"source": data.source, "fingerprint": "none", "counts": {}},
        training={},
        validation={},
        intended_use="Tests.",
        versions={},
        threshold=0.5,
    )
    write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), metadata, path)
    return path


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    return _artefact(tmp_path_factory.mktemp("inference") / "fp32.onnx", load_dataset("phantom"))


@pytest.fixture
def package(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def _probabilities(model, feeds):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], feeds)[0]


@pytest.mark.usefixtures("package")
def test_the_float_model_says_what_the_artefact_says(artefact):
    from benchmarks.inference.network import read_network, to_float, with_float_input

    network = read_network(artefact)
    assert [pool for _, _, pool in network.convolutions] == [True, False]
    images = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 1), dtype=np.uint8)
    model = with_float_input(artefact)
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
    got = _probabilities(model, {"pixels": to_float(images, network.mean)})
    np.testing.assert_allclose(got, _probabilities(str(artefact), {"images": images}), rtol=1e-5)


@pytest.mark.usefixtures("package")
def test_another_architecture_is_refused(artefact, tmp_path):
    from benchmarks.inference.network import read_network

    model = onnx.load(artefact)
    model.graph.node[5].op_type = "Sigmoid"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"other\.onnx must be a grey VGG16 .* It has Sigmoid"):
        read_network(tmp_path / "other.onnx")


@pytest.mark.usefixtures("package")
def test_ratios_are_made_within_a_round():
    from benchmarks.inference.table import markdown, summarise

    # The machine is twice as fast in the second round and three times in the third; the engines' ratio is not.
    turns = []
    for index, haste in enumerate((1.0, 2.0, 3.0)):
        turns += [
            {"round": index, "engine": "medsynth fp32", "seconds": [0.5 / haste, 0.5 / haste]},
            {"round": index, "engine": "OpenVINO fp32", "seconds": [1.0 / haste, 1.0 / haste]},
            {"round": index, "engine": "peak", "peak": {"fp32": 64e9 * haste}},
        ]
    engines = {"medsynth fp32": {"version": "1"}, "OpenVINO fp32": {"version": "2"}, "peak": {}}
    result = {"batch": 8, "rounds": 3, "turns": turns, "engines": engines, "skipped": {"Keras predict": "no keras"},
              "machine": {"cpu": "a processor", "cores_allowed": 2, "system": "Linux"}}  # fmt: skip
    summary = summarise(result, flop=3.2e9)
    assert summary["images_per_second"]["medsynth fp32"]["median"] == pytest.approx(32.0)
    for end in ("median", "low", "high"):
        assert summary["times_the_reference"]["OpenVINO fp32"][end] == pytest.approx(0.5)
        assert summary["share_of_peak"]["medsynth fp32"][end] == pytest.approx(16 * 3.2 / 64)
    assert summary["pairs"]["medsynth fp32 / OpenVINO fp32"]["median"] == pytest.approx(2.0)
    table = markdown([{**result, "summary": summary}])
    assert "| OpenVINO fp32 | fp32 | 0.50 (0.50 to 0.50) |" in table
    assert "Skipped: Keras predict (no keras)." in table


def test_one_command_compares_and_skips_by_name(artefact, tmp_path):
    command = [sys.executable, "-m", "benchmarks.inference", artefact, artefact, "--data", "phantom", "--out", tmp_path]
    # The last of these has the name of a package that the tests' environment lacks.
    engines = ["--engines", "as its tutorial,by NNCF", "--batch-sizes", "1", "--rounds", "2", "--seconds", "0.01"]
    run = subprocess.run([*command, *engines], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "batch-1.json").read_text())
    assert result["engines"]["onnxruntime, as its tutorial"]["difference"] < 1e-5
    assert {turn["round"] for turn in result["turns"]} == {0, 1}
    assert "OpenVINO int8 by NNCF" in {*result["skipped"], *result["engines"]}
    assert (tmp_path / "table.md").read_text() in run.stdout

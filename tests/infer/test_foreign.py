"""Classifiers of others, against onnx's reference evaluator on pixels prepared by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image

from medsynth.cli.main import run
from medsynth.errors import ArtifactError, ConfigError
from medsynth.infer import ForeignFacts, load_classifier, load_model, predict_folder

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

H, W = 9, 7
LABELS = ("healthy", "ill", "unclear")


def build(
    path: Path,
    *,
    shape: tuple[int | str, ...] = ("N", 3, H, W),
    kind: int = TensorProto.FLOAT,
    softmax: bool = False,
    name: str = "images",
    extra_output: bool = False,
    classes: int | str = 3,
) -> Path:
    """Mean over the pixels, a dense layer; its tensors are called as ours to provoke a clash."""
    first = shape[1] in {1, 3}
    channels = shape[1] if first else shape[3]
    dense = np.random.default_rng(0).normal(size=(channels, 3)).astype(np.float32) * 3
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[2, 3] if first else [1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "scale"], ["rows"]),
        helper.make_node("Softmax" if softmax else "Identity", ["rows"], ["probabilities"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [shape[0], classes])]
    if extra_output:
        outputs.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, [shape[0], channels]))
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info(name, kind, list(shape))],
        outputs,
        [numpy_helper.from_array(dense, "scale")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def facts(**changes: Any) -> ForeignFacts:
    return ForeignFacts(**{"labels": LABELS, "scale": (1 / 255,), **changes})


def pixels(count: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, H, W, channels), np.uint8)


def expect(path: Path, prepared: NDArray[Any], *, softmax: bool = True) -> NDArray[Any]:
    rows = ReferenceEvaluator(onnx.load(path)).run(None, {"images": prepared})[0]
    if not softmax:
        return rows
    e = np.exp(rows - rows.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_channels_first_scaled_and_softmaxed(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx")
    model = load_classifier(path, device="cpu", foreign=facts())
    images = pixels(6)
    got = model.run(images, batch_size=4)
    assert got.keys() == {"probabilities"}
    prepared = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_allclose(got["probabilities"], expect(path, prepared), rtol=1e-5)
    assert model.classes == LABELS
    assert model.metadata.positive == "unclear"
    assert model.image.shape == (H, W, 3)


def test_rows_that_sum_to_1_get_no_second_softmax(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", softmax=True)
    images = pixels(3)
    got = load_classifier(path, device="cpu", foreign=facts()).run(images)["probabilities"]
    prepared = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_allclose(got, expect(path, prepared, softmax=False), rtol=1e-5)


def test_channels_last_with_mean_and_scale_for_each_channel(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", shape=("N", H, W, 3))
    mean, scale = (123.675, 116.28, 103.53), (0.0171, 0.0175, 0.0174)
    images = pixels(5)
    got = load_classifier(path, device="cpu", foreign=facts(mean=mean, scale=scale)).run(images)["probabilities"]
    prepared = (images.astype(np.float32) - np.float32(mean)) * np.float32(scale)
    np.testing.assert_allclose(got, expect(path, prepared), rtol=1e-4)


def test_a_model_that_takes_uint8_needs_no_scale(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", shape=("N", H, W, 1), kind=TensorProto.UINT8)
    images = pixels(4, 1)
    got = load_classifier(path, device="cpu", foreign=ForeignFacts(labels=LABELS)).run(images)["probabilities"]
    np.testing.assert_allclose(got, expect(path, images), rtol=1e-5)


def test_float16_input(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", kind=TensorProto.FLOAT16)
    images = pixels(2)
    got = load_classifier(path, device="cpu", foreign=facts()).run(images)["probabilities"]
    prepared = (images.transpose(0, 3, 1, 2).astype(np.float32) / 255).astype(np.float16)
    np.testing.assert_allclose(got, expect(path, prepared), rtol=1e-5)


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", shape=(4, 3, H, W))
    free = build(tmp_path / "free.onnx")
    images = pixels(9)
    got = load_classifier(path, device="cpu", foreign=facts()).predict(list(images), batch_size=32)
    wanted = load_classifier(free, device="cpu", foreign=facts()).run(images)["probabilities"]
    np.testing.assert_allclose(got.probabilities, wanted, rtol=1e-5)
    assert got.facts["batches"] == {"sizes": {"4": 3}, "wasted_rows": 3, "waste": 0.25}


def test_free_height_and_width_take_the_size_given(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", shape=("N", 3, "h", "w"))
    assert load_classifier(path, foreign=facts(image_size=20)).image.shape == (20, 20, 3)
    with pytest.raises(ArtifactError, match=r"so say what it does not: --image-size N \(its height and width are free"):
        load_classifier(path, foreign=facts())


def test_the_output_is_chosen_by_the_number_of_labels(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", shape=("N", 1, H, W), extra_output=True)
    load_classifier(path, foreign=facts())
    with pytest.raises(ArtifactError, match=r"one output float32\[batch, 4\] for the 4 labels. .*number of labels"):
        load_classifier(path, foreign=facts(labels=("a", "b", "c", "d")))


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c", "d")])
def test_a_free_axis_of_classes_must_be_as_long_as_the_labels(tmp_path: Path, labels: tuple[str, ...]) -> None:
    path = build(tmp_path / "m.onnx", classes="classes")
    assert load_classifier(path, foreign=facts()).classes == LABELS
    with pytest.raises(ArtifactError, match=rf"a row of {len(labels)} values each, .* Got values of shape \(4, 3\)"):
        load_classifier(path, foreign=facts(labels=labels))


@pytest.mark.parametrize("given", [{"scale": (1 / 255,)}, {"mean": (127.5,)}])
def test_a_model_that_takes_uint8_refuses_scale_and_mean(tmp_path: Path, given: dict[str, Any]) -> None:
    path = build(tmp_path / "m.onnx", kind=TensorProto.UINT8)
    with pytest.raises(ConfigError, match=r"takes uint8, .* Omit --scale and --mean"):
        load_classifier(path, foreign=ForeignFacts(labels=LABELS, **given))


def test_every_missing_fact_is_named_at_once(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx", shape=("N", 3, "h", "w"))
    with pytest.raises(ArtifactError) as caught:
        load_model(path, device="cpu")
    for option in ("--labels", "--scale", "--image-size"):
        assert option in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [("N", 3, H, 3), ("N", 5, H, W), ("N", "c", "h", "w")])
def test_a_layout_that_the_shape_does_not_tell(tmp_path: Path, shape: tuple[Any, ...]) -> None:
    path = tmp_path / "m.onnx"
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [tensor("x", TensorProto.FLOAT, list(shape))],
        [tensor("y", TensorProto.FLOAT, list(shape))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    with pytest.raises(ArtifactError, match=r"with 1 or 3 channels. Got x float32\[N, "):
        load_model(path, device="cpu", foreign=facts())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": 8}, f"--image-size must be what the graph says, {H}x{W}. Got 8"),
        ({"scale": (1.0, 2.0)}, "--scale must be 1 number or 3. Got 2"),
        ({"mean": (1.0, 2.0)}, "--mean must be 1 number or 3. Got 2"),
    ],
)
def test_facts_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_classifier(build(tmp_path / "m.onnx"), foreign=facts(**changes))


def test_an_artefact_of_ours_needs_no_facts(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"says itself what its labels and pixels are"):
        load_classifier(tiny.classifier_file(tmp_path / "m.onnx"), foreign=facts())


def test_resuming_knows_other_facts(tmp_path: Path) -> None:
    path = build(tmp_path / "m.onnx")
    out = tmp_path / "p.csv"
    predict_folder(load_classifier(path, foreign=facts()), list(pixels(3)), out)
    assert predict_folder(load_classifier(path, foreign=facts()), list(pixels(3)), out, resume=True) is None
    other = load_classifier(path, foreign=facts(scale=(1.0,)))
    with pytest.raises(ConfigError, match="from another model"):
        predict_folder(other, list(pixels(3)), out, resume=True)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = build(tmp_path / "m.onnx", shape=("N", 3, "h", "w")), tmp_path / "p.csv"
    Image.fromarray(pixels(1)[0]).save(tmp_path / "a.png")
    base = ["infer", str(path), str(tmp_path / "a.png"), "--out", str(out), "--device", "cpu"]
    assert run(base) == 2
    assert "--labels" in capsys.readouterr().err
    (tmp_path / "labels.txt").write_text("healthy\nill\n\nunclear\n")
    given = ["--labels", str(tmp_path / "labels.txt"), "--scale", "0.00392", "--image-size", "8", "--mean", "1,2,3"]
    assert run([*base, *given]) == 0
    assert out.read_text().startswith("path,predicted,probability_healthy,probability_ill,probability_unclear\na.png,")
    assert json.loads(Path(f"{out}.meta.json").read_text())["model"]["precision"] == "not known"
    capsys.readouterr()
    for wrong, said in (
        (["--labels", "a"], "--labels must be at least 2 different names"),
        (["--labels", "a,b,c", "--scale", "x"], "--scale must be a number"),
    ):
        assert run([*base, *wrong]) == 2
        assert said in capsys.readouterr().err

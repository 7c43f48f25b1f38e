from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from PIL import Image

from medsynth.artifact import write
from medsynth.dataset import Skipped
from medsynth.errors import ConfigError, DataError
from medsynth.images import load_image, load_images
from medsynth.infer import Classifier, load_classifier, predict_folder

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray


@pytest.fixture
def model(tiny: ModuleType, tmp_path: Path) -> Classifier:
    return load_classifier(tiny.classifier_file(tmp_path / "m.onnx"), device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """25 images of many sizes and modes, and three that cannot be read."""
    root = tmp_path / "scans"
    (root / "deep").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(25):
        size = random.integers(1, 60, 2)
        pixels = random.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).convert(("RGB", "L", "P")[index % 3]).save(root / f"{index}.png")
    (root / "3.png").write_bytes(b"")
    (root / "deep" / "x.png").write_bytes((root / "4.png").read_bytes()[:60])
    (root / "deep" / "y.jpg").write_text("no image")
    return root


def prepared(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 16, 3), np.uint8)


def test_run_agrees_with_onnx_own_reference(model: Classifier) -> None:
    images = prepared(7)
    outputs = model.run(images, batch_size=3)
    session = ReferenceEvaluator(onnx.load(model.path))
    for name, expected in zip(session.output_names, session.run(None, {"images": images}), strict=True):
        assert outputs[name].dtype == expected.dtype
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 100])
def test_batch_size_does_not_matter(model: Classifier, batch_size: int) -> None:
    images = prepared(7)
    whole = model.run(images)
    for name, values in model.run(images, batch_size=batch_size).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-5, atol=1e-6)


def test_no_images_give_empty_outputs_of_the_right_shape(model: Classifier) -> None:
    outputs = model.run(prepared(0))
    assert {name: values.shape for name, values in outputs.items()} == {
        "logits": (0, 2),
        "probabilities": (0, 2),
        "features": (0, 8),
    }


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 12, 16, 3), np.float32), np.zeros((2, 12, 16, 1), np.uint8), np.zeros((12, 16, 3), np.uint8)],
)
def test_wrong_images_say_what_is_right(model: Classifier, images: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match=r"images must be uint8 of shape \(n, 12, 16, 3\). Got"):
        model.run(images)


def test_wrong_batch_size(model: Classifier) -> None:
    with pytest.raises(ConfigError, match=r"batch size must be at least 1. Got 0"):
        model.run(prepared(1), batch_size=0)
    with pytest.raises(ConfigError, match="batch size"):
        model.predict([prepared(1)[0]], batch_size=-1)


def test_a_folder(model: Classifier, folder: Path) -> None:
    table = model.predict(folder, batch_size=4)
    readable = [f"{index}.png" for index in range(25) if index != 3]
    assert table.names == tuple(readable)
    assert [entry.name for entry in table.skipped] == ["3.png", "deep/x.png", "deep/y.jpg"]
    assert all(str(folder) not in entry.reason for entry in table.skipped)
    expected = model.run(load_images([folder / name for name in readable], model.image))["probabilities"]
    np.testing.assert_allclose(table.probabilities, expected, rtol=1e-5)
    assert table.probabilities.dtype == np.float32
    assert table.classes == ("clear", "opacity")
    assert table.facts["provider"] == "CPUExecutionProvider"


def test_training_and_inference_see_the_same_pixels(model: Classifier, folder: Path) -> None:
    image = folder / "0.png"
    alone = model.run(load_image(image, model.image)[None])["probabilities"]
    assert np.array_equal(model.predict(image).probabilities, alone)


def test_progress(model: Classifier, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    model.predict(folder, batch_size=10, on_progress=lambda done, total, figures: seen.append((done, total)))
    assert seen == [(10, 27), (20, 27), (27, 27)]


def test_arrays_and_paths_together(model: Classifier, folder: Path) -> None:
    table = model.predict([prepared(1)[0], folder / "0.png", "absent.png"])
    assert table.names == ("array/0000", (folder / "0.png").as_posix())
    assert [(entry.name, entry.reason) for entry in table.skipped] == [("absent.png", "no such file.")]


def test_all_unreadable_is_an_error(model: Classifier, folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of 2 images could be read and classified. The first: x.png: cannot be decoded"
    ):
        model.predict(folder / "deep")


@pytest.fixture
def blind(tiny: ModuleType, tmp_path: Path) -> Classifier:
    """A classifier that divides by the sum of an image's pixels: it has no answer to a black one."""
    graph = tiny.classifier_model()
    scale = next(node for node in graph.graph.node if node.op_type == "Mul")
    scale.op_type, scale.input[1] = "Div", "total"
    graph.graph.node.insert(1, helper.make_node("ReduceSum", ["float"], ["total"], keepdims=1, noop_with_empty_axes=0))
    for node in graph.graph.node:
        if node.op_type == "ReduceSum":
            node.input.append("each")
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2, 3]), "each"))
    write(graph, tiny.metadata("classifier", threshold=0.5), tmp_path / "blind.onnx")
    return load_classifier(tmp_path / "blind.onnx", device="cpu")


def test_an_answer_that_is_not_finite_is_no_answer(blind: Classifier) -> None:
    images = [*prepared(2), np.zeros((12, 16, 3), np.uint8), Path("absent.png"), *prepared(1, seed=1)]
    table = blind.predict(images, batch_size=2)
    assert table.names == ("array/0000", "array/0001", "array/0004")
    assert table.skipped == (
        Skipped("array/0002", "the model's answer is not finite."),
        Skipped("absent.png", "no such file."),
    )
    assert np.isfinite(table.probabilities).all()
    np.testing.assert_allclose(table.probabilities[:2], blind.run(prepared(2))["probabilities"])
    with pytest.raises(DataError, match=r"none of 1 images .*array/0000: the model's answer is not finite"):
        blind.predict([np.zeros((12, 16, 3), np.uint8)])


def test_a_table_holds_no_answer_that_is_not_finite(blind: Classifier, tmp_path: Path) -> None:
    black = np.zeros((12, 16, 3), np.uint8)
    written = predict_folder(blind, [black, *prepared(1)], tmp_path / "p.jsonl")
    assert written is not None
    assert sum(written.predicted.values()) == len(written) == 1
    assert [entry.name for entry in written.skipped] == ["array/0000"]
    assert "NaN" not in (tmp_path / "p.jsonl").read_text()
    meta = json.loads((tmp_path / "p.jsonl.meta.json").read_text())
    assert meta["quarantine"] == [{"name": "array/0000", "reason": "the model's answer is not finite."}]


def test_properties(model: Classifier, tiny: ModuleType) -> None:
    assert model.classes == tiny.CLASSES
    assert model.image == tiny.SPEC
    assert model.path.name == "m.onnx"

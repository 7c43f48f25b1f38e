from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special

import medsynth
from medsynth import artifact
from medsynth.errors import ArtifactError, OutputError
from medsynth.export.parity import check_parity
from medsynth.train.rebuild import rebuild_classifier


def test_an_exported_classifier_proves_itself(classifier_onnx, classifier_run):
    assert all(check.passed for check in artifact.verify(classifier_onnx))
    metadata = artifact.read(classifier_onnx)
    assert metadata.classes == ("clear", "opacity")
    assert metadata.validation == classifier_run.outcome["validation"]
    assert metadata.plugin["options"] == {"weights": "none", "width": 0.0625, "batch_norm": True}
    assert set(metadata.precision["parity"]) == {"1", "3", "16"}


def test_the_same_run_exports_to_the_same_bytes(generator_onnx, generator_run, tmp_path):
    # Keras numbers its layers by what the process has built, tf2onnx by the order of a hash.
    again = medsynth.export(generator_run, tmp_path / "again.onnx")
    assert again.read_bytes() == generator_onnx.read_bytes()


def test_onnxruntime_says_what_keras_says(classifier_onnx, classifier_run, phantom):
    images = phantom.part("test").decode(classifier_run.image).images
    expected = rebuild_classifier(classifier_run)(images, training=False)
    got = medsynth.load_model(classifier_onnx, device="cpu").run(images, batch_size=5)
    for name in ("logits", "features", "activations"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-3, atol=1e-4)


def test_probabilities_are_calibrated(classifier_onnx, phantom):
    metadata = artifact.read(classifier_onnx)
    assert metadata.temperature > 0
    assert sum(metadata.bias) == pytest.approx(0, abs=1e-9)
    assert any(metadata.bias)
    images = phantom.part("test").decode(metadata.image).images
    got = medsynth.load_model(classifier_onnx, device="cpu").run(images)
    expected = special.softmax(got["logits"].astype(np.float64) / metadata.temperature + metadata.bias, axis=1)
    np.testing.assert_allclose(got["probabilities"], expected, atol=1e-5)


def test_an_exported_generator_proves_itself(generator_onnx):
    assert all(check.passed for check in artifact.verify(generator_onnx))
    images = medsynth.load_model(generator_onnx, device="cpu").sample(5, label="opacity", seed=3)
    assert images.shape == (5, 16, 16, 1)
    assert images.dtype == np.uint8


def test_the_place_of_a_weights_file_is_not_told(classifier_run):
    from dataclasses import replace

    from medsynth.export.run import _metadata

    options = {**classifier_run.config["options"], "weights": "/home/somebody/vgg.weights.h5"}
    run = replace(classifier_run, config={**classifier_run.config, "options": options})
    metadata = _metadata(run, {})
    assert metadata.training["options"]["weights"] == "vgg.weights.h5"
    assert "somebody" not in json.dumps(metadata.to_dict())


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(ArtifactError, match=r"no run\.json"):
        medsynth.export(tmp_path, tmp_path / "m.onnx")
    (tmp_path / "run.json").write_text('{"schema": 1')
    with pytest.raises(ArtifactError, match="not a readable run manifest"):
        medsynth.export(tmp_path, tmp_path / "m.onnx")
    (tmp_path / "run.json").write_text('{"schema": 9}')
    with pytest.raises(ArtifactError, match="another version"):
        medsynth.export(tmp_path, tmp_path / "m.onnx")


def test_a_place_that_cannot_be_written_is_told_before_the_work(tiny, tmp_path):
    source = tiny.classifier_file(tmp_path / "m.onnx")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for precision, tta in (("fp16", 1), ("fp32", 2)):
        for out, said in (
            ("folder", "must be a file to write, but is a folder"),
            ("file/m.onnx", "Choose another --out"),
        ):
            # No such data: they would be told first, were they looked at first.
            with pytest.raises(OutputError, match=said):
                medsynth.export(source, tmp_path / out, precision=precision, tta=tta, calibration=tmp_path / "absent")


@pytest.mark.parametrize("got", [np.full((3, 2), 0.51), np.full((3, 2), np.nan), np.full((3, 1), 0.5)])
def test_a_graph_that_disagrees_is_not_written(got):
    inputs = {"images": np.zeros((3, 4))}

    def half(rows):
        return np.full((len(rows["images"]), 2), 0.5)

    with pytest.raises(ArtifactError, match="disagrees with Keras"):
        check_parity(half, lambda rows: got[: len(rows["images"])], inputs, (1, 3), 1e-4)
    with pytest.raises(ArtifactError, match=r"disagrees with numpy's views .* fault of the export"):
        check_parity(half, lambda rows: got[: len(rows["images"])], inputs, (1, 3), 1e-4, reference="numpy's views")
    assert check_parity(half, half, inputs, (1, 3, 1), 1e-4) == {"1": 0.0, "3": 0.0}

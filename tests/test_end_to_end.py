"""The whole path as a user walks it, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SETTINGS = [
    "classifier.weights=none", "classifier.head=gap", "classifier.width=0.125", "classifier.batch_norm=true",
    "classifier.epochs=6", "classifier.learning_rate=0.001", "classifier.image_size=48",
    "generator.image_size=32", "generator.steps=20", "generator.sample_every=10",
]  # fmt: skip


def _medsynth(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "medsynth", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_whole_path_on_the_phantom(tmp_path):
    arguments = ["run", "phantom", "--out", "out", *(part for setting in SETTINGS for part in ("-O", setting))]
    done = _medsynth(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    made = {path.name for path in out.iterdir()}
    assert {"classifier.onnx", "generator.onnx", "report.html", "metrics.json", "predictions.csv", "generated"} <= made
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["classifier"]["overall"]["auc"]["value"] > 0.9
    assert metrics["classifier"]["test_part_uses"] == 1
    assert metrics["generator"]["count"] == 512
    assert len(list((out / "generated").glob("*.png"))) == 64
    for model in ("classifier.onnx", "generator.onnx"):
        assert _medsynth("verify", out / model, cwd=tmp_path).returncode == 0

    # The same command again finds everything done: no training, the same artefact.
    before = (out / "runs" / "classifier" / "weights.npz").stat().st_mtime_ns
    again = _medsynth(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (out / "runs" / "classifier" / "weights.npz").stat().st_mtime_ns == before
    assert json.loads((out / "metrics.json").read_text())["classifier"]["test_part_uses"] == 2


@pytest.mark.slow
def test_real_slices_come_through_both_sides_alike(ct_folder, classifier_onnx, tmp_path):
    import numpy as np

    import medsynth

    model = medsynth.load_model(classifier_onnx, device="cpu")
    table = model.predict(ct_folder / "test")
    data = medsynth.load_dataset(ct_folder, positive="covid")
    test = data.part("test")
    decoded = test.decode(model.image)
    assert len(table) == len(test) == 482
    rows = dict(zip(table.names, table.probabilities, strict=True))
    found = np.array([rows[name.removeprefix("test/")] for name in decoded.names])
    np.testing.assert_allclose(found, model.run(decoded.images)["probabilities"], atol=1e-6)

"""benchmarks/evaluation.py in miniature: noise, a poor and a better generator, and real test images."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from medsynth.dataset import from_arrays, make_phantom

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("evaluation", ROOT / "benchmarks" / "evaluation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_noise_is_below_a_generator_and_that_below_real_images(script, linear, tmp_path, monkeypatch):
    drawn = make_phantom(patients=380, slices_per_patient=1, size=16)
    data = from_arrays(drawn.images, [drawn.classes[label] for label in drawn.labels], source="phantom")
    judge = linear.write_classifier(data, tmp_path / "classifier.onnx", size=6)
    generator = linear.write_generator(data, tmp_path / "linear.onnx")
    monkeypatch.setattr(script, "load_dataset", lambda _: data)
    out = tmp_path / "record.json"
    record = script.main(
        ["phantom", "--classifier", str(judge), "--generators", str(generator), "--out", str(out), "--device", "cpu"]
    )
    assert json.loads(out.read_text()) == json.loads(json.dumps(record))
    assert set(record["answers"]) == {"noise", "linear", "real test images"}
    kid = record["metrics"]["kid"]
    assert kid["out_of_order"] == []
    assert kid["sets"]["noise"]["value"] > kid["sets"]["real test images"]["value"]
    assert ["noise", "linear"] not in record["metrics"]["coverage"]["out_of_order"]


def test_what_is_out_of_order_is_named(script):
    from types import SimpleNamespace

    def one(value):
        row = SimpleNamespace(name="kid", higher_is_better=False, estimate=script_estimate(value))
        arm = SimpleNamespace(name="generated", auc=script_estimate(0.5))
        utility = SimpleNamespace(leading=None, arms=(arm,))
        return SimpleNamespace(metrics=(row,), utility=utility)

    lines = script.lines_of({"noise": one(3.0), "bad": one(4.0), "good": one(None), "real": one(0.1)})
    assert lines["kid"]["out_of_order"] == [["noise", "bad"]]
    assert lines["kid"]["no_number"] == ["good"]
    assert len(lines["auc of generated alone"]["out_of_order"]) == 3  # Equal is not better.


def script_estimate(value):
    from medsynth.metrics import Estimate

    return Estimate(value if value is None else float(np.float64(value)))

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import medsynth
from medsynth.errors import ConfigError, DataError, OutputError
from medsynth.evaluate import Reference, evaluate


def test_evaluate_gives_and_writes_everything(load, data, tmp_path):
    reference = Reference(label="theirs", classifier={"accuracy": 0.5})
    report = evaluate(
        load("classifier.onnx"), data, load("generator.onnx"), out=tmp_path / "out", count=40, references=(reference,)
    )
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written == json.loads(json.dumps(report.to_dict()))
    assert written["references"][0]["classifier"] == {"accuracy": 0.5}
    assert (tmp_path / "out" / "report.html").stat().st_size < 10e6
    assert report.generator.count == 40
    assert report.audit is not None


def test_without_a_generator_or_a_folder(load, data, tmp_path):
    report = evaluate(load("classifier.onnx"), data)
    assert report.generator is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classifier.onnx", "classifier.onnx.evaluations.json"]


def test_it_is_the_public_function():
    assert medsynth.evaluate is evaluate


def test_importing_is_light():
    code = (
        "import sys, medsynth.evaluate\n"
        "print({'tensorflow', 'keras', 'matplotlib', 'sklearn', 'jinja2', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def written(folder):
    return sorted(path.name for path in folder.glob("*.evaluations.json"))


def test_what_can_be_refused_is_refused_before_the_test_part_is_used(load, data, shades, tmp_path):
    judge, sampler, other = load("classifier.onnx"), load("generator.onnx"), load("shades-generator.onnx")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="must be a folder"):
        evaluate(judge, data, out=tmp_path / "file")
    with pytest.raises(ConfigError, match="count must be at least 8"):
        evaluate(judge, data, sampler, count=15)
    with pytest.raises(DataError, match=r"classifier\.onnx knows .*; shades-generator\.onnx has"):
        evaluate(judge, data, other)
    with pytest.raises(DataError, match="has no images in the part 'train'"):
        evaluate(judge, replace(data, split=("test",) * len(data)), sampler)
    assert written(tmp_path) == []
    evaluate(judge, data)
    assert written(tmp_path) == ["classifier.onnx.evaluations.json"]

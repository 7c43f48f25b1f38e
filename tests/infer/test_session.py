from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from medsynth.artifact import read
from medsynth.errors import ArtifactError, DeviceError, MedsynthError
from medsynth.infer import Classifier, Sampler, load_classifier, load_model, load_sampler
from medsynth.infer import model as models

if TYPE_CHECKING:
    from types import ModuleType


def test_the_task_decides_the_class(tiny: ModuleType, tmp_path: Path) -> None:
    classifier, generator = tiny.classifier_file(tmp_path / "c.onnx"), tiny.generator_file(tmp_path / "g.onnx")
    assert isinstance(load_model(classifier, device="cpu"), Classifier)
    assert isinstance(load_model(str(generator)), Sampler)
    assert isinstance(load_classifier(classifier), Classifier)
    assert isinstance(load_sampler(generator), Sampler)
    with pytest.raises(ArtifactError, match=r"must be a generator. Got a classifier; medsynth infer runs it on images"):
        load_sampler(classifier)
    with pytest.raises(ArtifactError, match=r"must be a classifier. Got a generator; medsynth generate draws"):
        load_classifier(generator)


def test_facts_prove_what_ran(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "c.onnx")
    facts = load_model(path, device="cpu").session.facts()
    assert facts["provider"] == "CPUExecutionProvider"
    assert facts["device"] == "cpu"
    assert facts["nodes"].keys() == {"CPUExecutionProvider"}
    assert 1 <= facts["nodes"]["CPUExecutionProvider"] <= len(onnx.load(path).graph.node)
    assert facts["model"] == {
        "file": "c.onnx",
        "task": "classifier",
        "content_hash": read(path).content_hash,
        "precision": "fp32",
    }
    assert "onnxruntime" in facts["versions"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "cannot load the model"), (b"not a model at all", "cannot load the model")],
)
def test_no_model(tmp_path: Path, content: bytes | None, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=said) as caught:
        load_model(path, device="cpu")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_truncated(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ArtifactError, match=r"cannot load the model .* Is it a whole ONNX file"):
        load_model(path, device="cpu")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        load_model(tmp_path)


def test_foreign_model(tiny: ModuleType, tmp_path: Path) -> None:
    onnx.save(tiny.classifier_model(), tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match=r"m.onnx: was not written by medsynth, so say"):
        load_model(tmp_path / "m.onnx", device="cpu")


def test_a_graph_that_does_not_fit_its_metadata(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b'"height":12', b'"height":13'))
    with pytest.raises(
        ArtifactError, match=r"breaks the contract of a classifier: input 'images' must be uint8\[batch, 13"
    ):
        load_model(path, device="cpu")


def test_a_failing_run_is_one_line(tiny: ModuleType, tmp_path: Path) -> None:
    model = load_model(tiny.classifier_file(tmp_path / "m.onnx"), device="cpu")
    with pytest.raises(MedsynthError, match=r"onnxruntime failed on cpu .*INVALID_ARGUMENT") as caught:
        model.session.run({"images": np.zeros((1, 2, 3, 3), np.uint8)})
    assert "\n" not in str(caught.value)


def test_no_node_on_the_device_is_an_error(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    counts: dict[str, Any] = {"OtherExecutionProvider": 8}
    monkeypatch.setattr(models, "_count_nodes", lambda _: counts)
    with pytest.raises(DeviceError, match="put no node of the model on CPUExecutionProvider"):
        load_model(path, device="cpu")

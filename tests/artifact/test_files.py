from __future__ import annotations

import hashlib
import math
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper

from medsynth.artifact import METADATA_KEY, read, verify, write
from medsynth.errors import ArtifactError, ConfigError, OutputError

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(params=["classifier", "generator"])
def artefact(request: pytest.FixtureRequest, tiny: ModuleType, tmp_path: Path) -> Path:
    build = tiny.classifier_file if request.param == "classifier" else tiny.generator_file
    path: Path = build(tmp_path / "model.onnx")
    return path


def test_read_gives_what_write_returned(tiny: ModuleType, tmp_path: Path) -> None:
    asked = tiny.metadata("classifier", threshold=0.4)
    written = write(tiny.classifier_model(), asked, tmp_path / "deep" / "m.onnx")
    assert read(tmp_path / "deep" / "m.onnx") == written
    assert written.threshold == 0.4
    assert len(written.content_hash) == 64
    assert written.golden is not None
    assert written.golden.recipe == "phantom"
    assert np.allclose(np.sum(written.golden.values, axis=1), 1, atol=1e-6)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["m.onnx"]  # nothing temporary is left


def test_the_model_is_not_changed_and_other_metadata_stay(tiny: ModuleType, tmp_path: Path) -> None:
    model = tiny.classifier_model()
    helper.set_model_props(model, {METADATA_KEY: "old", "author": "someone"})
    before = model.SerializeToString()
    write(model, tiny.metadata("classifier"), tmp_path / "m.onnx")
    assert model.SerializeToString() == before
    props = {p.key: p.value for p in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert props.keys() == {METADATA_KEY, "author"}
    assert props[METADATA_KEY].startswith("{")


def test_the_file_is_plain_onnx(artefact: Path) -> None:
    onnx.checker.check_model(onnx.load(artefact), full_check=True)


def test_hash_survives_load_and_save_by_onnx(artefact: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    onnx.save(onnx.load(artefact), again)
    assert again.read_bytes() == artefact.read_bytes()
    assert all(check.passed for check in verify(again))


def test_the_hash_needs_no_onnx(artefact: Path) -> None:
    recorded = read(artefact).content_hash
    blank = artefact.read_bytes().replace(recorded.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == recorded


def test_same_input_same_hash_other_input_other_hash(tiny: ModuleType, tmp_path: Path) -> None:
    metadata = tiny.metadata("classifier")
    first = write(tiny.classifier_model(), metadata, tmp_path / "a.onnx").content_hash
    assert write(tiny.classifier_model(), metadata, tmp_path / "b.onnx").content_hash == first
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert write(tiny.classifier_model(seed=1), metadata, tmp_path / "c.onnx").content_hash != first
    assert (
        write(tiny.classifier_model(), tiny.metadata("classifier", threshold=0.5), tmp_path / "d.onnx").content_hash
        != first
    )


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"absent.onnx: the model cannot be read \(No such file"):
        read(tmp_path / "absent.onnx")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"hello, no model here", "not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n", "not an ONNX file"),
    ],
)
def test_not_onnx(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=said):
        read(tmp_path / "x.onnx")


def test_truncated(artefact: Path) -> None:
    artefact.write_bytes(artefact.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="not an ONNX file, or a truncated one"):
        read(artefact)


def test_foreign_model(tiny: ModuleType, tmp_path: Path) -> None:
    onnx.save(tiny.classifier_model(), tmp_path / "foreign.onnx")
    with pytest.raises(ArtifactError, match="no metadata under the key 'medsynth': not an artefact of medsynth"):
        read(tmp_path / "foreign.onnx")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not JSON"), ("[]", "must be a JSON object"), ("{}", "schema must be")]
)
def test_broken_metadata(tiny: ModuleType, tmp_path: Path, text: str, said: str) -> None:
    model = tiny.classifier_model()
    helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ArtifactError, match=said):
        read(tmp_path / "m.onnx")


def test_absolute_paths_are_refused(tiny: ModuleType, tmp_path: Path) -> None:
    metadata = tiny.metadata("classifier", data={"source": "/home/someone/ct", "fingerprint": "", "counts": {}})
    with pytest.raises(ArtifactError, match=r"metadata\.data\.source looks like an absolute path"):
        write(tiny.classifier_model(), metadata, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_values_that_are_not_json(tiny: ModuleType, tmp_path: Path, value: object) -> None:
    metadata = tiny.metadata("classifier", validation={"auc": value})
    with pytest.raises(ArtifactError, match="must hold JSON values only"):
        write(tiny.classifier_model(), metadata, tmp_path / "m.onnx")


def test_a_graph_that_breaks_the_contract_is_not_written(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"output 'logits' must be float32\[batch, 3\], is float32\[batch, 2\]"):
        write(tiny.classifier_model(2), tiny.metadata("classifier", ("a", "b", "c")), tmp_path / "m.onnx")


def test_unknown_precision(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="precision must be one of fp32"):
        write(tiny.classifier_model(), tiny.metadata("classifier", precision={"name": "fp5"}), tmp_path / "m.onnx")


def test_a_model_that_cannot_run_is_not_written(tiny: ModuleType, tmp_path: Path) -> None:
    model = tiny.classifier_model()
    model.graph.node[0].op_type = "Cust"
    with pytest.raises(ArtifactError, match="onnxruntime cannot load the model"):
        write(model, tiny.metadata("classifier"), tmp_path / "m.onnx")


def test_too_large_a_model(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medsynth.artifact.files._MAX_BYTES", 100)
    with pytest.raises(ArtifactError, match="one ONNX file holds at most 2"):
        write(tiny.classifier_model(), tiny.metadata("classifier"), tmp_path / "m.onnx")


def test_full_disk_leaves_the_old_file(tiny: ModuleType, tmp_path: Path, full_disk: Path) -> None:
    target = full_disk / "m.onnx"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="No space left on device"):
        write(tiny.generator_model(), tiny.metadata("generator"), target)
    assert target.read_bytes() == b"old"
    assert sorted(p.name for p in full_disk.iterdir()) == ["fill", "m.onnx"]


def test_reading_imports_neither_onnxruntime_nor_tensorflow(artefact: Path, python: str) -> None:
    code = (
        "import sys; from medsynth.artifact import read; read(sys.argv[1]);"
        "assert not {'onnxruntime', 'tensorflow', 'keras'} & sys.modules.keys()"
    )
    subprocess.run([python, "-c", code, str(artefact)], check=True)

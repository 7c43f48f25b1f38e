from __future__ import annotations

import base64
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from medsynth.artifact import METADATA_KEY, Check, checks, read, verify
from medsynth.artifact.files import stamp
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from types import ModuleType

NAMES = ["file", "metadata", "content hash", "inputs and outputs", "opset", "external data", "golden outputs"]


@pytest.fixture(params=["classifier", "generator"])
def artefact(request: pytest.FixtureRequest, tiny: ModuleType, tmp_path: Path) -> Path:
    build = tiny.classifier_file if request.param == "classifier" else tiny.generator_file
    path: Path = build(tmp_path / "model.onnx")
    return path


def failed(path: Path) -> dict[str, str]:
    return {check.name: check.detail for check in verify(path) if not check.passed}


def restamp(path: Path, change: Callable[[onnx.ModelProto, dict[str, Any]], None]) -> None:
    """Change a file and give it the right hash again, as a forger would."""
    model = onnx.load(path)
    (entry,) = [p for p in model.metadata_props if p.key == METADATA_KEY]
    fields = json.loads(entry.value)
    model.metadata_props.remove(entry)
    change(model, fields)
    path.write_bytes(stamp(model, fields)[0])


def test_a_good_file_passes_every_check(artefact: Path) -> None:
    checks = verify(artefact)
    assert [check.name for check in checks] == NAMES
    assert all(check.passed for check in checks), checks
    assert "largest difference 0" in checks[-1].detail


def test_every_flipped_byte_is_noticed(tiny: ModuleType, tmp_path: Path) -> None:
    raw = tiny.classifier_file(tmp_path / "m.onnx").read_bytes()
    flipped = tmp_path / "flipped.onnx"
    random = np.random.default_rng(0)
    padding = raw.index(b"\xff" * 9 + b"\x01") + 9  # of a negative number: bits that every parser passes over
    for place in (padding, *random.choice(len(raw), 60, replace=False).tolist()):
        changed = bytearray(raw)
        changed[place] ^= 1 << int(random.integers(1, 7))
        flipped.write_bytes(changed)
        assert failed(flipped), f"byte {place}"


def test_a_flipped_weight_names_the_hash(artefact: Path) -> None:
    raw = bytearray(artefact.read_bytes())
    model = onnx.load(artefact)
    weights = next(t for t in model.graph.initializer if t.name == "dense").raw_data
    raw[raw.index(weights) + 2] ^= 4
    artefact.write_bytes(raw)
    assert "was changed after it was written" in failed(artefact)["content hash"]


def test_a_renamed_class_is_noticed(artefact: Path) -> None:
    artefact.write_bytes(artefact.read_bytes().replace(b"opacity", b"capaciT"))
    assert failed(artefact).keys() == {"content hash"}


def test_a_truncated_file_is_noticed(artefact: Path) -> None:
    raw = artefact.read_bytes()
    for length in (0, 1, 10, len(raw) // 2, len(raw) - 1):
        artefact.write_bytes(raw[:length])
        assert failed(artefact), length


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no such file"):
        verify(tmp_path / "absent.onnx")


def test_a_foreign_file_fails_at_its_metadata(tiny: ModuleType, tmp_path: Path) -> None:
    onnx.save(tiny.classifier_model(), tmp_path / "m.onnx")
    assert verify(tmp_path / "m.onnx")[-1] == Check(
        "metadata",
        False,
        "no metadata under the key 'medsynth': not an artefact of medsynth. Write one with medsynth export.",
    )


def test_other_weights_under_a_right_hash_fail_at_the_golden_outputs(artefact: Path) -> None:
    def double(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "dense")
        tensor.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(tensor), "dense"))

    restamp(artefact, double)
    assert failed(artefact).keys() == {"golden outputs"}


def test_small_differences_pass(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")

    def nudge(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        fields["golden"]["values"][0][0] += 9e-5

    restamp(path, nudge)
    assert not failed(path)
    restamp(path, nudge)
    assert "largest difference 0.00018 of a probability (allowed 0.0001)" in failed(path)["golden outputs"]


def test_class_names_must_fit_the_outputs(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    restamp(path, lambda model, fields: fields["classes"].append("third"))
    assert "output 'logits' must be float32[batch, 3], is float32[batch, 2]" in failed(path)["inputs and outputs"]


def test_the_batch_axis_must_be_named(artefact: Path) -> None:
    def rename(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "unk__43"

    restamp(artefact, rename)
    assert "[unk__43, " in failed(artefact)["inputs and outputs"]


def test_opsets(artefact: Path) -> None:
    def add_domain(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        model.opset_import.append(helper.make_opsetid("my.ops", 1))

    def from_the_future(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        del model.opset_import[1:]
        model.opset_import[0].version = 1000

    restamp(artefact, add_domain)
    assert failed(artefact)["opset"] == "operators of my.ops need a library of their own beside onnxruntime"
    restamp(artefact, from_the_future)
    assert failed(artefact)["opset"].endswith("Got 1000")


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "weights.bin"])
def test_external_data_is_refused(artefact: Path, location: str) -> None:
    (artefact.parent / "weights.bin").write_bytes(b"\0" * 4096)

    def move_out(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "dense")
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    restamp(artefact, move_out)
    assert (
        failed(artefact)["external data"]
        == f"tensor 'dense' lives in another file ({location}); an artefact is one file"
    )


def test_external_data_hidden_in_a_subgraph_is_seen(artefact: Path) -> None:
    def hide(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        tensor = onnx.TensorProto(name="hidden", data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="x")
        inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["none"], ["nothing"], then_branch=inner, else_branch=inner))

    restamp(artefact, hide)
    assert "tensor 'hidden'" in failed(artefact)["external data"]


def test_a_changed_recipe_is_told_from_a_changed_model(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    restamp(path, lambda model, fields: fields["golden"].update(seed=5))
    assert "golden inputs cannot be remade" in failed(path)["golden outputs"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": "magic"}, "must be made by the recipe phantom or noise"),
        ({"values": "not base64!"}, "cannot be read"),
        ({"values": [[0.5]]}, "cannot be read"),
        ({"output": "nothing"}, "no output 'nothing'"),
    ],
)
def test_broken_golden(artefact: Path, change: dict[str, Any], said: str) -> None:
    restamp(artefact, lambda model, fields: fields["golden"].update(change))
    assert said in failed(artefact)["golden outputs"]


@pytest.mark.parametrize(
    "change",
    [{"count": 0}, {"count": -1}, {"count": 65}, {"count": True}, {"seed": -1}, {"tolerance": -1}, {"recipe": [1]}],
)
def test_golden_inputs_that_no_export_asks_for_are_a_failed_check(artefact: Path, change: dict[str, Any]) -> None:
    (name,) = change
    restamp(artefact, lambda model, fields: fields["golden"].update(change))
    assert failed(artefact).keys() == {"metadata"}
    assert f"golden.{name} in the metadata must be" in failed(artefact)["metadata"]


def test_golden_outputs_that_unpack_to_more_than_was_promised_are_not_unpacked(
    tiny: ModuleType, tmp_path: Path
) -> None:
    path = tiny.generator_file(tmp_path / "m.onnx")
    bomb = base64.b64encode(zlib.compress(bytes(2**26), 9)).decode()
    restamp(path, lambda model, fields: fields["golden"].update(values=bomb))
    tracemalloc.start()
    try:
        assert "cannot be read" in failed(path)["golden outputs"]
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_a_file_that_breaks_the_contract_is_not_run(tiny: ModuleType, tmp_path: Path) -> None:
    """Its metadata may ask for inputs of any size."""
    path = tiny.classifier_file(tmp_path / "m.onnx")
    restamp(path, lambda model, fields: fields["image"].update(height=10**6, width=10**6))
    assert failed(path)["golden outputs"] == "not run, because of its inputs and outputs"


def test_whatever_a_check_meets_is_a_failed_check(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise ZeroDivisionError("nobody\nthought of it")

    monkeypatch.setattr(checks, "_check_opset", fail)
    assert failed(artefact) == {"opset": "the check ended with ZeroDivisionError: nobody thought of it"}
    assert [check.name for check in verify(artefact)] == NAMES


@pytest.mark.parametrize(
    "change",
    [
        {"image": [1, 2, 3]},
        {"image": {"height": 12, "width": 16, "channels": 3, "window": [1]}},
        {"image": {"height": 1e400, "width": 16, "channels": 3}},
        {"threshold": 10**400},
        {"golden": ["phantom"]},
        {"classes": ["clear", "opa\ud800ty"], "positive": "clear"},
        {"intended_use": "\udfff"},
        {"content_hash": "\ud800"},
        {"content_hash": 5},
        {"versions": [1]},
        {"precision": {"name": ["fp32"]}},
        {"tta": {"moves": []}},
    ],
)
def test_metadata_of_any_kind_are_a_failed_check(artefact: Path, change: dict[str, Any]) -> None:
    """With escapes and numbers that JSON text can hold and canonical JSON never does."""
    model = onnx.load(artefact)
    (entry,) = model.metadata_props
    entry.value = json.dumps({**json.loads(entry.value), **change})
    artefact.write_bytes(model.SerializeToString())
    assert failed(artefact).keys() == {"metadata"}
    assert failed(artefact)["metadata"].isprintable()
    with pytest.raises(ArtifactError):
        read(artefact)


@pytest.mark.parametrize("depth", [400, 900, 5000])
def test_metadata_nested_without_end_are_a_failed_check(artefact: Path, depth: int) -> None:
    model = onnx.load(artefact)
    (entry,) = model.metadata_props
    for key in ("schema", "task", "positive"):
        nested = f'"{key}": {"[" * depth}{"]" * depth}'
        text = json.dumps({**json.loads(entry.value), key: 0}).replace(f'"{key}": 0', nested)
        (changed := onnx.ModelProto()).CopyFrom(model)
        changed.metadata_props[0].value = text
        (artefact.parent / "deep.onnx").write_bytes(changed.SerializeToString())
        assert failed(artefact.parent / "deep.onnx").keys() == {"metadata"}


def test_an_element_type_that_onnx_does_not_know(artefact: Path) -> None:
    def change(model: onnx.ModelProto, fields: dict[str, Any]) -> None:
        model.graph.output[0].type.tensor_type.elem_type = 99

    restamp(artefact, change)
    assert "is type 99[batch, " in failed(artefact)["inputs and outputs"]


def test_no_golden(artefact: Path) -> None:
    restamp(artefact, lambda model, fields: fields.update(golden=None))
    assert "has none" in failed(artefact)["golden outputs"]

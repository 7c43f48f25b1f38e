from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
import pytest

from medsynth.artifact.contract import (
    TensorInfo,
    broken_rules,
    infos_from_onnx,
    infos_from_session,
    latent_length,
)
from medsynth.artifact.runtime import import_onnxruntime, session_options
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from types import ModuleType

IMAGES = TensorInfo("images", "uint8", ("batch", 12, 16, 3))
OUTPUTS = (
    TensorInfo("logits", "float32", ("batch", 2)),
    TensorInfo("probabilities", "float32", ("batch", 2)),
    TensorInfo("features", "float32", ("batch", 8)),
)


def test_onnx_and_onnxruntime_see_the_same(tiny: ModuleType) -> None:
    for model in (tiny.classifier_model(), tiny.generator_model()):
        session = import_onnxruntime().InferenceSession(
            model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
        )
        assert infos_from_onnx(model.graph.input) == infos_from_session(session.get_inputs())
        assert infos_from_onnx(model.graph.output) == infos_from_session(session.get_outputs())


def test_both_tasks_keep_it(tiny: ModuleType) -> None:
    for task, model in (("classifier", tiny.classifier_model()), ("generator", tiny.generator_model())):
        infos = infos_from_onnx(model.graph.input), infos_from_onnx(model.graph.output)
        assert broken_rules(*infos, tiny.metadata(task)) == ()


def test_optional_outputs(tiny: ModuleType) -> None:
    more = (TensorInfo("activations", "float32", ("batch", 3, 4, 5)), TensorInfo("decision", "int64", ("batch",)))
    assert broken_rules([IMAGES], (*OUTPUTS, *more), tiny.metadata("classifier")) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            replace(IMAGES, dtype="float32"),
            "input 'images' must be uint8[batch, 12, 16, 3], is float32[batch, 12, 16, 3]",
        ),
        (replace(IMAGES, shape=("batch", 12, 16, 1)), "is uint8[batch, 12, 16, 1]"),
        (replace(IMAGES, shape=("N", 12, 16, 3)), "is uint8[N, 12, 16, 3]"),
        (replace(IMAGES, shape=(1, 12, 16, 3)), "is uint8[1, 12, 16, 3]"),
        (replace(IMAGES, shape=("batch", None, "width", 3)), "is uint8[batch, ?, width, 3]"),
        (replace(IMAGES, name="x:0"), "input 'images' is missing"),
    ],
)
def test_broken_inputs(tiny: ModuleType, changed: TensorInfo, said: str) -> None:
    broken = broken_rules([changed], OUTPUTS, tiny.metadata("classifier"))
    assert said in broken[0]


def test_broken_outputs(tiny: ModuleType) -> None:
    metadata = tiny.metadata("classifier")
    assert broken_rules([IMAGES], OUTPUTS[:2], metadata) == ("output 'features' is missing, must be float32[batch, n]",)
    strange = TensorInfo("Identity:0", "float32", ("batch", 2))
    assert broken_rules([IMAGES], (*OUTPUTS, strange), metadata) == (
        "output 'Identity:0' is not one of logits, probabilities, features, activations, decision",
    )
    free = replace(OUTPUTS[2], shape=("batch", "d"))
    assert broken_rules([IMAGES], (*OUTPUTS[:2], free), metadata) == (
        "output 'features' must be float32[batch, n], is float32[batch, d]",
    )


def test_unnamed_axes_are_read() -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, [None, 3])
    assert infos_from_onnx([value]) == (TensorInfo("x", "float64", (None, 3)),)


def test_latent_length(tiny: ModuleType) -> None:
    assert latent_length(infos_from_onnx(tiny.generator_model().graph.input)) == tiny.LATENT
    with pytest.raises(ArtifactError, match="fixed length"):
        latent_length([TensorInfo("noise", "float32", ("batch", "latent"))])

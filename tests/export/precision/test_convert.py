"""The whole conversion of files, without TensorFlow."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

import medsynth
from medsynth import artifact
from medsynth.errors import ArtifactError, CheckFailedError, ConfigError, DataError
from medsynth.export import Budget

WIDE = Budget(flips=0.05, auc=0.02)


@pytest.fixture(scope="module", params=["fp16", "int8"])
def converted(request, classifier_file, drawn, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / f"{request.param}.onnx"
    return medsynth.export(classifier_file, out, precision=request.param, calibration=drawn, budget=WIDE)


def test_the_file_proves_itself_and_says_where_it_comes_from(converted, classifier_file, drawn):
    assert all(check.passed for check in artifact.verify(converted))
    parent, child = artifact.read(classifier_file), artifact.read(converted)
    assert child.precision["parent"] == parent.content_hash
    assert child.precision["name"] == converted.stem
    gate = child.precision["gate"]
    assert gate["budget"]["flips"] == 0.05
    assert gate["part"] == "validation"
    assert gate["flips"]["value"] <= 0.05
    assert gate["same_data_as_training"]
    assert gate["images"] == len(drawn.part("validation"))
    same = ("task", "classes", "positive", "image", "plugin", "data", "training", "validation", "threshold")
    assert all(getattr(parent, name) == getattr(child, name) for name in same)
    assert child.content_hash != parent.content_hash


def test_the_gate_measured_what_a_user_sees(converted, classifier_file, drawn):
    data = drawn.part("validation")
    first, second = (
        medsynth.load_model(path, device="cpu").predict(data).predicted for path in (classifier_file, converted)
    )
    flipped = artifact.read(converted).precision["gate"]["flipped"]
    assert abs(sum(a != b for a, b in zip(first, second, strict=True)) - flipped) <= 1


def test_every_use_of_a_file_works(converted, drawn, tmp_path):
    model = medsynth.load_model(converted, device="cpu")
    assert set(model.run(np.zeros((2, 32, 32, 1), np.uint8))) == {"logits", "probabilities", "features", "activations"}
    report = medsynth.evaluate(model, drawn)
    assert report.classifier.model.to_dict()["precision"] == converted.stem
    timing = medsynth.benchmark(converted, batch_sizes=(1,), device="cpu")
    assert timing is not None


def test_int8_is_calibrated_on_training_images_alone(classifier_file, drawn, tmp_path, monkeypatch):
    from medsynth.dataset import Dataset

    decoded = []
    decode = Dataset.decode

    def spy(self, *arguments, **options):
        decoded.append(set(self.split))
        return decode(self, *arguments, **options)

    monkeypatch.setattr(Dataset, "decode", spy)
    out = medsynth.export(classifier_file, tmp_path / "q.onnx", precision="int8", calibration=drawn, budget=WIDE)
    assert sorted(map(sorted, decoded)) == [["train"], ["validation"]]
    facts = artifact.read(out).precision["calibration"]
    assert facts["part"] == "train"
    assert facts["same_data_as_training"]
    assert facts["images"] == min(128, len(drawn.part("train")))


def test_the_ranges_are_those_of_least_error_on_the_calibration_images(classifier_file, drawn, tmp_path, monkeypatch):
    def export(shares):
        # The package exports a function of the module's name.
        monkeypatch.setattr(sys.modules["medsynth.export.precision.convert"], "_RANGES", shares)
        out = tmp_path / "q.onnx"
        medsynth.export(classifier_file, out, precision="int8", calibration=drawn, budget=Budget(flips=1.0, auc=1.0))
        return artifact.read(out).precision["calibration"]["share_of_ranges"], onnx.load(out)

    # A range of a hundredth leaves nothing of the images.
    share, chosen = export((0.01, 1.0))
    assert share == 1.0
    _, narrow = export((0.5,))
    _, wide = export((1.0,))
    steps = [
        {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith("out/scale")
         or t.name in {"r1/scale", "r2/scale"}}
        for model in (chosen, narrow, wide)
    ]  # fmt: skip
    assert steps[0]
    for name, step in steps[0].items():
        np.testing.assert_allclose(step, steps[2][name])
        np.testing.assert_allclose(steps[1][name], step / 2, rtol=1e-6)


def test_fp16_halves_the_weights(classifier_file, drawn, tmp_path):
    out = medsynth.export(classifier_file, tmp_path / "h.onnx", precision="fp16", calibration=drawn, budget=WIDE)
    types = {tensor.data_type for tensor in onnx.load(out).graph.initializer if len(tensor.dims) == 4}
    assert types == {onnx.TensorProto.FLOAT16}


def test_over_the_budget_nothing_is_written(classifier_file, drawn, tmp_path):
    out = tmp_path / "q.onnx"
    budget = Budget(flips=0.0, auc=0.0)
    with pytest.raises(CheckFailedError, match=r"AUC changes|decisions flip"):
        medsynth.export(classifier_file, out, precision="int8", calibration=drawn, budget=budget, fallback=False)
    assert not out.exists()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_generator_is_judged_by_grey_levels_and_by_a_classifier(generator_file, classifier_file, tmp_path, precision):
    budget = Budget(flips=0.05, mean_grey=3.0)
    out = medsynth.export(
        generator_file, tmp_path / "g.onnx", precision=precision, classifier=classifier_file, budget=budget
    )
    assert all(check.passed for check in artifact.verify(out))
    gate = artifact.read(out).precision["gate"]
    assert gate["mean_grey_levels"] <= 3.0
    assert gate["flips"] <= 0.05
    first, second = (
        medsynth.load_model(path, device="cpu").sample(8, seed=9).astype(int) for path in (generator_file, out)
    )
    assert np.abs(first - second).mean() < 4.0
    assert (first != second).any() or precision == "fp16"


def test_other_data_are_recorded_for_every_precision(classifier_file, drawn, tmp_path):
    from medsynth.dataset import from_arrays

    labels = [drawn.classes[label] for label in drawn.labels]
    negatives = [255 - image for image in drawn.images]
    other = from_arrays(negatives, labels, groups=drawn.groups, source="negatives")
    wide = Budget(flips=1.0, auc=1.0)
    for precision in ("fp16", "int8"):
        out = medsynth.export(classifier_file, tmp_path / "q.onnx", precision=precision, calibration=other, budget=wide)
        gate = artifact.read(out).precision["gate"]
        assert (gate["part"], gate["source"], gate["fingerprint"]) == ("validation", "negatives", other.fingerprint)
        assert gate["same_data_as_training"] is False


def test_a_generator_is_judged_on_noise_whatever_data_are_given(generator_file, drawn, tmp_path):
    out = medsynth.export(generator_file, tmp_path / "g.onnx", precision="fp16", calibration=drawn)
    gate = artifact.read(out).precision["gate"]
    assert gate["part"] == "noise"
    assert "fingerprint" not in gate


def test_a_classifier_without_an_answer_cannot_judge_a_generator(
    generator_file, classifier_file, tmp_path, monkeypatch
):
    classifier = medsynth.load_model(classifier_file, device="cpu")
    run = classifier._runner._run

    def forget_the_first(feeds):
        outputs = run(feeds)
        outputs["probabilities"][0] = np.nan
        return outputs

    monkeypatch.setattr(classifier._runner, "_run", forget_the_first)
    with pytest.raises(ArtifactError, match=r"classifier\.onnx: must answer every image .* Give another --classifier"):
        medsynth.export(generator_file, tmp_path / "g.onnx", precision="fp16", classifier=classifier)


def test_a_refusal_names_the_options_of_its_task(generator_file, classifier_file, drawn, tmp_path):
    none = Budget(flips=0.0, auc=0.0, mean_grey=0.0, worst_grey=0.0)
    for source, said in (
        (
            generator_file,
            r"Widen the budget \(--max-grey-change, --max-worst-grey, with --classifier --max-flips\), or",
        ),
        (classifier_file, r"Widen the budget \(--max-flips, --max-auc-change\), calibrate on more images, or"),
    ):
        with pytest.raises(CheckFailedError, match=said):
            medsynth.export(
                source, tmp_path / "q.onnx", precision="int8", calibration=drawn, budget=none, fallback=False
            )


def test_what_cannot_be_converted_is_told(classifier_file, drawn, tmp_path, phantom):
    out = tmp_path / "q.onnx"
    with pytest.raises(ConfigError, match="precision must be one of"):
        medsynth.export(classifier_file, out, precision="int4")
    with pytest.raises(ConfigError, match="is an ONNX file already"):
        medsynth.export(classifier_file, out)
    with pytest.raises(ConfigError, match="--calibration"):
        medsynth.export(classifier_file, out, precision="int8")
    with pytest.raises(ArtifactError, match="cannot be read"):
        medsynth.export(tmp_path / "none.onnx", out, precision="int8", calibration=drawn)
    with pytest.raises(DataError, match="the model's classes, clear, opacity"):
        from medsynth.dataset import from_arrays

        other = from_arrays(drawn.images, ["cat", "dog"] * (len(drawn) // 2), source="pets")
        medsynth.export(classifier_file, out, precision="int8", calibration=other)
    half = medsynth.export(classifier_file, tmp_path / "h.onnx", precision="fp16", calibration=drawn, budget=WIDE)
    with pytest.raises(ArtifactError, match=r"must be fp32 to be converted\. Got fp16"):
        medsynth.export(half, out, precision="int8", calibration=drawn)

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from medsynth.dataset import from_arrays
from medsynth.errors import ArtifactError, DataError, OutputError
from medsynth.evaluate import evaluate_classifier, record


def test_numbers_are_those_of_the_test_part(load, data):
    model = load("classifier.onnx")
    test = data.part("test").decode(model.image)
    probabilities = model.run(test.images)["probabilities"]
    predicted = probabilities[:, 1] >= 0.4
    overall = evaluate_classifier(model, data).scores.overall
    assert overall["auc"].value == pytest.approx(sk.roc_auc_score(test.labels, probabilities[:, 1]))
    assert overall["accuracy"].value == pytest.approx(sk.accuracy_score(test.labels, predicted))
    assert overall["f1"].value == pytest.approx(sk.f1_score(test.labels, predicted))
    assert overall["loss"].value == pytest.approx(sk.log_loss(test.labels, probabilities), rel=1e-5)


def test_decisions_equal_those_of_inference(load, data):
    model = load("classifier.onnx")
    test = data.part("test")
    predicted = model.predict(test.images).predicted
    confusion = evaluate_classifier(model, data).scores.confusion
    names = [model.classes[label] for label in test.labels]
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(names, predicted, labels=list(model.classes)))


def test_intervals_resample_patients(load, data):
    scores = evaluate_classifier(load("classifier.onnx"), data).scores
    assert scores.grouped
    assert scores.units == len(set(data.part("test").groups))


def test_three_classes_without_groups(load, shades):
    report = evaluate_classifier(load("shades-classifier.onnx"), shades)
    assert report.scores.positive is None
    assert not report.scores.grouped
    assert report.scores.confusion.shape == (3, 3)
    assert report.scores.overall["auc"].value > 0.9


def test_order_of_class_names_in_the_data_does_not_matter(load, data):
    """The same images under a table that numbers its classes the other way round."""
    turned = replace(data, classes=data.classes[::-1], labels=1 - data.labels)
    one, other = (evaluate_classifier(load("classifier.onnx"), each).scores for each in (data, turned))
    assert one.overall == other.overall


def test_every_use_of_the_test_part_is_recorded(load, data):
    model = load("classifier.onnx")
    first, second = evaluate_classifier(model, data), evaluate_classifier(model, data)
    assert (first.uses, second.uses) == (1, 2)
    written = json.loads(model.path.with_name("classifier.onnx.evaluations.json").read_text())
    assert len(written["evaluations"]) == 2
    entry = written["evaluations"][1]
    assert entry["data"] == {"source": "phantom", "fingerprint": data.part("test").fingerprint}
    assert entry["overall"]["auc"]["value"] == second.scores.overall["auc"].value
    assert entry["model"] == model.metadata.content_hash
    other_split = replace(data, split=tuple({"test": "validation", "validation": "test"}.get(p, p) for p in data.split))
    assert evaluate_classifier(model, other_split).uses == 1


def test_a_folder_that_cannot_be_written_to_does_not_lose_the_result(load, data, monkeypatch):
    model = load("classifier.onnx")
    evaluate_classifier(model, data)

    def refuse(path, value):
        raise OutputError("read-only")

    monkeypatch.setattr(record, "write_json", refuse)
    report = evaluate_classifier(model, data)
    assert (report.uses, report.recorded) == (2, False)


@pytest.mark.parametrize("content", ["", "{}", '{"evaluations": [3]}', '{"evaluations": [{"data": {}}]}', "\0"])
def test_a_damaged_record_is_told_before_the_work(load, data, content):
    model = load("classifier.onnx")
    model.path.with_name("classifier.onnx.evaluations.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"evaluations\.json: must be the record .* Move it away"):
        evaluate_classifier(model, data)


def test_other_classes_are_refused(load, shades):
    with pytest.raises(DataError, match=r"classifier\.onnx knows the classes clear, opacity; shades has dark, grey"):
        evaluate_classifier(load("classifier.onnx"), shades)


def test_data_without_a_test_part_are_refused(load, data):
    with pytest.raises(DataError, match="no images in the part 'test'"):
        evaluate_classifier(load("classifier.onnx"), data.part("train"))


def test_unreadable_images_are_listed_and_left_out(load, data, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    first = data.split.index("test")
    images = list(data.images)
    images[first] = broken
    report = evaluate_classifier(load("classifier.onnx"), replace(data, images=tuple(images)))
    assert [row.name for row in report.skipped] == [data.names[first]]
    assert report.scores.images == data.split.count("test") - 1


def test_predictions_are_kept_and_their_rows_matched(load, data, tmp_path):
    """Unreadable images in the middle shift neither labels nor groups."""
    model, test = load("classifier.onnx"), data.part("test")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    lost = {test.names[1], test.names[6]}
    images = [broken if name in lost else image for name, image in zip(data.names, data.images, strict=True)]
    report = evaluate_classifier(model, replace(data, images=tuple(images)))
    kept = [row for row, name in enumerate(test.names) if name not in lost]
    whole = model.predict(test)
    assert report.predictions.names == tuple(whole.names[row] for row in kept)
    np.testing.assert_array_equal(report.predictions.probabilities, whole.probabilities[kept])
    decided = np.array([model.classes.index(name) for name in report.predictions.predicted])
    assert report.scores.overall["accuracy"].value == pytest.approx(np.mean(decided == test.labels[kept]))
    assert report.scores.units == len({test.groups[row] for row in kept})


def test_a_class_without_a_readable_image_is_told(load, data, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    images = [
        broken if part == "test" and label == 1 else image
        for image, part, label in zip(data.images, data.split, data.labels, strict=True)
    ]
    with pytest.raises(DataError, match=r"none of the \d+ test images of class 'opacity' can be read\. The first"):
        evaluate_classifier(load("classifier.onnx"), replace(data, images=tuple(images)))


def test_activations_are_not_kept(load, data, monkeypatch):
    model = load("classifier.onnx")
    monkeypatch.setattr(type(model), "run", lambda *_, **__: pytest.fail("run keeps every output"))
    assert evaluate_classifier(model, data, maps=0).scores.images == data.split.count("test")


def test_it_says_whether_the_model_knows_the_data(load, data):
    assert evaluate_classifier(load("classifier.onnx"), data).familiar
    brighter = from_arrays(
        [np.minimum(image, 250) for image in data.images],
        [data.classes[label] for label in data.labels],
        split=data.split,
        source="elsewhere",
    )
    report = evaluate_classifier(load("classifier.onnx"), brighter)
    assert not report.familiar
    assert not report.scores.grouped


def test_only_the_test_part_is_decoded(load, data):
    """Images of the other parts may be gone."""
    gone = tuple(image if part == "test" else "gone.png" for image, part in zip(data.images, data.split, strict=True))
    assert evaluate_classifier(load("classifier.onnx"), replace(data, images=gone)).skipped == ()


def test_progress_is_told(load, data):
    told = []
    evaluate_classifier(load("classifier.onnx"), data, on_progress=lambda *state: told.append(state))
    count = data.split.count("test")
    assert told[-1] == (count, count, {})


def test_plain_values_for_json(load, data):
    fields = json.loads(json.dumps(evaluate_classifier(load("classifier.onnx"), data).to_dict(), allow_nan=False))
    assert fields["test_part_uses"] == 1
    assert fields["model"]["threshold"] == 0.4
    assert fields["data"]["part"] == "test"

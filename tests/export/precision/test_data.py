from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from medsynth.dataset import load_dataset
from medsynth.errors import DataError
from medsynth.export.precision import data as module
from medsynth.export.precision.data import decode_images, remembered_data


@pytest.fixture
def run(data_csv, tmp_path):
    """What remembered_data asks of a run."""
    data = load_dataset(data_csv)
    data.to_csv(tmp_path / "data.csv")
    counts = {part: data.part(part).counts() for part in ("train", "validation", "test")}
    facts = {"source": "slices", "counts": counts, "fingerprint": data.fingerprint}
    return SimpleNamespace(folder=tmp_path, positive="clear", data=facts, config={"seed": 3})


def test_a_run_remembers_its_data(run):
    data = remembered_data(run)
    assert data.source == "slices"
    assert data.positive == "clear"
    assert {part: data.part(part).counts() for part in run.data["counts"]} == run.data["counts"]


def test_data_that_are_gone_are_told(run):
    run.data["counts"]["train"]["clear"] += 1
    with pytest.raises(DataError, match=r"are missing\. Give the data with --calibration"):
        remembered_data(run)
    (run.folder / "data.csv").unlink()
    with pytest.raises(DataError, match="--calibration"):
        remembered_data(run)


def test_the_phantom_is_drawn_again(run, drawn, monkeypatch):
    asked = []

    def draw(name, *, positive, seed):
        asked.append((name, positive, seed))
        return drawn if seed == 3 else drawn.part("test")

    monkeypatch.setattr(module, "load_dataset", draw)
    run.data |= {"source": "phantom", "fingerprint": drawn.fingerprint}
    assert remembered_data(run).fingerprint == run.data["fingerprint"]
    assert asked == [("phantom", "clear", 0), ("phantom", "clear", 3)]
    run.data["fingerprint"] = "0"
    with pytest.raises(DataError, match="another phantom"):
        remembered_data(run)


def test_a_class_that_validation_lacks_is_told(small, drawn):
    opacity = drawn.classes.index("opacity")
    kept = [row for row, part in enumerate(drawn.split) if part != "validation" or drawn.labels[row] == opacity]
    with pytest.raises(DataError, match=r"phantom: the validation part has no readable image of clear\. Every class"):
        decode_images(drawn.take(kept), small.metadata("classifier", small.SPEC))


def test_labels_are_the_indices_of_the_model(small, drawn):
    metadata = small.metadata("classifier", small.SPEC)
    plain = decode_images(drawn, metadata)
    turned = decode_images(drawn, replace(metadata, classes=metadata.classes[::-1]))
    np.testing.assert_array_equal(turned.validation.labels, 1 - plain.validation.labels)
    assert plain.facts == {"source": "phantom", "fingerprint": drawn.fingerprint, "same_data_as_training": False}
    json.dumps(plain.facts)

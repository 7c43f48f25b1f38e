from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """The builders of small_models.py (test modules cannot import each other)."""
    spec = importlib.util.spec_from_file_location("small_models", Path(__file__).parent / "small_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def drawn():
    """Phantom slices of 60 patients: enough validation images for a gate."""
    from medsynth.dataset import from_arrays, make_phantom

    phantom = make_phantom(patients=60, slices_per_patient=4, size=48)
    labels = [phantom.classes[label] for label in phantom.labels]
    return from_arrays(phantom.images, labels, groups=phantom.groups, names=phantom.names, source="phantom")


@pytest.fixture(scope="session")
def classifier_model(small, drawn):
    """A classifier whose last layer was fitted to the training part."""
    model = small.classifier(width=16)
    training = drawn.part("train").decode(small.SPEC)
    small.fit_head(model, training.images, training.labels)
    return model


@pytest.fixture(scope="session")
def classifier_file(small, classifier_model, drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("precision") / "classifier.onnx"
    data = {"source": "phantom", "fingerprint": drawn.fingerprint, "counts": {}}
    return small.write_file(classifier_model, "classifier", small.SPEC, path, data=data)


@pytest.fixture(scope="session")
def generator_file(small, tmp_path_factory):
    from medsynth.images import ImageSpec

    path = tmp_path_factory.mktemp("precision") / "generator.onnx"
    return small.write_file(small.generator(), "generator", ImageSpec(height=16, width=16, channels=1), path)


@pytest.fixture(scope="session")
def data_csv(drawn, tmp_path_factory):
    """The phantom as files with a CSV."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / "data.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "group", "split"))
        for index, image in enumerate(drawn.images):
            Image.fromarray(image).save(folder / f"{index:04d}.png")
            writer.writerow(
                (f"{index:04d}.png", drawn.classes[drawn.labels[index]], drawn.groups[index], drawn.split[index])
            )
    return folder / "data.csv"

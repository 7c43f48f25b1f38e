from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from medsynth.dataset import from_arrays, make_phantom
from medsynth.evaluate import DataSummary, Report, evaluate_classifier, evaluate_generator
from medsynth.infer import load_model


@pytest.fixture(scope="session")
def linear():
    """The builders of linear_models.py (test modules cannot import each other)."""
    spec = importlib.util.spec_from_file_location("linear_models", Path(__file__).parent / "linear_models.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def data():
    """96 slices of 48 phantom patients."""
    drawn = make_phantom(patients=48, slices_per_patient=2, size=32)
    labels = [drawn.classes[label] for label in drawn.labels]
    return from_arrays(drawn.images, labels, groups=drawn.groups, names=drawn.names, source="phantom")


@pytest.fixture(scope="session")
def shades():
    """Three classes of noise around three grey levels; no groups."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["dark", "grey", "light"], 40)
    images = [
        np.clip(rng.normal({"dark": 90, "grey": 120, "light": 150}[label], 60, (10, 10)), 0, 255).astype(np.uint8)
        for label in labels
    ]
    return from_arrays(images, labels, source="shades")


@pytest.fixture(scope="session")
def files(linear, data, shades, tmp_path_factory):
    """Artefacts of both data sets."""
    folder = tmp_path_factory.mktemp("models")
    linear.write_classifier(data, folder / "classifier.onnx", threshold=0.4)
    linear.write_generator(data, folder / "generator.onnx")
    linear.write_classifier(shades, folder / "shades-classifier.onnx", size=10)
    linear.write_generator(shades, folder / "shades-generator.onnx", size=10)
    return folder


@pytest.fixture
def load(files, tmp_path):
    """Load an artefact from a folder of the test's own, because evaluations are recorded beside it."""

    def load_copy(name):
        shutil.copy(files / name, tmp_path / name)
        return load_model(tmp_path / name, device="cpu")

    return load_copy


@pytest.fixture(scope="session")
def report(files, data, tmp_path_factory):
    """Both parts, without training runs."""
    folder = tmp_path_factory.mktemp("evaluated")
    classifier, sampler = (
        load_model(shutil.copy(files / name, folder / name), device="cpu")
        for name in ("classifier.onnx", "generator.onnx")
    )
    return Report(
        data=DataSummary.of(data),
        classifier=evaluate_classifier(classifier, data),
        generator=evaluate_generator(sampler, data, classifier, count=40),
    )

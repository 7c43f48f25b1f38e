"""Fixtures for every test: the real data, a small phantom set, and one trained pair of tiny networks."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from medsynth.train.backend import ask_for_onednn

# Before anything imports TensorFlow: its start-up chatter is not what a test run should show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Training does so too, but that is too late where a test imports Keras first.
ask_for_onednn()

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--require-data", action="store_true", help="fail where real images or weights are missing")


def _shared(request, variable, default):
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / default))
    if path.exists():
        return path
    message = f"{variable}: {path.name} is not here"
    if request.config.getoption("--require-data"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def ct_folder(request):
    """Real CT slices: train/ and test/, covid and non-covid."""
    return _shared(request, "MEDSYNTH_TEST_DATA", "data") / "ct"


@pytest.fixture(scope="session")
def cxr_folder(request):
    """Real chest X-rays of three classes."""
    return _shared(request, "MEDSYNTH_TEST_DATA", "data") / "cxr"


@pytest.fixture(scope="session")
def vgg16_weights(request):
    """Pretrained VGG16 without its top."""
    return _shared(request, "MEDSYNTH_TEST_WEIGHTS", "weights") / "vgg16_notop.weights.h5"


@pytest.fixture(scope="session")
def phantom():
    """96 slices of 24 phantom patients, split by patient."""
    from medsynth.dataset import from_arrays, make_phantom

    drawn = make_phantom(patients=24, slices_per_patient=4, size=48)
    labels = [drawn.classes[label] for label in drawn.labels]
    return from_arrays(drawn.images, labels, groups=drawn.groups, names=drawn.names, source="phantom")


@pytest.fixture(scope="session")
def classifier_run(phantom, tmp_path_factory):
    """A tiny backbone trained for two epochs."""
    import medsynth

    return medsynth.train_classifier(
        phantom,
        out=tmp_path_factory.mktemp("runs") / "classifier",
        image_size=32,
        epochs=2,
        batch_size=16,
        learning_rate=1e-3,
        weights="none",
        width=0.0625,
        batch_norm=True,
    )


@pytest.fixture(scope="session")
def generator_run(phantom, tmp_path_factory):
    """AC-GAN trained for four steps."""
    import medsynth

    out = tmp_path_factory.mktemp("runs") / "generator"
    return medsynth.train_generator(
        phantom, out=out, recipe="classic", image_size=16, steps=4, batch_size=8, sample_every=2
    )


@pytest.fixture(scope="session")
def classifier_onnx(classifier_run, tmp_path_factory):
    """The exported classifier."""
    import medsynth

    return medsynth.export(classifier_run, tmp_path_factory.mktemp("onnx") / "classifier.onnx")


@pytest.fixture(scope="session")
def generator_onnx(generator_run, tmp_path_factory):
    """The exported generator."""
    import medsynth

    return medsynth.export(generator_run, tmp_path_factory.mktemp("onnx") / "generator.onnx")


@pytest.fixture(scope="session")
def tiny():
    """The builders of tests/artifact/tiny_models.py (test modules cannot import each other)."""
    spec = importlib.util.spec_from_file_location("tiny_models", ROOT / "tests" / "artifact" / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def eagerly():
    """Training steps run as they are written: to compile one takes as long as ten of them; most tests take fewer."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB that is nearly full."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        (folder / "fill").write_bytes(b"\0" * 40_960)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)

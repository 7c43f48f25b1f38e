"""The order of the stages, and what they are asked for; tests/test_end_to_end.py runs them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medsynth.config import ClassifierConfig, GeneratorConfig
from medsynth.dataset import from_arrays
from medsynth.errors import ConfigError
from medsynth.pipeline import run_pipeline

SMALL, MODERN = ClassifierConfig(options={"weights": "none"}), GeneratorConfig(options={"recipe": "modern"})


@pytest.fixture
def stages(monkeypatch):
    """The stages done at once; what each was called with, in order."""
    calls: list[tuple[str, dict]] = []

    def stage(name, result=None):
        def done(*_, **options):
            calls.append((name, options))
            return result

        return done

    outcome = {"best_epoch": 0, "epochs": 1, "seconds": 1.0, "steps": 1, "validation": {"auc": 1.0}}
    run = SimpleNamespace(outcome=outcome, folder=Path())
    monkeypatch.setattr("medsynth.train.train_classifier", stage("train_classifier", run))
    monkeypatch.setattr("medsynth.train.train_generator", stage("train_generator", run))
    predictions = SimpleNamespace(write=lambda path: None)
    monkeypatch.setattr(
        "medsynth.pipeline.evaluate_classifier", stage("evaluate_classifier", SimpleNamespace(predictions=predictions))
    )
    for name in ("export", "load_classifier", "load_sampler", "generate_images", "evaluate_generator", "write_report"):
        monkeypatch.setattr(f"medsynth.pipeline.{name}", stage(name))
    return calls


def pipeline(data, out, classifier=SMALL, generator=MODERN):
    return run_pipeline(data, out=out, classifier=classifier, generator=generator, tell=lambda line: None)


def test_the_settings_are_written_for_another_call(stages, phantom, tmp_path):
    pipeline(phantom, tmp_path)
    tables = tomllib.loads((tmp_path / "config.toml").read_text())
    assert ClassifierConfig.from_settings(tables["classifier"]) == SMALL
    assert GeneratorConfig.from_settings(tables["generator"]) == MODERN


@pytest.mark.parametrize("which", ["classifier", "generator"])
def test_settings_that_a_run_refuses_do_not_replace_its_own(stages, phantom, tmp_path, monkeypatch, which):
    def refuse(*_, **__):
        raise ConfigError("a run is continued with its own settings")

    monkeypatch.setattr(f"medsynth.train.train_{which}", refuse)
    (tmp_path / "config.toml").write_text("those of the run")
    with pytest.raises(ConfigError, match="its own settings"):
        pipeline(phantom, tmp_path)
    assert (tmp_path / "config.toml").read_text() == "those of the run"


def test_a_mistyped_option_is_told_before_anything_is_trained(stages, phantom, tmp_path):
    for wrong in (
        {"generator": GeneratorConfig(options={"recipes": "modern"})},
        {"classifier": ClassifierConfig(options={"wider": 0.5})},
    ):
        with pytest.raises(ConfigError, match=r"recipes|wider"):
            pipeline(phantom, tmp_path / "out", **wrong)
    assert not stages
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("classes", "judged"), [(2, 512), (64, 512), (65, 520)])
def test_every_class_is_judged_by_a_row_of_images(stages, tmp_path, classes, judged):
    labels = [f"class {index % classes}" for index in range(20 * classes)]
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 4, 4), dtype=np.uint8)
    pipeline(from_arrays(images, labels), tmp_path)
    assert dict(stages)["evaluate_generator"]["count"] == judged

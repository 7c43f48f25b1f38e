from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from scipy import special

import medsynth
from medsynth.errors import ConfigError
from medsynth.plugins import registry
from medsynth.train import fitting
from medsynth.train.rebuild import rebuild_classifier

FROZEN = {
    "image_size": 32, "batch_size": 16, "learning_rate": 1e-2, "weights": "none", "width": 0.0625, "dropout": 0.2,
    "trainable_blocks": 0, "epochs": 3, "patience": 9, "frozen_precision": "float32", "augmentation": True,
    "keep": "best", "training_precision": "float32",
}  # fmt: skip


def _weights(run):
    return rebuild_classifier(run).get_weights()


def _killed_after(epoch, monkeypatch, train):
    """Run ``train`` and kill it once the checkpoint of ``epoch`` epochs is written."""
    written = fitting.save_variables

    def killed(path, groups, state=None):
        written(path, groups, state)
        if path.name == "checkpoint.npz" and state["epoch"] == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting, "save_variables", killed)
        train()


def test_training_from_the_cache_equals_training_from_pixels(phantom, tmp_path):
    still = FROZEN | {"augmentation": None}
    cached = medsynth.train_classifier(phantom, out=tmp_path / "cached", **still)
    pixels = medsynth.train_classifier(phantom, out=tmp_path / "pixels", cache_gb=0, **still)
    assert cached.outcome["frozen"][0]["point"] == "levels"
    assert cached.outcome["frozen"][0]["bytes"] == 64 * 2 * (8 + 16 + 32) * 4
    assert pixels.outcome["frozen"][0]["why_not"].endswith("above cache_gb=0")
    for one, other in zip(_weights(cached), _weights(pixels), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    assert cached.outcome["validation"]["loss"] == pytest.approx(pixels.outcome["validation"]["loss"], rel=1e-3)


def test_too_little_room_falls_back_to_pixels(phantom, tmp_path):
    run = medsynth.train_classifier(phantom, out=tmp_path / "run", cache_gb=1e-5, **(FROZEN | {"epochs": 1}))
    assert "above cache_gb" in run.outcome["frozen"][0]["why_not"]
    assert run.outcome["frozen"][0]["point"] == "levels"


def test_a_run_resumed_from_the_cache_equals_an_uninterrupted_one(phantom, tmp_path, monkeypatch):
    whole = medsynth.train_classifier(phantom, out=tmp_path / "whole", views=2, **FROZEN)

    def train(**more):
        return medsynth.train_classifier(phantom, out=tmp_path / "cut", views=2, **FROZEN, **more)

    _killed_after(1, monkeypatch, train)
    assert (tmp_path / "cut" / "views").is_dir()
    cut = train(resume=True)
    assert not (tmp_path / "cut" / "views").exists()
    for one, other in zip(_weights(whole), _weights(cut), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert cut.outcome["validation"] == pytest.approx(whole.outcome["validation"], rel=1e-4)


@pytest.mark.parametrize("room_at_first", [False, True])
def test_a_run_goes_on_from_what_it_began_with_whatever_room_there_is(phantom, tmp_path, monkeypatch, room_at_first):
    def train(**more):
        return medsynth.train_classifier(phantom, out=tmp_path / "cut", views=2, **FROZEN, **more)

    def full(_):
        return shutil._ntuple_diskusage(10**9, 10**9, 0)

    with monkeypatch.context() as patch:
        if not room_at_first:
            patch.setattr(shutil, "disk_usage", full)
        _killed_after(1, monkeypatch, train)
    assert (tmp_path / "cut" / "views").is_dir()
    assert bool(list((tmp_path / "cut" / "views").rglob("*.npy"))) == room_at_first
    shutil.rmtree(tmp_path / "cut" / "views")
    with monkeypatch.context() as patch:
        if room_at_first:
            patch.setattr(shutil, "disk_usage", full)
        cut = train(resume=True)
    assert cut.outcome["epochs"] == 3
    assert cut.outcome["frozen"][0].get("why_not") == (None if room_at_first else "the run was begun without")


def test_a_cache_that_was_named_serves_the_next_run(phantom, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = medsynth.train_classifier(phantom, out=tmp_path / "one", views=2, cache=str(cache), **FROZEN)
    files = sorted(path.relative_to(cache).name for path in cache.rglob("*.npy"))
    assert files == ["view-000.npy", "view-001.npy"]
    stamps = [path.stat().st_mtime_ns for path in sorted(cache.rglob("*.npy"))]
    second = medsynth.train_classifier(
        phantom, out=tmp_path / "two", views=2, cache=str(cache), **(FROZEN | {"learning_rate": 1e-3})
    )
    assert [path.stat().st_mtime_ns for path in sorted(cache.rglob("*.npy"))] == stamps
    assert first.outcome["validation"]["loss"] != second.outcome["validation"]["loss"]


def test_fine_tuning_goes_on_from_the_best_head(phantom, tmp_path, monkeypatch):
    settings = FROZEN | {"head": "gap", "finetune_epochs": 2, "finetune_from": "block4_pool", "epochs": 2}
    whole = medsynth.train_classifier(phantom, out=tmp_path / "whole", finetune_learning_rate=1e-3, **settings)
    rows = [json.loads(line) for line in whole.history.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert [facts["point"] for facts in whole.outcome["frozen"]] == ["block5_pool", "block4_pool"]

    def train(**more):
        return medsynth.train_classifier(phantom, out=tmp_path / "cut", finetune_learning_rate=1e-3, **settings, **more)

    _killed_after(3, monkeypatch, train)
    cut = train(resume=True)
    for one, other in zip(_weights(whole), _weights(cut), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_freeze_point_that_does_not_exist_is_told_before_training(phantom, tmp_path):
    with pytest.raises(ConfigError, match="go together"):
        medsynth.train_classifier(phantom, out=tmp_path / "a", finetune_epochs=1, **FROZEN)
    with pytest.raises(ConfigError, match="freeze point"):
        medsynth.train_classifier(phantom, out=tmp_path / "b", finetune_epochs=1, finetune_from="block9", **FROZEN)


def test_a_demanded_sensitivity_moves_the_threshold(phantom, tmp_path):
    run = medsynth.train_classifier(phantom, out=tmp_path / "run", sensitivity=1.0, **FROZEN)
    assert run.outcome["validation"]["recall"] == 1.0


def test_a_pretrained_head_is_exported_with_its_calibration(phantom, vgg16_weights, tmp_path):
    settings = {"weights": str(vgg16_weights), "image_size": 32, "trainable_blocks": 0, "epochs": 2, "batch_size": 16}
    run = medsynth.train_classifier(phantom, out=tmp_path / "run", **settings)
    assert run.outcome["frozen"][0]["point"] == "levels"
    model = medsynth.load_model(medsynth.export(run, tmp_path / "c.onnx"), device="cpu")
    assert model.metadata.temperature == run.outcome["temperature"]
    assert model.metadata.bias == tuple(run.outcome["bias"])
    validation = phantom.part("validation").decode(run.image)
    found = model.run(validation.images)
    moved = found["logits"].astype(float) / model.metadata.temperature + model.metadata.bias
    expected = special.softmax(moved, axis=1)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    called = found["probabilities"][:, run.classes.index(run.positive)] >= model.metadata.threshold
    right = (called == (validation.labels == run.classes.index(run.positive))).mean()
    assert right == pytest.approx(run.outcome["validation"]["accuracy"])


def test_a_head_alone_is_trained_to_the_end_of_its_schedule(phantom, tmp_path):
    settings = FROZEN | {"keep": None, "patience": 1, "epochs": 4}
    run = medsynth.train_classifier(phantom, out=tmp_path / "run", **settings)
    assert run.outcome["best_epoch"] == 3
    assert run.outcome["epochs"] == 4


def test_pretrained_layers_are_trained_gently_and_to_the_end(phantom, vgg16_weights, tmp_path):
    settings = {"weights": str(vgg16_weights), "image_size": 32, "batch_size": 32, "patience": 1, "epochs": 2}
    run = medsynth.train_classifier(phantom, out=tmp_path / "run", trainable_blocks=1, **settings)
    assert run.outcome["best_epoch"] == 1
    assert run.outcome["frozen"][0]["point"] == "block2_pool"
    before = registry().create("backbone", "vgg16", {"weights": str(vgg16_weights)}).build(run.image, 2)
    moved = [
        np.abs(one - other).max()
        for one, other in zip(rebuild_classifier(run).get_weights(), before.get_weights(), strict=True)
    ]
    assert 0 < moved[14] <= 2 * 2 * 2 * 5e-5  # The first kernel of block 4: Adam moves no weight by more than the rate.
    assert moved[12] == 0  # The last of block 3.

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special

import medsynth
from medsynth.dataset import from_arrays
from medsynth.errors import ArtifactError, ConfigError, DataError
from medsynth.train import open_run
from medsynth.train.rebuild import rebuild_classifier

TINY = {
    "image_size": 32, "batch_size": 16, "learning_rate": 1e-3, "weights": "none", "width": 0.0625, "batch_norm": True,
    "dropout": 0.2, "head": "gap",
}  # fmt: skip


def test_a_run_leaves_what_it_says(classifier_run, phantom):
    folder = classifier_run.folder
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "data.csv", "history.jsonl", "weights.npz", "checkpoint.npz", "curves.png",
    }  # fmt: skip
    assert open_run(folder) == classifier_run
    rows = [json.loads(line) for line in classifier_run.history.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "val_precision", "val_recall", "val_auc"} <= set(
        rows[0]
    )
    assert len((folder / "data.csv").read_text().splitlines()) == len(phantom) + 1


def test_the_weights_kept_are_those_of_the_best_epoch(classifier_run, phantom):
    from sklearn.metrics import log_loss, roc_auc_score

    decoded = phantom.part("validation").decode(classifier_run.image)
    logits = np.asarray(rebuild_classifier(classifier_run)(decoded.images, training=False)["logits"], float)
    probabilities = special.softmax(
        logits / classifier_run.outcome["temperature"] + classifier_run.outcome["bias"], axis=1
    )
    best = classifier_run.outcome["validation"]
    assert log_loss(decoded.labels, probabilities) == pytest.approx(best["loss"], rel=1e-4)
    assert roc_auc_score(decoded.labels, probabilities[:, 1]) == pytest.approx(best["auc"])
    called = probabilities[:, 1] >= classifier_run.outcome["threshold"] - 1e-6
    assert (called == decoded.labels).mean() == pytest.approx(best["accuracy"])


def test_a_resumed_run_equals_an_uninterrupted_one(phantom, tmp_path, monkeypatch):
    whole = medsynth.train_classifier(phantom, out=tmp_path / "whole", epochs=3, patience=9, **TINY)
    from medsynth.train import fitting as module

    drawn = module.save_variables

    def killed(path, groups, state=None):
        drawn(path, groups, state)
        if path.name == "checkpoint.npz" and state["epoch"] == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "save_variables", killed)
        medsynth.train_classifier(phantom, out=tmp_path / "cut", epochs=3, patience=9, **TINY)
    with pytest.raises(ArtifactError, match="--resume"):
        medsynth.export(tmp_path / "cut", tmp_path / "c.onnx")
    cut = medsynth.train_classifier(phantom, out=tmp_path / "cut", epochs=3, patience=9, resume=True, **TINY)
    for one, other in zip(rebuild_classifier(whole).get_weights(), rebuild_classifier(cut).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert cut.outcome["validation"]["loss"] == pytest.approx(whole.outcome["validation"]["loss"], rel=1e-2)


def test_a_folder_with_a_run_is_not_overwritten(classifier_run, phantom):
    with pytest.raises(ConfigError, match="holds a training run already"):
        medsynth.train_classifier(phantom, out=classifier_run.folder, epochs=2, **TINY)
    with pytest.raises(ConfigError, match="continued with its own settings"):
        medsynth.train_classifier(phantom, out=classifier_run.folder, epochs=2, **TINY, resume=True)


def test_a_finished_run_is_given_back(classifier_run, phantom):
    from medsynth.config import ClassifierConfig

    config = ClassifierConfig.from_settings(dict(classifier_run.config))
    again = medsynth.train_classifier(phantom, out=classifier_run.folder, config=config, resume=True)
    assert again.outcome == classifier_run.outcome


def test_other_data_are_not_resumed(classifier_run, phantom):
    from medsynth.config import ClassifierConfig

    config = ClassifierConfig.from_settings(dict(classifier_run.config))
    part = phantom.take(np.arange(48))
    with pytest.raises(DataError, match="other images"):
        medsynth.train_classifier(part, out=classifier_run.folder, config=config, resume=True)


def test_a_class_without_validation_images_is_told(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32), dtype=np.uint8)
    split = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    data = from_arrays(images, ["a", "b"] * 4 + ["a", "a"] + ["a", "b"], split=split)
    with pytest.raises(DataError, match="validation part has no readable image of b"):
        medsynth.train_classifier(data, out=tmp_path / "run", epochs=1, **TINY)


def test_an_unknown_option_lists_the_valid_ones(phantom, tmp_path):
    with pytest.raises(ConfigError, match="batch_norm"):
        medsynth.train_classifier(phantom, out=tmp_path / "run", batchnorm=True)
    assert not (tmp_path / "run").exists()


def test_divergence_keeps_the_best_epoch(phantom, tmp_path):
    with pytest.raises(medsynth.MedsynthError, match="diverged in epoch 1"):
        medsynth.train_classifier(phantom, out=tmp_path / "run", epochs=2, **(TINY | {"learning_rate": 1e38}))


def test_a_mistake_before_the_first_checkpoint_leaves_nothing_in_the_way(phantom, tmp_path):
    with pytest.raises(ConfigError, match="at least 32x32"):
        medsynth.train_classifier(phantom, out=tmp_path / "run", epochs=1, **(TINY | {"image_size": 16}))
    assert medsynth.train_classifier(phantom, out=tmp_path / "run", epochs=1, **TINY).finished


def test_a_run_is_not_made_shorter(classifier_run, phantom):
    from medsynth.config import ClassifierConfig

    config = ClassifierConfig.from_settings({**classifier_run.config, "epochs": 1})
    with pytest.raises(ConfigError, match="longer, not shorter"):
        medsynth.train_classifier(phantom, out=classifier_run.folder, config=config, resume=True)


def test_a_run_is_resumed_with_its_own_sample_weights(phantom, tmp_path):
    weights = np.linspace(1, 2, len(phantom))
    settings = TINY | {"epochs": 1}
    run = medsynth.train_classifier(phantom, out=tmp_path, sample_weight=weights, **settings)
    assert medsynth.train_classifier(phantom, out=tmp_path, resume=True, sample_weight=weights, **settings) == run
    for other in (None, weights[::-1]):
        with pytest.raises(DataError, match="sample_weight"):
            medsynth.train_classifier(phantom, out=tmp_path, resume=True, sample_weight=other, **settings)

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import medsynth
from medsynth.errors import ConfigError
from medsynth.train.rebuild import rebuild_sampler

TINY = {"image_size": 16, "batch_size": 8, "sample_every": 2, "watched": 4}


def test_a_run_leaves_its_history_and_its_pictures(generator_run):
    rows = [json.loads(line) for line in generator_run.history.read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    assert {
        "discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy", "class_accuracy",
    } <= set(rows[0])  # fmt: skip
    grids = sorted(path.name for path in (generator_run.folder / "samples").iterdir())
    assert grids == ["step-000000.png", "step-000002.png", "step-000004.png"]
    with Image.open(generator_run.folder / "samples" / grids[-1]) as grid:
        assert grid.size == (8 * 16, 2 * 16)  # one row for each class
    with Image.open(generator_run.folder / "filmstrip-clear.png") as strip:
        assert strip.size == (3 * 16, 4 * 16)
    with Image.open(generator_run.folder / "filmstrip.gif") as film:
        assert film.n_frames == 3
    assert (generator_run.folder / "curves.png").exists()


def test_the_kept_grid_is_what_the_sampler_draws(generator_run):
    from medsynth.artifact import noise

    # Four steps of a GAN: whichever grid is nearest to real images is kept, and its step is told.
    kept = generator_run.outcome["kept"]["step"]
    drawn = np.asarray(rebuild_sampler(generator_run)([noise(0, 0, 16, 100), np.repeat([0, 1], 8)]))
    with Image.open(generator_run.folder / "samples" / f"step-{kept:06d}.png") as opened:
        grid = np.asarray(opened)
    tiles = grid.reshape(2, 16, 8, 16).transpose(0, 2, 1, 3).reshape(16, 16, 16)
    assert np.abs(tiles.astype(int) - drawn[..., 0].astype(int)).max() <= 1


def test_a_resumed_run_equals_an_uninterrupted_one(phantom, tmp_path, monkeypatch):
    whole = medsynth.train_generator(phantom, out=tmp_path / "whole", steps=5, **TINY)
    from medsynth.train.generator import _Recorder

    kept = _Recorder.on_train_batch_end

    def killed(self, batch, logs=None):
        kept(self, batch, logs)
        if self.step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_Recorder, "on_train_batch_end", killed)
        medsynth.train_generator(phantom, out=tmp_path / "cut", steps=5, **TINY)
    cut = medsynth.train_generator(phantom, out=tmp_path / "cut", steps=5, resume=True, **TINY)
    for one, other in zip(rebuild_sampler(whole).get_weights(), rebuild_sampler(cut).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    steps = [json.loads(line)["step"] for line in cut.history.read_text().splitlines()]
    assert steps == [0, 1, 2, 3, 4]


def test_the_test_part_is_not_decoded(phantom, tmp_path, monkeypatch):
    from medsynth.dataset import Dataset

    parts = []
    decode = Dataset.decode

    def noted(self, *args, **kwargs):
        parts.append(set(self.split))
        return decode(self, *args, **kwargs)

    monkeypatch.setattr(Dataset, "decode", noted)
    medsynth.train_generator(phantom, out=tmp_path / "run", steps=1, **TINY)
    assert parts == [{"train"}, {"validation"}]


def test_the_wrong_name_is_explained(phantom, tmp_path):
    with pytest.raises(medsynth.MedsynthError, match="acgan"):
        medsynth.train_generator(phantom, out=tmp_path / "run", generator="acgam")
    with pytest.raises(ConfigError, match="recipe"):
        medsynth.train_generator(phantom, out=tmp_path / "run", recipe="modem")


def test_divergence_is_told(phantom, tmp_path):
    with pytest.raises(medsynth.MedsynthError, match="diverged at step"):
        medsynth.train_generator(phantom, out=tmp_path / "run", steps=5, learning_rate=1e38, **TINY)


def test_a_kill_behind_the_last_step_only_finishes_the_run(phantom, tmp_path, monkeypatch):
    # With no step left, Keras would walk the endless stream of batches.
    from medsynth.train import generator as module

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "draw_generator_curves", killed)
        medsynth.train_generator(phantom, out=tmp_path / "run", steps=2, **TINY)
    run = medsynth.train_generator(phantom, out=tmp_path / "run", steps=2, resume=True, **TINY)
    assert run.finished
    assert run.outcome["steps"] == 2
    with pytest.raises(ConfigError, match="longer, not shorter"):
        medsynth.train_generator(phantom, out=tmp_path / "run", steps=1, resume=True, **TINY)


def test_collapse_is_told_when_it_begins(phantom, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("medsynth.train.watch.COLLAPSED", 99.0)
    run = medsynth.train_generator(phantom, out=tmp_path / "run", steps=6, **TINY)
    assert [text.partition(":")[0] for text in run.outcome["warnings"]] == ["step 2", "step 2"]
    told = capsys.readouterr().err
    assert all(told.count(f"the images of '{name}' are nearly all alike") == 1 for name in phantom.classes)

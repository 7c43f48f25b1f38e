from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import medsynth
from medsynth.config import GeneratorConfig
from medsynth.errors import ConfigError
from medsynth.train.rebuild import rebuild_sampler
from medsynth.train.run import open_run

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = {"recipe": "classic", "image_size": 16, "batch_size": 8, "sample_every": 2, "watched": 4}


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


@pytest.mark.filterwarnings("ignore:Even though the `tf.config")  # Of the records that are read, whatever runs eagerly.
def test_a_resumed_run_equals_an_uninterrupted_one(phantom, tmp_path, monkeypatch):
    whole = medsynth.train_generator(phantom, out=tmp_path / "whole", steps=5, **TINY)
    logged = {**TINY, "steps": 5, "tensorboard": True}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _kill_at(patch, 3)
        medsynth.train_generator(phantom, out=tmp_path / "cut", **logged)
    cut = medsynth.train_generator(phantom, out=tmp_path / "cut", resume=True, **logged)
    for one, other in zip(rebuild_sampler(whole).get_weights(), rebuild_sampler(cut).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    rows = [json.loads(line) for line in cut.history.read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    board = _read_board(cut.folder / "tensorboard")
    assert sorted(board) == [1, 2, 3, 4, 5]
    for row in rows:
        figures = {name: value for name, value in row.items() if name not in {"step", "seconds"}}
        assert board[row["step"] + 1] == pytest.approx(figures, rel=1e-6)
    assert "watch_distance" in board[4]


def _kill_at(patch, step):
    from medsynth.train.generator import _Recorder

    kept = _Recorder._record

    def killed(self, *args):
        ended = kept(self, *args)
        if self.step == step:
            raise KeyboardInterrupt
        return ended

    patch.setattr(_Recorder, "_record", killed)


def _read_board(folder):
    """Step to named values; where a step was trained twice, those of the file that was begun last."""
    import tensorflow as tf

    found = {}
    for path in sorted(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(event.step, {})[value.tag] = float(tf.make_ndarray(value.tensor))
    return found


def _each_step_takes(seconds, monkeypatch):
    from medsynth.train import generator as module

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock, step_batches = Clock(), module.step_batches

    def slow(*args):
        for rows in step_batches(*args):
            clock.now += seconds
            yield rows

    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "step_batches", slow)


def test_minutes_end_a_run_and_are_shared_by_its_parts(phantom, tmp_path, monkeypatch):
    _each_step_takes(20.0, monkeypatch)
    settings = {**TINY, "steps": 5, "minutes": 1.0}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _kill_at(patch, 2)
        medsynth.train_generator(phantom, out=tmp_path / "run", **settings)
    run = medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, **settings)
    assert [run.outcome[name] for name in ("steps", "seconds", "ended")] == [3, 60.0, "minutes"]
    assert (run.folder / "samples" / "step-000003.png").exists()
    with pytest.raises(ConfigError, match=r"longer, not shorter: it has minutes=1.0. Got 0.5"):
        medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, **settings | {"minutes": 0.5})
    run = medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, **settings | {"minutes": 3.0})
    assert [run.outcome[name] for name in ("steps", "seconds", "ended")] == [5, 100.0, "steps"]


def test_a_twentieth_of_the_minutes_is_looked_at_too(phantom, tmp_path, monkeypatch):
    import tensorflow as tf

    tf.config.run_functions_eagerly(False)  # 42 steps
    _each_step_takes(20.0, monkeypatch)
    settings = {**TINY, "sample_every": 0, "steps": 10**6, "minutes": 14.0}
    run = medsynth.train_generator(phantom, out=tmp_path / "run", **settings)
    assert run.outcome["steps"] == 42
    # 42 s are a twentieth, which three steps of 20 s exceed.
    grids = sorted(path.name for path in (run.folder / "samples").iterdir())
    assert grids == [f"step-{step:06d}.png" for step in range(0, 43, 3)]


def test_a_run_made_longer_is_not_finished_until_its_new_end(phantom, tmp_path, monkeypatch):
    settings = {**TINY, "sample_every": 1}
    medsynth.train_generator(phantom, out=tmp_path / "run", steps=2, **settings)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _kill_at(patch, 4)
        medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, steps=6, **settings)
    cut = open_run(tmp_path / "run")
    assert (cut.finished, cut.config["steps"], cut.outcome) == (False, 6, {})
    with pytest.raises(medsynth.MedsynthError, match="has not finished"):
        medsynth.export(cut, tmp_path / "generator.onnx")
    for shorter in (2, 5):
        with pytest.raises(ConfigError, match=f"it has steps=6. Got {shorter}"):
            medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, steps=shorter, **settings)
    run = medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, steps=6, **settings)
    assert [run.outcome[name] for name in ("steps", "ended")] == [6, "steps"]


def test_a_run_from_before_a_setting_existed_goes_on(phantom, tmp_path):
    first = medsynth.train_generator(phantom, out=tmp_path / "run", steps=1, **TINY)
    told = json.loads((first.folder / "run.json").read_text())
    del told["config"]["devices"]
    (first.folder / "run.json").write_text(json.dumps(told))
    assert medsynth.train_generator(phantom, out=first.folder, resume=True, steps=1, **TINY).finished


def test_three_classes_in_colour_without_a_validation_part(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (18, 16, 16, 3), dtype=np.uint8)
    labels = [("a", "b", "c")[at % 3] for at in range(18)]
    data = medsynth.dataset.from_arrays(images, labels, split=["train"] * 15 + ["test"] * 3)
    settings = {**TINY, "batch_size": 2, "watched": 3, "balanced": True}
    run = medsynth.train_generator(data, out=tmp_path / "run", steps=2, **settings)
    assert run.outcome["watched_on"] == "train"
    assert "the training part decides which weights are kept" in capsys.readouterr().err
    assert {f"watch_diversity_{name}" for name in "abc"} <= set(run.outcome["last"])
    with Image.open(run.folder / "samples" / "step-000002.png") as grid:
        assert (grid.size, grid.mode) == ((8 * 16, 3 * 16), "RGB")
    with Image.open(run.folder / "filmstrip-c.png") as strip:
        assert (strip.size, strip.mode) == ((2 * 16, 4 * 16), "RGB")
    made = medsynth.load_model(medsynth.export(run, tmp_path / "g.onnx"), device="cpu").sample(5, seed=0)
    assert made.shape == (5, 16, 16, 3)


def test_two_training_images_of_a_class_are_too_few(tmp_path):
    images = np.zeros((7, 16, 16, 1), np.uint8)
    data = medsynth.dataset.from_arrays(images, list("aaaaabb"), split=["train"] * 7)
    with pytest.raises(medsynth.MedsynthError, match=r"3 training images of every class\. There are fewer of b"):
        medsynth.train_generator(data, out=tmp_path / "run", steps=1, **TINY)


def test_there_is_a_step_however_little_time(phantom, tmp_path):
    run = medsynth.train_generator(phantom, out=tmp_path / "run", steps=9, minutes=1e-6, **TINY)
    assert (run.outcome["steps"], run.outcome["ended"]) == (1, "minutes")


def test_what_is_kept_is_what_lies_in_the_weights(phantom, tmp_path, monkeypatch):
    """A kill between the weights of step 2, which were better, and their checkpoint."""
    from medsynth.train import generator as module
    from medsynth.train.watch import Look

    better = iter([5.0, 1.0, 3.0, 4.0, 6.0, 7.0])
    monkeypatch.setattr(module.Watch, "look", lambda *_: Look(next(better), 0.0, (1.0, 1.0)))
    settings = {**TINY, "steps": 4, "sample_every": 1}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        save = module._Recorder._save

        def killed(self, seconds):
            if self.step == 2:
                raise KeyboardInterrupt
            save(self, seconds)

        patch.setattr(module._Recorder, "_save", killed)
        medsynth.train_generator(phantom, out=tmp_path / "run", **settings)
    with np.load(tmp_path / "run" / "weights.npz") as lying:
        before = {name: lying[name] for name in lying.files}
    run = medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, **settings)
    assert (run.outcome["kept"]["step"], run.outcome["kept"]["distance"]) == (2, 1.0)
    with np.load(run.weights) as kept:
        assert all(np.array_equal(kept[name], value) for name, value in before.items())


def test_a_run_that_goes_on_from_its_beginning_has_kept_nothing(phantom, tmp_path, monkeypatch):
    """A kill between the weights of the first look and their checkpoint; then NaN, before there is another look."""
    from medsynth.default_plugins.acgan.classic import ClassicModel
    from medsynth.train import generator as module

    settings = {**TINY, "steps": 4}
    save = module._Recorder._save

    def killed(self, seconds):
        if self.step:
            raise KeyboardInterrupt
        save(self, seconds)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module._Recorder, "_save", killed)
        medsynth.train_generator(phantom, out=tmp_path / "run", **settings)
    step = ClassicModel.train_step
    monkeypatch.setattr(
        ClassicModel, "train_step", lambda self, data: {**step(self, data), "generator_loss": float("nan")}
    )
    with pytest.raises(medsynth.MedsynthError, match=r"diverged at step 1: .* There is nothing to keep"):
        medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, **settings)


def test_defaults_may_be_given_when_a_run_goes_on_and_another_version_may_not(phantom, tmp_path):
    settings = {**TINY, "steps": 2}
    run = medsynth.train_generator(phantom, out=tmp_path / "run", **settings)
    given = settings | {"latent": 100, "average": None}
    assert medsynth.train_generator(phantom, out=run.folder, resume=True, **given).outcome == run.outcome
    with pytest.raises(ConfigError, match=r"own settings: latent=100 \(got 99\)"):
        medsynth.train_generator(phantom, out=run.folder, resume=True, **given | {"latent": 99})
    told = json.loads((run.folder / "run.json").read_text())
    told["plugin"]["version"] = "0.0.1"
    (run.folder / "run.json").write_text(json.dumps(told))
    assert medsynth.train_generator(phantom, out=run.folder, resume=True, **settings).finished
    with pytest.raises(ConfigError, match=r"'acgan' must be that of medsynth-core 0\.0\.1, which began the run"):
        medsynth.train_generator(phantom, out=run.folder, resume=True, **settings | {"steps": 3})
    assert open_run(run.folder).finished


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
    with pytest.raises(ConfigError, match=r"by keyword, not both\. Got config and step"):
        medsynth.train_generator(phantom, out=tmp_path / "run", config=GeneratorConfig(), step=3)
    with pytest.raises(ConfigError, match="devices must be at most"):
        medsynth.train_generator(phantom, out=tmp_path / "run", devices=99, **TINY | {"batch_size": 198})


def test_nan_stops_a_run_and_leaves_the_last_good_state(phantom, tmp_path, monkeypatch):
    from keras import ops

    from medsynth.default_plugins.acgan.classic import ClassicModel

    step = ClassicModel.train_step

    def poisoned(self, data):
        images, labels = data
        bad = self.optimizer.iterations >= 4
        return step(self, (ops.where(bad, float("nan"), ops.cast(images, "float32")), labels))

    monkeypatch.setattr(ClassicModel, "train_step", poisoned)
    for resume in (False, True):
        with pytest.raises(medsynth.MedsynthError, match=r"diverged at step 5: .*nan.* weights of step 4 are kept"):
            medsynth.train_generator(phantom, out=tmp_path / "run", steps=9, keep="last", resume=resume, **TINY)
    run = open_run(tmp_path / "run")
    assert [run.outcome[name] for name in ("ended", "steps")] == ["diverged", 4]
    assert (run.folder / "curves.png").exists()
    for path in (run.weights, run.checkpoint):
        with np.load(path) as stored:
            assert all(np.isfinite(stored[name]).all() for name in stored.files)
    medsynth.export(run, tmp_path / "generator.onnx")
    drawn = medsynth.load_model(tmp_path / "generator.onnx").sample(16, seed=0)
    assert drawn.std() > 0


@pytest.mark.parametrize("part", ["discriminator_optimizer", "averaged"])
def test_a_state_that_is_not_finite_is_not_written(phantom, tmp_path, monkeypatch, part):
    # Losses tell of an optimizer's overflow one step later, and never of the average's.
    import tensorflow as tf

    from medsynth.default_plugins.acgan.classic import ClassicModel

    step = ClassicModel.train_step

    def poisoned(self, data):
        logs = step(self, data)
        variable = getattr(self, part).variables[-1]
        # At the second step, whose state would be written.
        variable.assign(tf.where(self.optimizer.iterations >= 2, float("inf"), variable))
        return logs

    monkeypatch.setattr(ClassicModel, "train_step", poisoned)
    with pytest.raises(medsynth.MedsynthError, match=r"diverged at step 2: .* is not finite. There is nothing"):
        medsynth.train_generator(phantom, out=tmp_path / "run", steps=5, average=0.5, **TINY)
    for name in ("weights.npz", "checkpoint.npz"):
        with np.load(tmp_path / "run" / name) as stored:
            assert all(np.isfinite(stored[key]).all() for key in stored.files)


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
    assert "step 4: " in told  # where the grid is, and how it looks
    assert f"{tmp_path / 'run' / 'samples' / 'step-000004.png'}, distance " in told
    assert all(told.count(f"the images of '{name}' are nearly all alike") == 1 for name in phantom.classes)


def test_what_was_told_is_not_told_again_after_a_kill(phantom, tmp_path, monkeypatch, capsys):
    from medsynth.train import generator as module
    from medsynth.train.watch import Look

    seen = iter([1.4, 14.1, 7000.0, 13.9, 15.0])
    monkeypatch.setattr(module.Watch, "look", lambda *_: Look(next(seen), 0.2, (1.0, 1.0)))
    settings = {**TINY, "steps": 5, "sample_every": 1}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _kill_at(patch, 2)
        medsynth.train_generator(phantom, out=tmp_path / "run", **settings)
    run = medsynth.train_generator(phantom, out=tmp_path / "run", resume=True, **settings)
    assert [text.partition(":")[0] for text in run.outcome["warnings"]] == ["step 2", "step 5"]
    assert run.outcome["kept"]["step"] == 1
    assert "step 2: training has diverged: distance 14.1 from real images" in capsys.readouterr().err

from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.default_plugins.vgg16 import VGG16
from medsynth.errors import MedsynthError, OutputError
from medsynth.images import ImageSpec
from medsynth.train import views as module
from medsynth.train.augment import augment
from medsynth.train.freeze import cut_at_frozen
from medsynth.train.precision import precision, wants_bfloat16
from medsynth.train.views import extract, open_views, plan_views

GREY = ImageSpec(height=32, width=32, channels=1)
IMAGES = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def trunk():
    return _trunk()


def _trunk(seed=0, **options):
    keras.utils.set_random_seed(seed)
    plugin = VGG16(**({"weights": "none", "width": 0.0625, "trainable_blocks": 0} | options))
    model = plugin.build(GREY, 2)
    return cut_at_frozen(model, plugin.freeze_points(model)).trunk


def _plan(trunk, folder, images=IMAGES, **settings):
    return plan_views(trunk, images, folder, **({"views": 3, "seed": 5, "noise": 4.0, "bfloat16": False} | settings))


def _nothing(*_):
    pass


def test_a_view_is_what_the_network_makes_of_the_augmented_images(trunk, tmp_path):
    plan = _plan(trunk, tmp_path)
    views = extract(plan, _nothing)
    assert len(views) == 3
    assert sum(view.nbytes for view in views) == plan.bytes
    assert all(isinstance(view, np.memmap) for view in views)
    # 70 images are two batches of 64 and 6, so the second view begins with the third.
    expected = trunk(augment(IMAGES[:64], [5, 2], 4.0), training=False)
    np.testing.assert_allclose(views[1][:64], expected, rtol=1e-4, atol=1e-4)
    assert np.abs(views[0] - views[1]).max() > 1e-3


def test_without_augmentation_there_is_one_view(trunk, tmp_path):
    views = extract(_plan(trunk, tmp_path, noise=None), _nothing)
    assert len(views) == 1
    np.testing.assert_allclose(views[0], trunk(IMAGES, training=False), rtol=1e-4, atol=1e-4)


def test_the_key_follows_whatever_changes_the_numbers(trunk, tmp_path):
    other = IMAGES.copy()
    other[3, 4, 5] ^= 1
    keys = [
        _plan(trunk, tmp_path).folder,
        _plan(trunk, tmp_path, images=other).folder,
        _plan(trunk, tmp_path, seed=6).folder,
        _plan(trunk, tmp_path, noise=5.0).folder,
        _plan(trunk, tmp_path, noise=None).folder,
        _plan(trunk, tmp_path, bfloat16=True).folder,
        _plan(_trunk(seed=1), tmp_path).folder,
        _plan(_trunk(head="gap"), tmp_path).folder,
    ]
    assert len(set(keys)) == len(keys)
    assert _plan(_trunk(), tmp_path).folder == keys[0]
    # More views of the same kind go on from those that are there.
    assert _plan(trunk, tmp_path, views=9).folder == keys[0]


def test_a_killed_extraction_goes_on_where_its_rows_are_safe(trunk, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 16)
    monkeypatch.setattr(module, "_NOTED", 2)
    whole = [np.array(view) for view in extract(_plan(trunk, tmp_path / "whole"), _nothing)]
    plan = _plan(trunk, tmp_path)
    told = []

    def killed(done, total):
        told.append(done)
        if done == 70 + 48:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(plan, killed)
    names = sorted(path.name for path in plan.folder.iterdir())
    assert names == ["view-000.npy", "view-001.json", "view-001.partial"]
    # What was written after the note is not trusted.
    with plan.file(1).with_suffix(".partial").open("r+b") as file:
        file.seek(-40, 2)
        file.write(b"\xff" * 100)
    told.clear()
    again = extract(plan, lambda done, total: told.append(done))
    assert told[0] == 70 + 48
    assert sorted(path.name for path in plan.folder.iterdir()) == [f"view-00{view}.npy" for view in range(3)]
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_full_disk_says_what_to_do(trunk, full_disk):
    with pytest.raises(OutputError, match="cache_gb=0"):
        extract(_plan(trunk, full_disk), _nothing)


def test_a_damaged_view_is_computed_again(trunk, tmp_path):
    plan = _plan(trunk, tmp_path, views=1)
    good = np.array(extract(plan, _nothing)[0])
    plan.file(0).write_bytes(plan.file(0).read_bytes()[:-100])
    with pytest.raises(MedsynthError, match="removed or changed"):
        open_views(plan)
    np.testing.assert_array_equal(extract(plan, _nothing)[0], good)


def test_views_that_do_not_fit_say_why(trunk, tmp_path, monkeypatch):
    plan = _plan(trunk, tmp_path)
    assert plan.misfit(plan.bytes) is None
    assert "above cache_gb" in plan.misfit(plan.bytes - 1)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    assert "more than is free" in plan.misfit(1e9)


def test_bfloat16_rounds_and_leaves_no_trace(trunk, tmp_path):
    exact = extract(_plan(trunk, tmp_path, noise=None), _nothing)[0]
    rounded = extract(_plan(trunk, tmp_path, noise=None, bfloat16=True), _nothing)[0]
    np.testing.assert_allclose(rounded, exact, rtol=0.1, atol=0.05 * np.abs(exact).max())
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options()
    with precision(True):
        pass
    after = tf.config.optimizer.get_experimental_options()
    assert {key: value for key, value in after.items() if value} == {
        key: value for key, value in before.items() if value
    }


def test_bfloat16_is_for_processors_that_have_it(tmp_path):
    without, has = tmp_path / "old", tmp_path / "new"
    without.write_text("flags : fpu avx512f avx512_vnni")
    has.write_text("flags : fpu avx512f avx512_bf16")
    assert not wants_bfloat16("auto", cpuinfo=without)
    assert not wants_bfloat16("auto", cpuinfo=tmp_path / "absent")
    assert wants_bfloat16("bfloat16", cpuinfo=without)
    assert not wants_bfloat16("float32", cpuinfo=has)

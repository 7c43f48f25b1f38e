from __future__ import annotations

import numpy as np

from medsynth.train.batches import balanced_batches
from medsynth.train.watch import Watch, describe_images


def _pictures(count, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 1)).astype(np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2), np.arange(count) % 2


def test_real_images_are_nearer_than_a_checkerboard_and_than_copies():
    watch = Watch(*_pictures(200, 0), 2)
    images, labels = _pictures(200, 1)
    board = np.clip(images + 40.0 * (np.indices((32, 32)).sum(0) % 2)[None, :, :, None], 0, 255).astype(np.uint8)
    sound, spoiled = watch.look(images, labels), watch.look(board, labels)
    copies = watch.look(images[:2].repeat(100, axis=0), np.repeat([0, 1], 100))
    assert sound.distance < min(spoiled.distance, copies.distance)
    assert sound.collapsed == ()
    assert copies.collapsed == (0, 1)
    assert min(sound.diversity) > 0.9


def test_the_error_is_how_much_the_distance_scatters():
    looks = [Watch(*_pictures(60, seed), 2).look(*_pictures(60, 1000 + seed)) for seed in range(60)]
    scatter = np.std([look.distance for look in looks], ddof=1)
    # The jackknife's is too large for equal distributions, rather than too small.
    assert 0.8 * scatter < np.mean([look.error for look in looks]) < 3 * scatter


def test_a_description_is_of_one_image_alone():
    images, _ = _pictures(6, 2)
    np.testing.assert_allclose(describe_images(images)[2:3], describe_images(images[2:3]))


def test_a_description_in_parts_is_the_same(monkeypatch):
    images, _ = _pictures(7, 3)
    whole = describe_images(images)
    monkeypatch.setattr("medsynth.train.watch._CHUNK", 3)
    np.testing.assert_array_equal(describe_images(images), whole)


def test_classes_take_turns_whatever_their_sizes():
    labels = np.array([0] * 17 + [1] * 3 + [2] * 5)
    batches = balanced_batches(labels, 3, 6, seed=0, step=0)
    drawn = [next(batches) for _ in range(17)]
    assert all((np.bincount(labels[rows]) == 2).all() for rows in drawn)
    first = np.concatenate(drawn)
    assert sorted(first[labels[first] == 0][:17]) == list(range(17))
    np.testing.assert_array_equal(next(balanced_batches(labels, 3, 6, seed=0, step=9)), drawn[9])

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.dataset import fold_datasets, from_arrays, load_dataset, make_phantom
from medsynth.dataset.folds import block_names, deal_folds, name_order
from medsynth.errors import ConfigError


@pytest.fixture(scope="module")
def phantom():
    drawn = make_phantom(patients=30, slices_per_patient=3, size=16)
    labels = [drawn.classes[label] for label in drawn.labels]
    return from_arrays(drawn.images, labels, groups=drawn.groups, names=drawn.names)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_groups_stay_whole_and_classes_are_spread(data):
    count = data.draw(st.integers(20, 60))
    groups = [f"g{data.draw(st.integers(0, 30))}" for _ in range(count)]
    labels = np.array([int(group[1:]) % 2 for group in groups])
    folds = deal_folds(labels, groups, 4, seed=data.draw(st.integers(0, 9)))
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1 for group in groups)
    largest = max(Counter(groups).values())
    for label in (0, 1):
        held = np.bincount(folds[labels == label], minlength=4)
        assert held.max() - held.min() <= 2 * largest


def test_single_images_are_dealt_evenly_and_differently_for_each_seed():
    labels = np.arange(100) % 2
    names = [str(index) for index in range(100)]
    first, second = (deal_folds(labels, names, 5, seed=seed) for seed in (0, 1))
    for folds in (first, second):
        assert np.bincount(folds).tolist() == [20] * 5
        assert all(np.bincount(folds[labels == label]).tolist() == [10] * 5 for label in (0, 1))
    assert (first != second).any()


def test_every_image_is_tested_once_in_each_repetition(phantom):
    folds = list(fold_datasets(phantom, folds=5, repeats=2))
    assert [(fold.repeat, fold.index) for fold in folds] == [(r, f) for r in range(2) for f in range(5)]
    for repeat in range(2):
        tested = [name for fold in folds if fold.repeat == repeat for name in fold.data.part("test").names]
        assert sorted(tested) == sorted(phantom.names)
    for fold in folds:
        assert set(fold.data.split) == {"train", "validation", "test"}
        for part in ("train", "validation", "test"):
            assert min(fold.data.part(part).counts().values()) > 0
    assert folds[0].data.split != folds[5].data.split


def test_folds_of_data_without_groups_keep_blocks_together(phantom):
    from dataclasses import replace

    bare = replace(phantom, groups=None)
    blocks = block_names(bare)
    for fold in fold_datasets(bare, folds=3):
        parts = {}
        for block, part in zip(blocks, fold.data.split, strict=True):
            assert parts.setdefault(block, part) == part


def test_blocks_are_consecutive_and_hold_whole_groups(phantom):
    blocks = np.array(block_names(phantom))
    for label in (0, 1):
        mine = blocks[phantom.labels == label]
        assert (mine[1:] != mine[:-1]).sum() == len(set(mine)) - 1
        assert len(set(mine)) == 3  # 15 patients, 5 in a block at least.
    for group in set(phantom.groups):
        assert len({block for block, own in zip(blocks, phantom.groups, strict=True) if own == group}) == 1


def test_order_of_names_does_not_regard_part_folders():
    names = ["test/a/10.png", "train/a/9.png", "train/a/11.png", "Validation/a/2.png"]
    assert [names[row] for row in name_order(names)] == [names[3], names[1], names[0], names[2]]


def test_a_fold_survives_its_csv(tmp_path, classes):
    data = load_dataset(classes(a=20, b=20))
    for fold in fold_datasets(data, folds=4):
        fold.data.to_csv(tmp_path / "fold.csv")
        again = load_dataset(tmp_path / "fold.csv")
        assert (again.split, again.fingerprint) == (fold.data.split, fold.data.fingerprint)


@pytest.mark.parametrize("given", [{"folds": 1}, {"folds": 31}, {"repeats": 0}])
def test_impossible_numbers(phantom, given):
    with pytest.raises(ConfigError, match="must be"):
        list(fold_datasets(phantom, **given))

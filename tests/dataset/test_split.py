from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.dataset.split import FRACTIONS, split_rows

PARTS = ("train", "validation", "test")
TWO = {"train": 0.85, "validation": 0.15}


def shares(split, labels):
    return {
        label: {part: np.mean([split[i] == part for i in np.flatnonzero(labels == label)]) for part in PARTS}
        for label in np.unique(labels)
    }


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_blocks_of_each_class_in_order():
    labels = np.repeat([0, 1], [100, 40])
    split = split_rows(labels, None, FRACTIONS)
    assert split[:100] == ["train"] * 70 + ["validation"] * 15 + ["test"] * 15
    assert split[100:] == ["train"] * 28 + ["validation"] * 6 + ["test"] * 6


def test_validation_is_the_end_of_each_class():
    assert split_rows(np.repeat([0, 1], [20, 7]), None, TWO) == [
        *["train"] * 17, *["validation"] * 3, *["train"] * 6, "validation",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (6, 2, 2)), (20, (14, 3, 3))],
)
def test_few_rows_go_to_train_then_test_then_validation(count, sizes):
    found = Counter(split_rows(np.zeros(count, np.int64), None, FRACTIONS))
    assert tuple(found[part] for part in PARTS) == sizes


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200))
def test_blocks_are_contiguous_within_a_class_and_every_class_trains(drawn):
    labels = np.array(drawn)
    split = split_rows(labels, None, FRACTIONS)
    for label in np.unique(labels):
        own = [split[row] for row in np.flatnonzero(labels == label)]
        assert own == sorted(own, key=PARTS.index)
        assert own[0] == "train"
        if len(own) >= 3:
            assert set(own) == set(PARTS)


# --- groups -----------------------------------------------------------------------------------------------------------

tables = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=200)


@settings(deadline=None, max_examples=150)
@given(tables, st.integers(0, 5), st.sampled_from([FRACTIONS, TWO]))
def test_a_group_never_straddles_parts(drawn, seed, fractions):
    labels = np.array([label for label, _ in drawn])
    groups = [f"p{group}" for _, group in drawn]
    split = split_rows(labels, groups, fractions, seed=seed)
    where = defaultdict(set)
    for group, part in zip(groups, split, strict=True):
        where[group].add(part)
    assert all(len(parts) == 1 for parts in where.values())
    assert set(split) <= set(fractions)


@settings(deadline=None, max_examples=100)
@given(tables, st.integers(0, 5), st.randoms())
def test_the_order_of_rows_does_not_matter(drawn, seed, random):
    def by_group(rows):
        split = split_rows(np.array([row[0] for row in rows]), [str(row[1]) for row in rows], FRACTIONS, seed=seed)
        return dict(zip([row[1] for row in rows], split, strict=True))

    shuffled = list(drawn)
    random.shuffle(shuffled)
    assert by_group(drawn) == by_group(shuffled)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=60, max_size=150), st.integers(0, 3))
def test_shares_are_met_per_class_when_groups_are_small(patients, seed):
    patients = [*patients, *[(label, 2) for label in (0, 1, 2) for _ in range(20)]]
    labels = np.repeat([label for label, _ in patients], [size for _, size in patients])
    groups = np.repeat([f"p{i}" for i in range(len(patients))], [size for _, size in patients]).tolist()
    for found in shares(split_rows(labels, groups, FRACTIONS, seed=seed), labels).values():
        assert found["train"] == pytest.approx(0.70, abs=0.06)
        assert found["validation"] == pytest.approx(0.15, abs=0.06)
        assert found["test"] == pytest.approx(0.15, abs=0.06)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=8), min_size=2, max_size=3), st.integers(0, 3))
def test_every_class_trains_and_is_tested_where_it_has_the_groups(sizes, seed):
    labels, groups = [], []
    for label, own in enumerate(sizes):
        for number, size in enumerate(own):
            labels += [label] * size
            groups += [f"{label}-{number}"] * size
    split = split_rows(np.array(labels), groups, FRACTIONS, seed=seed)
    for label, own in enumerate(sizes):
        found = {part for part, of in zip(split, labels, strict=True) if of == label}
        assert found == set(PARTS[:1] if len(own) == 1 else ("train", "test") if len(own) == 2 else PARTS)


def test_patients_with_several_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 3000)
    groups = [f"p{number}" for number in rng.integers(0, 300, 3000)]
    for found in shares(split_rows(labels, groups, FRACTIONS), labels).values():
        assert found["train"] == pytest.approx(0.70, abs=0.02)


def test_the_seed_chooses_among_equal_groups_and_nothing_else_does():
    labels = np.repeat([0, 1], 200)
    groups = [f"p{row // 4}" for row in range(400)]
    first, again, other = (split_rows(labels, groups, FRACTIONS, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert Counter(first) == Counter(other)


def test_thousands_of_groups_are_quick():
    import time

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, 20_000)
    groups = [f"p{number}" for number in rng.integers(0, 5_000, 20_000)]
    began = time.perf_counter()
    split_rows(labels, groups, FRACTIONS)
    assert time.perf_counter() - began < 10


def test_nothing_to_split():
    assert split_rows(np.empty(0, np.int64), None, FRACTIONS) == []
    assert split_rows(np.empty(0, np.int64), [], FRACTIONS) == []

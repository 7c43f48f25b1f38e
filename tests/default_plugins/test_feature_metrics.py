from __future__ import annotations

import numpy as np
import pytest

from medsynth.default_plugins import feature_metrics
from medsynth.default_plugins.feature_metrics import (
    FID,
    KID,
    VENDI,
    Coverage,
    Density,
    FIDInfinity,
    IntraClassFID,
    KNNPrecision,
    KNNRecall,
)
from medsynth.errors import ConfigError, DataError
from medsynth.metrics import frechet_distance, frechet_infinity, kernel_distance, manifold_metrics, vendi_score

EVERY = (FID, KID, VENDI, Coverage, Density, FIDInfinity, IntraClassFID, KNNPrecision, KNNRecall)
LABELS = np.arange(120) % 2


@pytest.fixture
def sets():
    random = np.random.default_rng(0)
    return random.normal(size=(120, 6)) + LABELS[:, None], 1.2 * random.normal(size=(120, 6)) + LABELS[:, None]


def compute(metric, real, made, real_labels=LABELS, made_labels=LABELS, chunk=1000):
    real_labels, made_labels = real_labels[: len(real)], made_labels[: len(made)]
    for start in range(0, max(len(real), len(made)), chunk):
        part = slice(start, start + chunk)
        metric.update(real[part], made[part], reference_labels=real_labels[part], candidate_labels=made_labels[part])
    return metric.compute()


def test_values_are_those_of_the_functions(sets):
    manifold = manifold_metrics(*sets)
    expected = {
        FID: frechet_distance(*sets),
        FIDInfinity: frechet_infinity(*sets),
        KID: kernel_distance(*sets).value,
        VENDI: vendi_score(sets[1]),
        KNNPrecision: manifold.precision.value,
        KNNRecall: manifold.recall.value,
        Density: manifold.density.value,
        Coverage: manifold.coverage.value,
        IntraClassFID: np.mean([frechet_distance(*(side[label == LABELS] for side in sets)) for label in (0, 1)]),
    }
    for cls, value in expected.items():
        assert compute(cls(), *sets).value == pytest.approx(value, rel=1e-12), cls.name
    assert set(expected) == set(EVERY)


@pytest.mark.parametrize("cls", EVERY)
def test_chunks_and_order_change_nothing(cls, sets):
    whole = compute(cls(), *sets)
    order = np.random.default_rng(1).permutation(120)
    other = compute(cls(), sets[0][order], sets[1], LABELS[order], chunk=17)
    assert other.value == pytest.approx(whole.value, rel=1e-9)
    assert other.per_class == pytest.approx(whole.per_class)
    if whole.low is not None:
        assert (other.low, other.high) == pytest.approx((whole.low, whole.high), rel=1e-9)
        assert whole.low <= whole.value <= whole.high


@pytest.mark.parametrize("cls", EVERY)
def test_few_images_are_refused(cls, sets):
    with pytest.raises(DataError, match=rf"metric '{cls.name}' needs at least 50 candidate rows.* Got 49"):
        compute(cls(), sets[0], sets[1][:49])
    with pytest.raises(DataError, match=r"needs at least 50 reference rows.* Got 0"):
        cls().compute()


def test_fid_is_refused_where_it_would_count_images():
    few = np.random.default_rng(0).normal(size=(2, 60, 60))
    with pytest.raises(DataError, match=r"more images a side than the features have dimensions, 60.*Got 60.*kid"):
        compute(FID(), *few)
    with pytest.raises(DataError, match=r"intra-class-fid, class 0"):
        compute(IntraClassFID(), *np.random.default_rng(0).normal(size=(2, 120, 60)))
    with pytest.raises(DataError, match="needs 244 rows a side"):
        compute(FIDInfinity(), *few)
    assert np.isfinite(compute(KID(), *few).value)
    with pytest.raises(DataError, match=r"one label for each of 60 reference rows. Got 120"):
        KID().update(*few, reference_labels=LABELS)


def test_small_and_unequal_sets_are_noted(sets):
    notes = compute(FID(groups=0), sets[0], sets[1][:100]).notes
    assert "100 images a side, below 2,048" in notes[0]
    assert "120 real and 100 generated" in notes[1]
    random = np.random.default_rng(0)
    assert compute(FID(groups=0), *random.normal(size=(2, 2048, 2)), *[np.zeros(2048, np.int64)] * 2).notes == ()


def test_a_class_that_collapsed_is_seen_by_class(sets):
    made = sets[1].copy()
    made[LABELS == 1] = made[1]
    for cls in (IntraClassFID, KID):
        sound, spoiled = compute(cls(), *sets).per_class, compute(cls(), sets[0], made).per_class
        assert spoiled[1] > 1.5 * sound[1]
        assert spoiled[0] == pytest.approx(sound[0])
    assert compute(VENDI(), sets[0], made).per_class[1] == pytest.approx(1)


def test_classes_are_needed_for_intra_class_fid(sets):
    metric = IntraClassFID()
    metric.update(*sets)
    with pytest.raises(DataError, match="needs the class of each row"):
        metric.compute()


def test_options():
    with pytest.raises(ConfigError, match="'k' must be at least 1"):
        Density(k=0)
    with pytest.raises(ConfigError, match="'groups' must be 0, or 2 or more"):
        FID(groups=1)
    assert compute(FID(groups=0), *np.random.default_rng(0).normal(size=(2, 120, 3))).low is None


def test_arrays_that_change_after_the_update_do_no_harm(sets):
    real, made = (side.copy() for side in sets)
    metric = KID()
    metric.update(real, made)
    real[:] = 0
    assert metric.compute().value == compute(KID(), *sets).value


def test_the_four_manifold_metrics_share_one_computation(monkeypatch):
    computed = []

    def counted(*arguments):
        computed.append(1)
        return manifold_metrics(*arguments)

    monkeypatch.setattr(feature_metrics, "manifold_metrics", counted)
    monkeypatch.setattr(feature_metrics, "_MANIFOLDS", {})
    random = np.random.default_rng(5)
    sets = random.normal(size=(2, 60, 4))
    for rows in (sets, sets, sets[::-1]):
        for make in (KNNPrecision, KNNRecall, Density, Coverage):
            metric = make()
            metric.update(*rows)
            value = metric.compute().value
            assert value == getattr(manifold_metrics(*rows, 5), metric.field).value
    assert len(computed) == 2
    for _ in range(6):
        metric = Coverage()
        metric.update(*random.normal(size=(2, 60, 4)))
        metric.compute()
    assert len(feature_metrics._MANIFOLDS) == 4

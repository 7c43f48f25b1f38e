from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from medsynth.dataset import make_phantom
from medsynth.evaluate.privacy import PIXELS, classifier_row, examine_privacy
from medsynth.evaluate.sides import Side, halves, read_side

SPACE = "squares"


def side(drawn, rows):
    images = drawn.images[rows][..., None]
    blocks = images.reshape(len(images), 6, 4, 6, 4).astype(np.float32)
    features = np.concatenate([blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4))], axis=1).reshape(len(images), -1)
    groups = np.array(drawn.groups)[rows]
    return Side(
        images=images,
        labels=drawn.labels[rows],
        features=features,
        names=tuple(np.array(drawn.names)[rows]),
        groups=tuple(groups),
    )


@pytest.fixture(scope="module")
def sides():
    """Training, held-out and further images, all of other patients; the last are what a perfect generator makes."""
    drawn = make_phantom(patients=300, slices_per_patient=2, size=24)
    return side(drawn, slice(0, 240)), side(drawn, slice(240, 400)), side(drawn, slice(400, 600))


def examine(*sides):
    return examine_privacy(*sides, space=SPACE, part="validation")


def rows_of(report):
    return {(row.name, row.space): row for row in report.rows}


def test_fresh_patients_are_no_copies(sides):
    report = examine(*sides)
    rows = rows_of(report)
    assert report.copies == 0
    assert all(row.error is None for row in report.rows)
    for space in (PIXELS, SPACE):
        assert abs(rows["copying-test", space].estimate.value) < 3
        assert abs(rows["copying-test", space].control) < 3
        assert rows["copies", space].control == 0
        assert rows["membership", space].estimate.low < 0.5 < rows["membership", space].estimate.high
        near = rows["distance", space]
        assert near.estimate.low < near.estimate.value < near.estimate.high
        assert near.control == pytest.approx(near.estimate.value, rel=0.2)
    assert not any(pair.copy for pair in report.lookalikes)


def test_one_planted_copy_is_found_and_shown(sides):
    train, held_out, made = sides
    images, features = made.images.copy(), made.features.copy()
    images[17], features[17] = train.images[5], train.features[5]
    report = examine(train, held_out, replace(made, images=images, features=features))
    assert report.copies == 1
    first = report.lookalikes[0]
    assert (first.index, first.name, first.copy, first.nearness) == (17, train.names[5], True, 0)
    np.testing.assert_array_equal(first.made, first.real)
    assert len({pair.index for pair in report.lookalikes}) == len(report.lookalikes) == 8
    nearness = [pair.nearness for pair in report.lookalikes]
    assert nearness == sorted(nearness)


def test_a_generator_that_returns_training_images_fires_everything(sides):
    train, held_out, made = sides
    rows = rows_of(examine(train, held_out, train.take(np.arange(len(made)))))
    for space in (PIXELS, SPACE):
        assert rows["copies", space].estimate.value == 1
        assert rows["authenticity", space].estimate.value == 0
        assert rows["copying-test", space].estimate.value < -3
        assert rows["membership", space].estimate.low > 0.6


def test_patients_of_another_hospital_are_no_leak(sides):
    """Held-out images are darker: noise, which knows nobody, tells them apart, and so does what forgets everybody."""
    train, held_out, made = sides
    images = (held_out.images * 0.6).astype(np.uint8)
    darker = replace(held_out, images=images, features=held_out.features * 0.6)
    noise = np.random.default_rng(0).integers(100, 256, made.images.shape).astype(np.uint8)
    rows = rows_of(examine(train, darker, replace(made, images=noise, features=made.features + 60)))
    for space in (PIXELS, SPACE):
        assert rows["membership", space].estimate.low > 0.6
        assert rows["membership", space].control > 0.6
    copies = rows_of(examine(train, held_out, train.take(np.arange(len(made)))))
    assert abs(copies["membership", PIXELS].control - 0.5) < 0.1


def test_the_order_of_rows_changes_nothing(sides):
    random = np.random.default_rng(0)
    shuffled = [each.take(random.permutation(len(each))) for each in sides]
    for one, other in zip(examine(*sides).rows, examine(*shuffled).rows, strict=True):
        assert one.name == other.name
        assert one.estimate.value == pytest.approx(other.estimate.value, rel=1e-12)
        assert one.control == pytest.approx(other.control, rel=1e-12)


def test_halves_part_no_group(sides):
    first, second = halves(sides[1])
    assert not set(first.groups) & set(second.groups)
    assert len(first) + len(second) == len(sides[1])
    assert set(first.labels) == set(second.labels) == {0, 1}
    alone = replace(sides[1], groups=None)
    assert [len(half) for half in halves(alone)] == [80, 80]


def test_without_held_out_images_rows_say_so(sides):
    train, held_out, made = sides
    report = examine(train, held_out.take(np.zeros(len(held_out), bool)), made)
    rows = rows_of(report)
    assert "Got (0, 72)" in rows["distance", SPACE].error
    assert rows["authenticity", SPACE].error is None  # It needs none.
    json.dumps(report.to_dict(), allow_nan=False)


def test_losses_give_members_away():
    random = np.random.default_rng(0)
    row = classifier_row(random.random(200), 0.3 + random.random(200))
    assert row.estimate.low > 0.6
    assert classifier_row(np.empty(0), np.ones(3)).error is not None


def test_a_part_that_is_not_there_is_empty(load, data):
    from medsynth.evaluate import FeatureNetwork

    train = data.part("train")
    side = read_side(train, "test", load("generator.onnx"), FeatureNetwork.of(load("classifier.onnx")))
    assert len(side) == 0
    assert side.features.shape == (0, 144)


def test_held_out_images_that_are_training_images_are_counted_and_measure_nothing(sides):
    train, held_out, made = sides
    assert examine(*sides).duplicates == 0
    doubled = Side(
        images=np.concatenate([train.images[:3], held_out.images]),
        labels=np.concatenate([train.labels[:3], held_out.labels]),
        features=np.concatenate([train.features[:3], held_out.features]),
        groups=(*train.groups[:3], *held_out.groups),
    )
    images, features = made.images.copy(), made.features.copy()
    images[17], features[17] = train.images[5], train.features[5] + 1e-3
    images[17, 0, 0] += 1  # A near copy, in both spaces.
    report = examine(train, doubled, replace(made, images=images, features=features))
    assert report.copies == 1
    assert (report.duplicates, report.held_out) == (3, 163)
    assert report.to_dict()["duplicates"] == 3

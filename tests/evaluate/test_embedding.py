from __future__ import annotations

import numpy as np
import pytest

from medsynth.evaluate import embedding
from medsynth.evaluate.embedding import embed
from medsynth.evaluate.sides import Side


def side(count, at):
    features = np.random.default_rng(at).normal(loc=10.0 * at, size=(count, 6)).astype(np.float32)
    return Side(images=np.zeros((count, 2, 2, 1), np.uint8), labels=np.arange(count) % 2, features=features)


def test_images_that_are_apart_lie_apart(monkeypatch):
    monkeypatch.setattr(embedding, "_MOST", 30)
    found = embed(side(90, 0), side(40, 1))
    assert found.points.shape == (60, 2)
    assert found.generated.tolist() == [False] * 30 + [True] * 30
    assert set(found.labels) == {0, 1}
    real, made = found.points[:30], found.points[30:]
    assert np.linalg.norm(real.mean(axis=0) - made.mean(axis=0)) > real.std() + made.std()
    np.testing.assert_array_equal(found.points, embed(side(90, 0), side(40, 1)).points)


@pytest.mark.parametrize("count", [10, 11])
def test_small_and_constant_sets_have_a_map_too(count):
    flat = Side(
        images=np.zeros((count, 2, 2, 1), np.uint8),
        labels=np.zeros(count, np.int64),
        features=np.ones((count, 3), np.float32),
    )
    assert np.isfinite(embed(flat, flat).points).all()

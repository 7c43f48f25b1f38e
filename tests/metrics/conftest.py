from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest


class Task(NamedTuple):
    labels: np.ndarray
    probabilities: np.ndarray
    groups: tuple[str, ...]


@pytest.fixture
def make_task():
    """A classifier of middling skill on `rows` images of `classes` classes, four images to a patient of one class."""

    def make(rows: int = 120, classes: int = 2, *, seed: int = 0, decimals: int | None = None) -> Task:
        rng = np.random.default_rng(seed)
        labels = np.sort(rng.integers(0, classes, rows))
        probabilities = rng.dirichlet(np.ones(classes), rows)
        probabilities[np.arange(rows), labels] += 0.5
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        if decimals is not None:  # ties
            probabilities = probabilities.round(decimals)
            probabilities /= probabilities.sum(axis=1, keepdims=True)
        groups = tuple(f"patient-{label}-{index // 4}" for index, label in enumerate(labels))
        return Task(labels, probabilities, groups)

    return make

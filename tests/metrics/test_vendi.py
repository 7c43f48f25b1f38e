from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from medsynth.errors import DataError
from medsynth.metrics import vendi_score


def of_the_definition(x):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = linalg.eigvalsh(x @ x.T / len(x))
    values = values[values > 1e-14]
    return np.exp(-(values * np.log(values)).sum())


@pytest.mark.parametrize(("rows", "dimensions"), [(10, 40), (40, 10), (25, 25)])
def test_equals_the_definition(rows, dimensions):
    x = np.random.default_rng(0).normal(size=(rows, dimensions)) + 0.5
    assert vendi_score(x) == pytest.approx(of_the_definition(x), rel=1e-9)
    assert vendi_score(1e200 * x) == pytest.approx(vendi_score(x))


def test_counts_what_is_different():
    assert vendi_score(np.eye(7)) == pytest.approx(7)
    assert vendi_score(np.repeat(np.eye(7)[:3], 5, axis=0)) == pytest.approx(3)
    assert vendi_score([[2.0, 2.0]]) == pytest.approx(1)
    assert vendi_score(np.ones((50, 4))) == pytest.approx(1)


def test_a_row_without_direction_is_refused():
    with pytest.raises(DataError, match="Got 1 rows of 0"):
        vendi_score([[0.0, 0.0], [1.0, 0.0]])

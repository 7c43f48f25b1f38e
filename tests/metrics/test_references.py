"""The same arrays through other people's packages; each is skipped by name where it is not installed.

``prdc`` is compared in ``test_manifold.py``. These need torch; ``benchmarks/metrics.py`` compares at full size.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest

from medsynth.metrics import frechet_distance, kernel_distance


@pytest.fixture
def sets():
    random = np.random.default_rng(0)
    mixing = random.normal(size=(96, 96)) / 10
    real = np.maximum(random.normal(size=(700, 96)) @ mixing, 0)
    return real, np.maximum(1.1 * random.normal(size=(700, 96)) @ mixing + 0.05, 0)


@pytest.fixture(autouse=True)
def no_torchvision(monkeypatch):
    """Their networks need it, their arithmetic does not."""
    for name in ("", ".datasets", ".models", ".transforms", ".transforms.functional", ".utils"):
        module = ModuleType(f"torchvision{name}")
        module.__getattr__ = lambda attribute: MagicMock(name=attribute)
        module.__spec__ = ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)


def moments(sets):
    return [part for side in sets for part in (side.mean(axis=0), np.cov(side, rowvar=False))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "module", ["pytorch_fid.fid_score.calculate_frechet_distance", "cleanfid.fid.frechet_distance"]
)
def test_fid_of_pytorch_fid_and_clean_fid(sets, module):
    name, _, function = module.rpartition(".")
    expected = getattr(pytest.importorskip(name), function)(*moments(sets))
    assert frechet_distance(*sets) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_fid_and_kid_of_torch_fidelity(sets):
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    import torch

    sides = [fid.fid_features_to_statistics(torch.from_numpy(side)) for side in sets]
    found = fid.fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(*sets) == pytest.approx(found, rel=1e-6)
    options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    found = kid.kernel_mmd(*sets, kid_kernel="poly", **options)
    assert kernel_distance(*sets).value == pytest.approx(float(found), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_fid_and_kid_of_torchmetrics(sets):
    fid = pytest.importorskip("torchmetrics.image.fid")
    kid = pytest.importorskip("torchmetrics.image.kid")
    import torch

    found = fid._compute_fid(*map(torch.from_numpy, moments(sets)))
    assert frechet_distance(*sets) == pytest.approx(float(found), rel=1e-6)
    found = kid.poly_mmd(*map(torch.from_numpy, sets))
    assert kernel_distance(*sets).value == pytest.approx(float(found), rel=1e-6)

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from medsynth.errors import ConfigError
from medsynth.infer import Sampler, load_sampler, noise

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def sampler(tiny: ModuleType, tmp_path: Path) -> Sampler:
    return load_sampler(tiny.generator_file(tmp_path / "g.onnx", ("a", "b", "c")), device="cpu")


def test_it_is_the_graph_on_the_noise(sampler: Sampler) -> None:
    images = sampler.sample(5, seed=3, start=7)
    assert images.dtype == np.uint8
    assert images.shape == (5, 12, 16, 3)
    feeds = {"noise": noise(3, 7, 5, sampler.latent), "label": np.array([1, 2, 0, 1, 2])}
    (expected,) = ReferenceEvaluator(onnx.load(sampler.path)).run(None, feeds)
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1


def test_label_and_seed_matter(sampler: Sampler) -> None:
    first = sampler.sample(4, label="a")
    assert not np.array_equal(first, sampler.sample(4, label="b"))
    assert not np.array_equal(first, sampler.sample(4, label="a", seed=1))
    assert np.array_equal(first, sampler.sample(4, label=0))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
@pytest.mark.parametrize("cut", [0, 1, 4, 7])
def test_shards_and_batches_do_not_matter(sampler: Sampler, batch_size: int, cut: int) -> None:
    whole = sampler.sample(7, seed=9, start=10)
    parts = [
        sampler.sample(cut, seed=9, start=10, batch_size=batch_size),
        sampler.sample(7 - cut, seed=9, start=10 + cut, batch_size=batch_size),
    ]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("start", [0, 1, 5, 2**63 - 10])
def test_labels_go_round_by_index(sampler: Sampler, start: int) -> None:
    labels = sampler.labels_for(7, start=start)
    assert labels.dtype == np.int64
    assert labels.tolist() == [(start + i) % 3 for i in range(7)]
    assert sampler.labels_for(2, "b").tolist() == [1, 1]
    assert sampler.labels_for(2, 2).tolist() == [2, 2]


@pytest.mark.parametrize("label", ["A", "d", 3, -1])
def test_unknown_label_lists_the_classes(sampler: Sampler, label: str | int) -> None:
    with pytest.raises(ConfigError, match=r"g.onnx: label must be one of a, b, c. Got "):
        sampler.sample(1, label=label)


def test_ranges(sampler: Sampler) -> None:
    assert sampler.sample(0).shape == (0, 12, 16, 3)
    assert len(sampler.sample(1, seed=2**64 - 1, start=2**63)) == 1
    for arguments in (
        {"count": -1},
        {"count": 1, "seed": -1},
        {"count": 1, "start": -1},
        {"count": 1, "batch_size": 0},
    ):
        with pytest.raises(ConfigError, match=r"must be (from|at least)"):
            sampler.sample(**arguments)


def test_properties(sampler: Sampler, tiny: ModuleType) -> None:
    assert sampler.classes == ("a", "b", "c")
    assert sampler.image == tiny.SPEC
    assert sampler.latent == tiny.LATENT

"""The noise against a pure-Python Philox, against the normal distribution, and against itself in other cuts."""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.artifact.philox import MAX_SEED, MAX_START, _log, _sin_cos_of_turns, noise
from medsynth.errors import ConfigError

_MASK = 2**64 - 1

FROZEN_FIRST_ROW = "0x1.44ad64p-3 0x1.7dcefep+1 -0x1.ecfa26p+0 -0x1.a65ca4p-1 -0x1.9eba0ap-3 0x1.27e02ap+0"
FROZEN_DIGEST = "22bf5ae76ded95fdda40f509acce5ac0477e4c3216ab38ff778240e1442f66ab"


def philox4x64(counter: int, key: int) -> list[int]:
    """Philox4x64-10 of Salmon et al. (2011), section 3.3, with the constants of its table."""
    c = [(counter >> (64 * i)) & _MASK for i in range(4)]
    k = [key & _MASK, key >> 64]
    for _ in range(10):
        high0, low0 = divmod(c[0] * 0xD2E7470EE14C6C93, 2**64)
        high1, low1 = divmod(c[2] * 0xCA5A826395121157, 2**64)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B97F4A7C15) & _MASK, (k[1] + 0xBB67AE8584CAA73B) & _MASK]
    return c


def reference_row(seed: int, index: int, latent: int) -> list[float]:
    """One sample as the module's text defines it, with Python's own log, sin and cos."""
    blocks = math.ceil(latent / 4)
    words = [word for block in range(blocks) for word in philox4x64(index * blocks + block + 1, seed)]
    values = []
    for first, second in zip(words[0::2], words[1::2], strict=True):
        radius = math.sqrt(-2.0 * math.log(((first >> 11) + 1) * 2.0**-53))
        angle = 2.0 * math.pi * (second >> 11) * 2.0**-53
        values += [radius * math.cos(angle), radius * math.sin(angle)]
    return values[:latent]


def test_reference_philox_gives_the_published_known_answer() -> None:
    # Random123's kat_vectors, philox4x64 with 10 rounds, all-zero counter and key.
    assert philox4x64(0, 0) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]


@given(seed=st.integers(0, MAX_SEED), index=st.integers(0, MAX_START), latent=st.integers(1, 130))
@settings(max_examples=60, deadline=None)
def test_words_and_normals_match_the_reference(seed: int, index: int, latent: int) -> None:
    row = noise(seed, index, 1, latent)
    assert row.dtype == np.float32
    assert row.shape == (1, latent)
    np.testing.assert_allclose(row[0], reference_row(seed, index, latent), rtol=1e-6, atol=1e-12)


@given(
    seed=st.integers(0, MAX_SEED),
    start=st.integers(0, MAX_START - 200),
    count=st.integers(1, 40),
    cut=st.integers(0, 40),
    latent=st.integers(1, 20),
)
@settings(max_examples=60, deadline=None)
def test_a_sample_does_not_depend_on_its_shard(seed: int, start: int, count: int, cut: int, latent: int) -> None:
    cut = min(cut, count)
    whole = noise(seed, start, count, latent)
    parts = [noise(seed, start, cut, latent), noise(seed, start + cut, count - cut, latent)]
    assert np.array_equal(whole, np.concatenate(parts))
    one = count - 1
    assert np.array_equal(whole[one], noise(seed, start + one, 1, latent)[0])


def test_frozen_values() -> None:
    """Published with the first version: these bits may never change (computed once, agree with the reference above)."""
    frozen = [float.fromhex(text) for text in FROZEN_FIRST_ROW.split()]
    assert noise(0, 0, 1, 6)[0].tolist() == frozen
    digest = hashlib.sha256(noise(2**64 - 1, 2**63, 100, 100).astype("<f4").tobytes()).hexdigest()
    assert digest == FROZEN_DIGEST


def test_it_is_standard_normal() -> None:
    values = np.sort(noise(7, 0, 2000, 100).ravel().astype(np.float64))
    n = len(values)
    assert abs(values.mean()) < 4 / math.sqrt(n)
    assert abs(values.var() - 1) < 4 * math.sqrt(2 / n)
    # Kolmogorov-Smirnov on a thinned sample; 1.95 / sqrt(m) is the bound of level 0.001.
    thin = values[::50]
    expected = (np.arange(n)[::50] + 0.5) / n
    cdf = np.array([NormalDist().cdf(value) for value in thin])
    assert np.abs(cdf - expected).max() < 1.95 / math.sqrt(n)


def test_samples_and_seeds_are_not_correlated() -> None:
    rows = noise(1, 0, 500, 64).astype(np.float64)
    lag = (rows[:-1] * rows[1:]).mean()
    other = (rows * noise(2, 0, 500, 64)).mean()
    assert abs(lag) < 4 / math.sqrt(rows.size)
    assert abs(other) < 4 / math.sqrt(rows.size)


def test_written_out_functions_agree_with_numpy() -> None:
    u = np.concatenate([np.random.default_rng(0).random(20_000), [2.0**-53, 0.5, math.sqrt(0.5), 1 - 2.0**-53, 1.0]])
    np.testing.assert_allclose(_log(u), np.log(u), rtol=1e-15, atol=1e-300)
    turns = np.concatenate([u[:-1], np.arange(8) / 8])
    sine, cosine = _sin_cos_of_turns(turns)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * turns), atol=1e-15)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * turns), atol=1e-15)
    np.testing.assert_allclose(sine**2 + cosine**2, 1, atol=1e-15)


@given(
    seed=st.integers(0, MAX_SEED),
    start=st.integers(0, MAX_START - 20),
    count=st.integers(1, 8),
    row=st.integers(0, 7),
    latent=st.integers(1, 12),
    limit=st.floats(0.3, 3.0),
)
@settings(max_examples=40, deadline=None)
def test_truncated_rows_are_those_of_resampling(
    seed: int, start: int, count: int, row: int, latent: int, limit: float
) -> None:
    row %= count
    found = noise(seed, start, count, latent, truncation=limit)
    assert found.dtype == np.float32
    assert np.array_equal(found[row], noise(seed, start + row, 1, latent, truncation=limit)[0])
    for place, value in enumerate(found[row]):
        again = 0
        # A draw of its own for every turn: the key's second word.
        while abs(expected := np.float32(reference_row(seed + (again << 64), start + row, latent)[place])) > limit:
            again += 1
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("limit", [0.05, 0.5, 1.5])
def test_truncated_noise_has_the_truncated_normal_distribution(limit: float) -> None:
    values = np.sort(noise(3, 0, 400, 50, truncation=limit).ravel().astype(np.float64))
    assert np.abs(values).max() <= limit
    normal = NormalDist()
    low, high = normal.cdf(-limit), normal.cdf(limit)
    cdf = np.array([(normal.cdf(value) - low) / (high - low) for value in values[::20]])
    assert np.abs(cdf - (np.arange(len(values))[::20] + 0.5) / len(values)).max() < 1.95 / math.sqrt(len(cdf))


def test_a_limit_beyond_every_value_changes_nothing() -> None:
    assert np.array_equal(noise(1, 2, 30, 10, truncation=50.0), noise(1, 2, 30, 10))


@pytest.mark.parametrize("limit", [0.0, 0.01, -1.0, math.nan, math.inf])
def test_a_limit_that_cannot_be_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match=r"truncation must be from 0.05"):
        noise(0, 0, 1, 4, truncation=limit)


def test_no_rows_is_fine() -> None:
    assert noise(0, 5, 0, 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        *(((-1, 0, 1, 4), "seed"), ((2**64, 0, 1, 4), "seed"), ((0, -1, 1, 4), "start")),
        *(((0, 2**63 + 1, 1, 4), "start"), ((0, 0, -1, 4), "count"), ((0, 0, 1, 0), "latent")),
    ],
)
def test_out_of_range(arguments: tuple[int, int, int, int], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be from"):
        noise(*arguments)

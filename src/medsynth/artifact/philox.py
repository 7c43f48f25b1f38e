"""Noise that is the same on every machine: Philox words turned into normals by exact arithmetic.

Word ``w`` of sample ``i`` under seed ``s`` is word ``w mod 4`` of Philox4x64-10 [1]_ with key ``(s, 0)`` and counter
``i * B + w // 4 + 1``, where ``B = ceil(latent / 4)`` blocks of four words serve one sample; the words come in pairs
and every pair gives two normals by Box-Muller [2]_. numpy promises the words of a bit generator, but not the stream of
its normals, and its ``log`` and ``cos`` differ in the last bit between processors. So logarithm, sine and cosine are
written out below as series [3]_ of additions, multiplications and divisions, which IEEE 754 rounds the same everywhere.

Truncated noise [4]_: a value beyond the limit is replaced by that of the same place under the key ``(s, 1)``, then
``(s, 2)`` and so on, until it is within. So every row still depends on its seed and index alone.

.. [1] Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
.. [2] Box, Muller: A note on the generation of random normal deviates. Ann. Math. Statist. 29 (1958), equation 1.
.. [3] Abramowitz, Stegun: Handbook of Mathematical Functions (1964), 4.1.27, 4.3.65 and 4.3.66.
.. [4] Brock, Donahue, Simonyan: Large scale GAN training for high fidelity natural image synthesis. ICLR 2019, 3.1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from medsynth.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_SEED", "MAX_START", "check_range", "check_truncation", "noise"]

MAX_SEED = 2**64 - 1
MAX_START = 2**63

_SMALLEST_LIMIT = 0.05
"""Below it hundreds of draws are needed for one value."""

_WORDS_PER_BLOCK = 4
# Enough terms for float64: the first one left out is below 2**-54 of the sum.
_ATANH_TERMS = tuple(1.0 / (2 * k + 1) for k in range(11))
_SIN_TERMS = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9))
_COS_TERMS = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(10))


def noise(seed: int, start: int, count: int, latent: int, *, truncation: float | None = None) -> NDArray[np.float32]:
    """Standard normal noise for the samples ``start`` to ``start + count - 1`` of a seed.

    Row ``i`` depends on ``seed``, ``start + i``, ``latent`` and ``truncation`` alone, not on the batch or the machine.

    Args:
        seed: 0 to 2**64 - 1.
        start: Index of the first sample, 0 to 2**63.
        count: How many samples, at least 0.
        latent: Values for each sample, at least 1.
        truncation: No value is farther from 0 than this, at least 0.05; ``None``: no limit.

    Returns:
        float32 (count, latent).

    Raises:
        ConfigError: An argument is outside its range.
    """
    check_range("seed", seed, 0, MAX_SEED)
    check_range("start", start, 0, MAX_START)
    check_range("count", count, 0, MAX_START)
    check_range("latent", latent, 1, 2**31 - 1)
    check_truncation(truncation)
    rows, again = _normals(seed, start, count, latent), 0
    while truncation is not None and (beyond := np.abs(rows) > truncation).any():
        again += 1
        rows = np.where(beyond, _normals(seed + (again << 64), start, count, latent), rows)
    return rows


def _normals(key: int, start: int, count: int, latent: int) -> NDArray[np.float32]:
    blocks = math.ceil(latent / _WORDS_PER_BLOCK)
    generator = np.random.Philox(key=key, counter=start * blocks)
    words = generator.random_raw(count * blocks * _WORDS_PER_BLOCK).reshape(count, blocks * _WORDS_PER_BLOCK)
    return _box_muller(words)[:, :latent].astype(np.float32)


def _box_muller(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Pairs of words (..., 2n) to as many normals: r cos(2 pi v), r sin(2 pi v) with r = sqrt(-2 ln u)."""
    unit = (words >> np.uint64(11)).astype(np.float64)  # 53 bits, so exact
    u = (unit[..., 0::2] + 1.0) * 2.0**-53  # in (0, 1]
    radius = np.sqrt(-2.0 * _log(u))
    sine, cosine = _sin_cos_of_turns(unit[..., 1::2] * 2.0**-53)
    normals = np.empty(words.shape)
    normals[..., 0::2] = radius * cosine
    normals[..., 1::2] = radius * sine
    return normals


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of positive x = m 2**e, m in [sqrt(1/2), sqrt(2)), by ln m = 2 artanh((m - 1) / (m + 1))."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < math.sqrt(0.5)
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = exponent - small
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return exponent * math.log(2.0) + 2.0 * s * _series(_ATANH_TERMS, s * s)


def _sin_cos_of_turns(turns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sine and cosine of 2 pi ``turns`` for turns in [0, 1)."""
    quarters = np.floor(turns * 4.0 + 0.5)
    angle = (turns * 4.0 - quarters) * (math.pi / 2.0)  # within an eighth of a turn of the nearest quarter
    square = angle * angle
    sine = angle * _series(_SIN_TERMS, square)
    cosine = _series(_COS_TERMS, square)
    quadrant = quarters.astype(np.int64) % 4
    swapped = quadrant % 2 == 1
    sine_sign = np.where(quadrant >= 2, -1.0, 1.0)
    cosine_sign = np.where((quadrant == 1) | (quadrant == 2), -1.0, 1.0)
    return sine_sign * np.where(swapped, cosine, sine), cosine_sign * np.where(swapped, sine, cosine)


def _series(terms: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Horner's scheme."""
    total = np.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        total = total * x + term
    return total


def check_truncation(truncation: float | None) -> None:
    """Refuse a limit of noise that is too small.

    Raises:
        ConfigError: It is.
    """
    if truncation is not None and not _SMALLEST_LIMIT <= truncation < math.inf:
        raise ConfigError(
            f"truncation must be from {_SMALLEST_LIMIT} (all images of a class nearly alike) upwards; "
            f"2 leaves out 5 % of the values. Got {truncation}."
        )


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse a number outside its range.

    Raises:
        ConfigError: It is.
    """
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}. Got {value}.")

"""Multi-scale structural similarity of two images (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WINDOW", "ms_ssim", "scale_weights"]

WINDOW = 11
"""Side of the Gaussian window in pixels; no scale may be smaller."""

_SIGMA = 1.5
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2

# Exponents of the five scales, from fine to coarse (Wang et al. 2003, section 3.2).
_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def scale_weights(height: int, width: int) -> NDArray[np.float64]:
    """Exponents of the scales that an image has room for, normalised to sum 1.

    The shorter side halves at every scale and must stay at least :data:`WINDOW`: five scales from 176 pixels on, four
    from 88, three from 44, two from 22, one (plain SSIM) from 11.
    """
    scales = (min(height, width) // WINDOW).bit_length()
    weights: NDArray[np.float64] = _WEIGHTS[:scales] / _WEIGHTS[:scales].sum()
    return weights


def ms_ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """MS-SSIM of each pair of images, averaged over channels.

    Equation 7 of Wang et al. 2003: the product of mean contrast-structure terms of the scales and of the mean SSIM of
    the coarsest, each to the power of its scale. Window 11x11 Gaussian of sigma 1.5, borders left out, K1 = 0.01,
    K2 = 0.03. A negative mean, whose power is not defined, counts as 0.

    Args:
        first: uint8 (pairs, height, width, channels), at least 11x11 pixels.
        second: The other images of the pairs.

    Returns:
        (pairs,) in 0..1; 1 for equal images.
    """
    x, y = np.moveaxis(first, -1, 1).astype(np.float64), np.moveaxis(second, -1, 1).astype(np.float64)
    weights = scale_weights(*x.shape[2:])
    similarity = np.ones(x.shape[:2])
    for scale, weight in enumerate(weights):
        luminance, structure = _ssim_terms(x, y)
        last = scale == len(weights) - 1
        mean = (luminance * structure if last else structure).mean(axis=(2, 3))
        similarity *= np.maximum(mean, 0.0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return np.asarray(similarity.mean(axis=1))


def _ssim_terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Luminance, and contrast times structure, at every place of the window."""
    mean_x, mean_y = _blur(x), _blur(y)
    square_x, square_y, product = mean_x**2, mean_y**2, mean_x * mean_y
    variances = _blur(x * x) - square_x + _blur(y * y) - square_y
    covariance = _blur(x * y) - product
    luminance = (2.0 * product + _C1) / (square_x + square_y + _C1)
    return luminance, (2.0 * covariance + _C2) / (variances + _C2)


def _blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean wherever the whole window fits: height and width shrink by 10."""
    taps = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / _SIGMA) ** 2)
    taps /= taps.sum()
    height, width = x.shape[-2] - WINDOW + 1, x.shape[-1] - WINDOW + 1
    rows: Any = sum(tap * x[..., at : at + height, :] for at, tap in enumerate(taps))
    blurred: NDArray[np.float64] = sum(tap * rows[..., at : at + width] for at, tap in enumerate(taps))
    return blurred


def _halve(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2x2 pixels; an odd last row or column is repeated."""
    odd_rows, odd_columns = x.shape[-2] % 2, x.shape[-1] % 2
    x = np.pad(x, ((0, 0), (0, 0), (0, odd_rows), (0, odd_columns)), mode="edge")
    rows = x[..., 0::2, :] + x[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) / 4.0

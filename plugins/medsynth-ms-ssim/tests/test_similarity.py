"""MS-SSIM against two independent implementations: scikit-image, scale by scale, and TensorFlow's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

from medsynth_ms_ssim.similarity import ms_ssim, scale_weights

PUBLISHED = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def image_pairs(pairs, height, width, channels, seed=0):
    """Blotches and the same blotches under noise of growing strength."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (pairs, -(-height // 8), -(-width // 8), channels))
    first = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    strength = np.linspace(5.0, 60.0, pairs)[:, None, None, None]
    second = first + strength * random.normal(size=first.shape)
    return tuple(np.clip(np.rint(image), 0, 255).astype(np.uint8) for image in (first, second))


def ssim_of_skimage(x, y, *, without_luminance):
    # The luminance term goes to 1 as K1 grows, which leaves the contrast-structure term.
    return structural_similarity(
        x,
        y,
        data_range=255.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        K1=1e9 if without_luminance else 0.01,
        K2=0.03,
    )


def ms_ssim_of_skimage(x, y, exponents):
    product = 1.0
    for scale, exponent in enumerate(exponents):
        last = scale == len(exponents) - 1
        product *= ssim_of_skimage(x, y, without_luminance=not last) ** exponent
        x, y = downscale_local_mean(x, (2, 2)), downscale_local_mean(y, (2, 2))
    return product


@pytest.mark.parametrize(
    ("height", "width", "scales"), [(16, 16, 1), (32, 32, 2), (64, 48, 3), (128, 96, 4), (192, 176, 5)]
)
def test_equals_scikit_image(height, width, scales):
    first, second = image_pairs(3, height, width, 1)
    exponents = np.array(PUBLISHED[:scales]) / sum(PUBLISHED[:scales])
    expected = [
        ms_ssim_of_skimage(x.astype(np.float64), y.astype(np.float64), exponents)
        for x, y in zip(first[..., 0], second[..., 0], strict=True)
    ]
    np.testing.assert_allclose(ms_ssim(first, second), expected, rtol=1e-9)


@pytest.mark.parametrize(("height", "width", "channels"), [(33, 47, 1), (64, 64, 3), (99, 90, 3), (177, 181, 1)])
def test_equals_tensorflow(height, width, channels):
    tf = pytest.importorskip("tensorflow")
    first, second = image_pairs(3, height, width, channels)
    expected = tf.image.ssim_multiscale(
        tf.constant(first), tf.constant(second), 255, power_factors=tuple(scale_weights(height, width))
    )
    np.testing.assert_allclose(ms_ssim(first, second), expected.numpy(), atol=2e-5)


def test_five_scales_have_the_published_exponents():
    np.testing.assert_allclose(scale_weights(176, 1000), PUBLISHED, atol=1e-4)  # They sum to 1.0001.


@pytest.mark.parametrize(
    ("side", "scales"), [(11, 1), (21, 1), (22, 2), (43, 2), (44, 3), (87, 3), (88, 4), (175, 4), (176, 5), (2000, 5)]
)
def test_as_many_scales_as_the_shorter_side_has_room_for(side, scales):
    weights = scale_weights(side + 7, side)
    assert len(weights) == scales
    assert weights.sum() == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(11, 50), width=st.integers(11, 50))
def test_symmetric_bounded_and_one_for_equal_images(seed, height, width):
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 256, (2, 2, height, width, 1), np.uint8)
    similarity = ms_ssim(first, second)
    np.testing.assert_allclose(similarity, ms_ssim(second, first), rtol=1e-12)
    assert ((similarity >= 0) & (similarity < 1)).all()
    np.testing.assert_allclose(ms_ssim(first, first), 1.0, rtol=1e-12)


def test_falls_as_noise_grows():
    similarity = ms_ssim(*image_pairs(6, 64, 64, 1))
    assert (np.diff(similarity) < 0).all()

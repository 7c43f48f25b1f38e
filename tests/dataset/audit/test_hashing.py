from __future__ import annotations

import numpy as np
from PIL import Image

from medsynth.dataset import make_phantom
from medsynth.dataset.audit.hashing import RADIUS, close_pairs, perceptual_hashes


def thumbnails(images):
    shrunk = [np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR)) for image in images]
    return np.stack(shrunk).reshape(len(images), -1)


def differing(one, other):
    return int(np.bitwise_count(one ^ other).sum())


def test_bits_are_balanced_and_near_copies_differ_in_few():
    images = make_phantom(patients=60, slices_per_patient=1, size=64).images
    thumbs = thumbnails(images)
    darker = thumbnails([np.clip(image * 0.8 + 9, 0, 255).astype(np.uint8) for image in images])
    hashes = perceptual_hashes(np.concatenate([thumbs, darker]))
    assert hashes.shape == (120, 2)
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    np.testing.assert_allclose(bits.mean(axis=0), 0.5, atol=0.01)
    assert max(differing(hashes[row], hashes[row + 60]) for row in range(60)) < RADIUS / 2


def test_pairs_are_those_of_the_whole_correlation_matrix():
    rng = np.random.default_rng(1)
    base = thumbnails(make_phantom(patients=90, slices_per_patient=2, size=64).images).astype(int)
    thumbs = np.concatenate([base, np.clip(base + rng.normal(0, 9, base.shape), 0, 255)]).astype(np.uint8)
    rows = np.arange(5, len(thumbs))
    whole = np.corrcoef(thumbs[rows])
    expected = {(int(i) + 5, int(j) + 5) for i, j in zip(*np.nonzero(np.triu(whole > 0.985, 1)), strict=True)}
    found = {(one, other): value for one, other, value in close_pairs(thumbs, rows, 0.985)}
    assert len(expected) > 150
    assert set(found) == expected
    for (one, other), value in found.items():
        np.testing.assert_allclose(value, whole[one - 5, other - 5], atol=1e-5)


def test_flat_images_make_no_pairs():
    thumbs = np.full((50, 4096), 7, np.uint8)
    assert list(close_pairs(thumbs, np.arange(50), 0.9)) == []
    assert list(close_pairs(thumbs[:0], np.arange(0), 0.9)) == []


def test_the_number_of_pairs_is_bounded(monkeypatch):
    import medsynth.dataset.audit.hashing as hashing

    monkeypatch.setattr(hashing, "_MOST", 7)
    thumbs = np.tile(np.random.default_rng(0).integers(0, 256, (1, 4096), np.uint8), (20, 1))
    assert len(list(close_pairs(thumbs, np.arange(20), 0.9))) == 7

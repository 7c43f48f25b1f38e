"""Which pairs the metric takes, what it makes of them, and what it refuses."""

import itertools

import numpy as np
import pytest

from medsynth.plugins import ConfigError, DataError
from medsynth_ms_ssim.metric import MSSSIM
from medsynth_ms_ssim.similarity import ms_ssim

NO_REFERENCE = np.empty((0, 32, 32, 1), np.uint8)


def blotches(count, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def measure(images, labels=None, **options):
    metric = MSSSIM(**options)
    metric.update(NO_REFERENCE, images, candidate_labels=labels)
    return metric.compute()


def mean_of_all_pairs(images):
    first, second = np.array(list(itertools.combinations(range(len(images)), 2))).T
    return ms_ssim(images[first], images[second]).mean()


def test_few_images_are_compared_each_with_each():
    images = blotches(7)
    assert measure(images, pairs=21).value == pytest.approx(mean_of_all_pairs(images))


def test_value_is_the_mean_of_the_classes():
    images, labels = blotches(12), np.array([0, 2, 2] * 4)
    result = measure(images, labels)
    assert result.per_class == {
        0: pytest.approx(mean_of_all_pairs(images[labels == 0])),
        2: pytest.approx(mean_of_all_pairs(images[labels == 2])),
    }
    assert result.value == pytest.approx((result.per_class[0] + result.per_class[2]) / 2)


def test_without_labels_all_images_are_one_class():
    images = blotches(6)
    result = measure(images)
    assert result.value == pytest.approx(mean_of_all_pairs(images))
    assert result.per_class == {}


def test_sampled_pairs_stay_near_all_pairs_and_inside_the_interval():
    images = blotches(80)
    everything, sampled = measure(images, pairs=3160), measure(images, pairs=100)
    assert everything.value == pytest.approx(mean_of_all_pairs(images))
    assert sampled.value != everything.value
    assert sampled.low < everything.value < sampled.high
    assert everything.high - everything.low < sampled.high - sampled.low


def test_seed_chooses_the_pairs():
    images = blotches(60)
    assert measure(images, pairs=20, seed=1) == measure(images, pairs=20, seed=1)
    assert measure(images, pairs=20, seed=1).value != measure(images, pairs=20, seed=2).value


def test_order_does_not_matter_to_the_last_bit():
    images, labels = blotches(60), np.arange(60) % 3
    order = np.random.default_rng(5).permutation(60)
    assert measure(images[order], labels[order], pairs=20) == measure(images, labels, pairs=20)


def test_a_collapsed_class_scores_one():
    result = measure(np.concatenate([blotches(1)] * 9))
    assert (result.value, result.low, result.high) == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 32, 32, 1), np.float32), None, "uint8 images.*float32"),
        (np.zeros((3, 32, 32), np.uint8), None, "uint8 images.*(3, 32, 32)"),
        (np.zeros((3, 10, 32, 1), np.uint8), None, "at least 11x11"),
        (np.zeros((3, 32, 32, 1), np.uint8), np.zeros(2, np.int64), "one label for each of 3 images. Got 2"),
        (np.zeros((3, 32, 32, 1), np.uint8), np.array([0, 0, 1]), "Got one of class 1"),
    ],
)
def test_refuses_what_it_cannot_compare(images, labels, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(").replace(")", r"\)")):
        measure(images, labels)


def test_refuses_images_of_two_sizes():
    metric = MSSSIM()
    metric.update(NO_REFERENCE, np.zeros((2, 32, 32, 1), np.uint8))
    metric.update(NO_REFERENCE, np.zeros((2, 16, 16, 1), np.uint8))
    with pytest.raises(DataError, match="of one size"):
        metric.compute()


@pytest.mark.parametrize("options", [{"pairs": 0}, {"seed": -1}])
def test_refuses_options_out_of_range(options):
    with pytest.raises(ConfigError, match="must be at least"):
        MSSSIM(**options)

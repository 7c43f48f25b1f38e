import math

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medsynth.dataset import make_phantom
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec, load_images
from medsynth_cvae.net import CVAE


def test_it_learns_what_tells_the_classes_apart():
    keras.utils.set_random_seed(0)
    plugin = CVAE(latent=4, width=4)
    model = plugin.build(ImageSpec(height=16, width=16, channels=1), 2)
    labels = np.arange(256) % 2
    images = np.random.default_rng(0).integers(40, 60, (256, 16, 16, 1)).astype("uint8")
    images[labels == 1, 4:12, 4:12] += 150
    model.fit(images, labels, batch_size=16, epochs=20, verbose=0)
    noise = np.random.default_rng(1).normal(size=(64, 4)).astype("float32")
    dark, light = (np.asarray(plugin.sampler(model)([noise, np.full(64, label)])) for label in (0, 1))
    # Of 150 grey levels, and in every image.
    darkest, brightest = (images[:, 6:10, 6:10].mean((1, 2, 3)) for images in (light, dark))
    assert darkest.min() > brightest.max() + 80
    assert light[:, 6:10, 6:10].mean() - dark[:, 6:10, 6:10].mean() == pytest.approx(150, abs=20)
    assert abs(float(light[:, 0].mean()) - float(dark[:, 0].mean())) < 10


def test_a_short_run_on_the_phantom_gives_images_of_the_class_asked_for():
    drawn = make_phantom(patients=120, slices_per_patient=4, size=48)
    spec = ImageSpec(height=32, width=32, channels=1)
    images, labels = load_images(list(drawn.images), spec), np.asarray(drawn.labels)
    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)).fit(_coarse(images), labels)
    keras.utils.set_random_seed(0)
    plugin = CVAE(latent=16, width=8)
    model = plugin.build(spec, 2)
    model.fit(images, labels, batch_size=16, epochs=4, verbose=0)
    asked = np.arange(200) % 2
    made = np.asarray(plugin.sampler(model)([np.random.default_rng(1).normal(size=(200, 16)).astype("float32"), asked]))
    assert judge.score(_coarse(made), asked) > 0.8


def _coarse(images):
    return images[..., 0].reshape(len(images), 16, 2, 16, 2).mean((2, 4)).reshape(len(images), -1)


def test_the_prior_follows_the_codes_of_each_class():
    plugin = CVAE(latent=3, width=2)
    model = plugin.build(ImageSpec(height=16, width=16, channels=1), 3)
    codes, labels = np.array([[1, 2, 3], [3, 2, 1], [10, 0, 0]], "float32"), np.array([0, 0, 2])
    model._follow(codes, labels)
    expected = [[0.2, 0.2, 0.2], [0, 0, 0], [1, 0, 0]]  # a tenth of the way; none of class 1 was there
    np.testing.assert_allclose(np.asarray(model.prior.embeddings), expected, rtol=1e-6)
    noise = np.zeros((1, 3), "float32")
    drawn = (np.asarray(model.decoder([np.array([[1, 0, 0]], "float32"), np.array([2])])) + 1) * 127.5
    assert np.abs(np.asarray(plugin.sampler(model)([noise, np.array([2])])) - drawn).max() <= 0.51


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("latent", 0),
        ("width", 0),
        ("beta", 0.0),
        ("beta", math.nan),
        ("learning_rate", -1.0),
        ("learning_rate", math.inf),
    ],
)
def test_options_say_what_they_must_be(option, value):
    with pytest.raises(ConfigError, match="must be"):
        CVAE(**{option: value})


def test_sizes_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(ConfigError, match="multiples of 4"):
        CVAE().build(ImageSpec(height=18, width=18, channels=1), 2)

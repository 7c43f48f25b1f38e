import keras
import numpy as np
import pytest

from medsynth.errors import ConfigError
from medsynth.images import ImageSpec
from medsynth_cvae.net import CVAE


def test_it_learns_what_tells_the_classes_apart():
    keras.utils.set_random_seed(0)
    plugin = CVAE(latent=4, width=4)
    model = plugin.build(ImageSpec(height=16, width=16, channels=1), 2)
    labels = np.arange(256) % 2
    images = np.random.default_rng(0).integers(40, 60, (256, 16, 16, 1)).astype("uint8")
    images[labels == 1, 4:12, 4:12] += 150
    model.fit(images, labels, batch_size=16, epochs=60, verbose=0)
    noise = np.random.default_rng(1).normal(size=(8, 4)).astype("float32")
    dark, light = (np.asarray(plugin.sampler(model)([noise, np.full(8, label)])) for label in (0, 1))
    # Slowly: the code leaves the class to the label only as its price falls.
    centre = np.s_[:, 6:10, 6:10]
    assert light[centre].mean() > dark[centre].mean() + 30
    assert abs(float(light[:, 0].mean()) - float(dark[:, 0].mean())) < 30


@pytest.mark.parametrize("options", [{"latent": 0}, {"width": 0}, {"beta": 0.0}, {"learning_rate": -1.0}])
def test_options_say_what_they_must_be(options):
    with pytest.raises(ConfigError, match="must be"):
        CVAE(**options)


def test_sizes_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(ConfigError, match="multiples of 4"):
        CVAE().build(ImageSpec(height=18, width=18, channels=1), 2)

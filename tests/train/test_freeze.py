from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.default_plugins.vgg16 import VGG16
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec
from medsynth.train.freeze import cut_at_frozen, train_after

GREY = ImageSpec(height=32, width=32, channels=1)


def _built(**options):
    keras.utils.set_random_seed(0)
    plugin = VGG16(**({"weights": "none", "width": 0.0625} | options))
    model = plugin.build(GREY, 3)
    return model, plugin.freeze_points(model)


@pytest.mark.parametrize(
    ("options", "point"),
    [
        ({"head": "gap", "trainable_blocks": 5}, None),
        ({"head": "gap", "trainable_blocks": 4}, "block1_pool"),
        ({"head": "gap", "trainable_blocks": 1, "batch_norm": True}, "block4_pool"),
        ({"head": "gap", "trainable_blocks": 0}, "block5_pool"),
        ({"head": "levels", "trainable_blocks": 0}, "levels"),
        # The statistics of block 2 go around the pools of blocks 3 and 4.
        ({"head": "levels", "trainable_blocks": 1}, "block2_pool"),
    ],
)
def test_the_cut_is_the_deepest_that_the_head_can_do_without(options, point):
    model, points = _built(**options)
    cut = cut_at_frozen(model, points)
    assert (cut and cut.point) == point
    if cut is None:
        return
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1), dtype=np.uint8)
    np.testing.assert_allclose(cut.rest(cut.trunk(images)), model(images)["logits"], rtol=1e-5, atol=1e-5)
    own = {id(variable) for variable in model.trainable_variables}
    assert {id(variable) for variable in cut.rest.trainable_variables} == own


def test_a_network_without_freeze_points_is_not_cut():
    model, _ = _built(trainable_blocks=0)
    assert cut_at_frozen(model, ()) is None


def test_layers_after_the_point_are_trained_but_not_frozen_batch_normalisation():
    model, points = _built(head="gap", trainable_blocks=0, batch_norm=True)
    train_after(model, points, "block4_pool")
    trained = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert trained == {"block5_conv1", "block5_conv2", "block5_conv3", "logits"}
    assert cut_at_frozen(model, points).point == "block4_pool"
    with pytest.raises(ConfigError, match=r"block4_pool.*Did you mean 'block4_pool'"):
        train_after(model, points, "block4_pol")

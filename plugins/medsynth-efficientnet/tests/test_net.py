import keras
import numpy as np
import pytest

from medsynth.artifact.golden import CpuRunner
from medsynth.errors import ConfigError
from medsynth.export.keras_onnx import classifier_to_onnx
from medsynth.images import ImageSpec
from medsynth.train.freeze import cut_at_frozen
from medsynth_efficientnet.net import EfficientNetV2

GREY = ImageSpec(height=32, width=32, channels=1)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Keras' own network with weights that no seed of ours gives, and its file."""
    keras.utils.set_random_seed(11)
    network = keras.applications.EfficientNetV2B0(include_top=False, weights=None, pooling="avg")
    path = tmp_path_factory.mktemp("weights") / "b0.weights.h5"
    network.save_weights(path)
    return network, path


def images(count=2):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 1), dtype=np.uint8)


def test_features_are_those_of_keras_own_network_on_grey_in_three_channels(published):
    network, path = published
    model = EfficientNetV2(weights=str(path)).build(GREY, 3)
    expected = network(np.repeat(images(), 3, axis=-1).astype("float32"))
    np.testing.assert_allclose(model(images())["features"], expected, rtol=1e-4, atol=1e-5)
    assert model.count_params() == network.count_params() + 1281 * 3


def test_the_whole_network_exports_and_gives_the_same(published):
    model = EfficientNetV2(weights=str(published[1])).build(GREY, 3)
    found = CpuRunner(classifier_to_onnx(model).SerializeToString()).run({"images": images(3)})
    for name, value in model(images(3)).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)


def test_pretrained_stages_are_frozen_and_cut_after_pooling(published):
    plugin = EfficientNetV2(weights=str(published[1]))
    model = plugin.build(GREY, 2)
    assert [variable.path for variable in model.trainable_variables] == ["logits/kernel", "logits/bias"]
    assert cut_at_frozen(model, plugin.freeze_points(model)).point == "features"


def test_trained_stages_leave_batch_normalisation_alone(published):
    plugin = EfficientNetV2(weights=str(published[1]), stages=4, trainable_stages=1)
    model = plugin.build(GREY, 2)
    trained = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert all(name.startswith("block4") or name == "logits" for name in trained)
    assert not any(name.endswith("_bn") for name in trained)
    points = plugin.freeze_points(model)
    assert points == ("block1a_project_activation", "block2b_add", "block3b_add", "block4c_add", "features")
    assert cut_at_frozen(model, points).point == "block3b_add"


def test_random_weights_train_everything_the_stem_and_batch_normalisation_too():
    plugin = EfficientNetV2(weights="none", stages=1)
    model = plugin.build(GREY, 2)
    trained = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert {"stem_conv", "stem_bn", "block1a_project_conv", "logits"} <= trained
    assert cut_at_frozen(model, plugin.freeze_points(model)) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variant": "b9"}, "'variant' must be 'b0', 'b1', 'b2' or 'b3'. Got 'b9'"),
        ({"stages": 7}, "'stages' must be 1 to 6. Got 7"),
        ({"stages": 2, "trainable_stages": 3}, "'trainable_stages' must be 0 to 2 with stages=2. Got 3"),
        ({"dropout": 1.0}, "'dropout' must be at least 0 and below 1. Got 1.0"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ConfigError, match=said):
        EfficientNetV2(**options)


def test_too_small_images():
    with pytest.raises(ConfigError, match=r"at least 32x32 pixels.*Got 16x16"):
        EfficientNetV2(weights="none").build(ImageSpec(height=16, width=16, channels=1), 2)


def test_weights_of_another_network(published):
    with pytest.raises(ConfigError, match=r"b0.weights.h5 does not hold the weights of EfficientNetV2 B1"):
        EfficientNetV2(weights=str(published[1]), variant="b1", stages=1).build(GREY, 2)
    with pytest.raises(ConfigError, match="which is no file"):
        EfficientNetV2(weights="nowhere.h5", stages=1).build(GREY, 2)

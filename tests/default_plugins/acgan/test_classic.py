from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.default_plugins.acgan import ACGAN
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec

pytestmark = pytest.mark.usefixtures("eagerly")

SPEC = ImageSpec(height=16, width=16, channels=1)


def _batch(count=8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8), rng.integers(0, 2, count)


def _weights(network):
    return [variable.numpy().copy() for variable in network.trainable_variables]


def test_one_step_moves_both_networks():
    # The old idiom (trainable=False, two compiled models) leaves the discriminator as it was under Keras 3.
    model = ACGAN(recipe="classic").build(SPEC, 2)
    before = {part: _weights(getattr(model, part)) for part in ACGAN.trained_parts}
    logs = model.train_on_batch(*_batch(), return_dict=True)
    for part, weights in before.items():
        moved = [np.abs(new - old).max() for new, old in zip(_weights(getattr(model, part)), weights, strict=True)]
        # The label embedding of a class that the batch did not draw may stand still; nothing else may.
        assert np.count_nonzero(moved) >= len(moved) - 1, part
    assert all(np.isfinite(value) for value in logs.values())


def test_the_networks_are_those_of_the_reports():
    spec = ImageSpec(height=64, width=64, channels=1)
    model = ACGAN(recipe="classic").build(spec, 2)
    convolutions = [layer for layer in model.discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(layer.filters, layer.strides[0]) for layer in convolutions] == [(16, 2), (32, 2), (64, 2), (128, 1)]
    assert convolutions[-1].output.shape == (None, 8, 8, 128)
    dense = 101 * 128 * 16 * 16
    kernels = (9 * 128 + 1) * 128 + (9 * 128 + 1) * 64 + (9 * 64 + 1) * 1
    norms = 4 * (128 + 128 + 64)
    assert model.generator.count_params() == 2 * 100 + dense + kernels + norms
    assert [norm.momentum for norm in model.generator.layers if isinstance(norm, keras.layers.BatchNormalization)] == [
        0.8, 0.8, 0.8,
    ]  # fmt: skip


def test_the_sampler_gives_grey_levels_and_depends_on_the_label():
    keras.utils.set_random_seed(0)
    plugin = ACGAN(recipe="classic")
    model = plugin.build(SPEC, 2)
    sampler = plugin.sampler(model)
    noise = np.random.default_rng(0).normal(size=(4, 100)).astype("float32")
    first, second = (np.asarray(sampler([noise, np.full(4, label)])) for label in (0, 1))
    assert first.dtype == np.uint8
    assert first.shape == (4, 16, 16, 1)
    assert (first != second).any()
    expected = (np.asarray(model.generator([noise, np.zeros(4, "int64")], training=False)) + 1) * 127.5
    assert np.abs(first - expected).max() <= 0.5 + 1e-3


def test_the_average_follows_the_generator():
    plugin = ACGAN(recipe="classic", average=0.9)
    model = plugin.build(SPEC, 2)
    start = [variable.numpy().copy() for variable in model.generator.trainable_variables]
    model.train_on_batch(*_batch())
    for slow, old, new in zip(
        model.averaged.trainable_variables, start, model.generator.trainable_variables, strict=True
    ):
        # Quickly at first: 1 / (1 + 10) of what it was.
        np.testing.assert_allclose(slow.numpy(), old / 11 + new.numpy() * 10 / 11, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_what_is_stored_does_not_depend_on_the_processor(monkeypatch, precision):
    stored, asked = [], "medsynth.default_plugins.acgan.plugin.wants_bfloat16"
    for able in (False, True):
        monkeypatch.setattr(asked, lambda wanted, able=able: able and wanted != "float32")
        model = ACGAN(recipe="classic", precision=precision).build(SPEC, 2)
        stored.append([variable.shape for variable in model.variables])
    assert stored[0] == stored[1]


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_bfloat16_is_exported_as_float32(average):
    from onnx import TensorProto

    from medsynth.artifact.golden import CpuRunner
    from medsynth.export.keras_onnx import sampler_to_onnx

    keras.utils.set_random_seed(0)
    plugin = ACGAN(recipe="classic", precision="bfloat16", average=average)
    model = plugin.build(SPEC, 2)
    assert {layer.compute_dtype for layer in model.generator.layers} == {"bfloat16", "float32"}
    for _ in range(2):
        logs = model.train_on_batch(*_batch(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    slow, fast = model.averaged.variables, model.generator.variables
    same = [np.array_equal(one.numpy(), other.numpy()) for one, other in zip(slow, fast, strict=True)]
    assert all(same) == (average == 0.0)  # an average without memory is the last weights
    graph = sampler_to_onnx(plugin.sampler(model))
    kinds = {TensorProto.DataType.Name(each.data_type) for each in graph.graph.initializer}
    assert "FLOAT" in kinds
    assert not kinds & {"BFLOAT16", "FLOAT16"}
    rows = {"noise": np.random.default_rng(0).normal(size=(6, 100)).astype("float32"), "label": np.arange(6) % 2}
    drawn = CpuRunner(graph.SerializeToString()).run(rows)["images"].astype(int)
    averaged = (np.asarray(model.averaged([rows["noise"], rows["label"]], training=False)) + 1) * 127.5
    assert averaged.std() > 1
    assert np.abs(drawn - averaged).max() <= 0.5 + 1e-2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe": "newest"}, "must be one of classic, modern, projected"),
        ({"latent": 0}, "at least 1"),
        ({"learning_rate": -1.0}, "above 0"),
        ({"beta_1": 1.0}, "below 1"),
        ({"average": 1.0}, "below 1"),
        ({"recipe": "classic", "weights": "vgg16.weights.h5"}, "needs recipe=projected. Got 'vgg16.weights.h5'"),
        ({"recipe": "classic", "augment": "none"}, "'augment' must be left out with recipe=classic"),
        ({"recipe": "classic", "r1": 1.0}, "'r1' must be left out"),
    ],
)
def test_options_say_what_they_must_be(options, said):
    with pytest.raises(ConfigError, match=said):
        ACGAN(**options)


def test_a_size_that_cannot_be_doubled_twice_is_refused():
    with pytest.raises(ConfigError, match="multiples of 4"):
        ACGAN(recipe="classic").build(ImageSpec(height=30, width=32, channels=1), 2)

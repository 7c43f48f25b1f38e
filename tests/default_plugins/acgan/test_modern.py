from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.default_plugins.acgan import ACGAN
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec

SMALL = {"recipe": "modern", "width": 2, "discriminator_width": 4, "latent": 8, "precision": "float32"}
SPEC = ImageSpec(height=32, width=32, channels=1)


def _batch(count=8, channels=1, classes=2, size=32):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, size, size, channels), dtype=np.uint8), np.arange(count) % classes


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("size", "channels", "classes", "options"),
    [
        (32, 1, 2, {"precision": "bfloat16"}),
        (48, 3, 5, {"class_loss": "auxiliary", "conditional_norm": False, "smooth": False, "augment": "none"}),
        (64, 1, 3, {"spectral_norm": False, "minibatch_deviation": False, "r1": 1.0, "r1_every": 2}),
        (48, 1, 2, {"energy_weight": 1.0}),
        (256, 1, 2, {}),
    ],
)
def test_a_step_moves_both_networks_and_the_average(size, channels, classes, options):
    model = ACGAN(**SMALL | options).build(ImageSpec(height=size, width=size, channels=channels), classes)
    parts = (model.generator, model.discriminator, model.averaged)
    before = [[each.numpy() for each in part.variables] for part in parts]
    logs = model.train_on_batch(*_batch(2 * classes, channels, classes, size), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    for part, old in zip(parts, before, strict=True):
        assert any((each.numpy() != value).any() for each, value in zip(part.variables, old, strict=True))
    assert model.averaged.outputs[0].dtype == "float32"


@pytest.mark.usefixtures("eagerly")
def test_the_average_is_an_average():
    model = ACGAN(**SMALL, average=0.5).build(SPEC, 2)
    slow = [each.numpy() for each in model.averaged.variables]
    for step in range(1, 4):
        model.train_on_batch(*_batch())
        keep = min(0.5, step / (step + 10))
        slow = [keep * old + (1 - keep) * new.numpy() for old, new in zip(slow, model.generator.variables, strict=True)]
    for found, expected in zip(model.averaged.variables, slow, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_average_alone_is_sampled():
    plugin = ACGAN(**SMALL)
    model = plugin.build(SPEC, 2)
    sampler = plugin.sampler(model)
    rows = [np.random.default_rng(0).normal(size=(2, 8)).astype("float32"), np.arange(2)]
    before = np.asarray(sampler(rows))
    model.generator.set_weights([value * 3 for value in model.generator.get_weights()])
    assert np.array_equal(np.asarray(sampler(rows)), before)


@pytest.mark.usefixtures("eagerly")
def test_the_penalty_comes_every_so_many_steps():
    model = ACGAN(**SMALL, r1=1e4, r1_every=3).build(SPEC, 2)
    losses = [model.train_on_batch(*_batch(), return_dict=True)["discriminator_loss"] for _ in range(4)]
    assert min(losses[0], losses[3]) > 3 * max(losses[1:3])


def test_bfloat16_draws_what_float32_draws():
    keras.utils.set_random_seed(0)
    fast = ACGAN(**SMALL | {"precision": "bfloat16"}).build(SPEC, 2)
    rows = [np.random.default_rng(0).normal(size=(4, 8)).astype("float32"), np.arange(4) % 2]
    difference = np.asarray(fast.generator(rows)) - np.asarray(fast.averaged(rows))
    assert 0 < np.abs(difference).max() < 0.05


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, 8 / 30_000),
        ({"augment_target": 0.0}, 1.0),
        ({"augment": "none"}, 0.0),
        ({"energy_weight": 1.0}, 8 / 30_000),
    ],
)
def test_more_images_are_changed_while_the_discriminator_is_sure_of_real_ones(options, first):
    model = ACGAN(**SMALL | options).build(SPEC, 2)
    # Of all of them, because the generator that it met in this step was an untrained one.
    bias = next(each for each in model.discriminator.variables if each.path.endswith("bias") and each.shape == (1,))
    bias.assign([100.0])
    logs = model.train_on_batch(*_batch(), return_dict=True)
    assert logs["augment_probability"] == pytest.approx(first, rel=1e-6)
    bias.assign([-100.0])
    model.train_on_batch(*_batch())
    assert float(model.probability) == pytest.approx(1.0 if first == 1.0 else 0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"augment_target": 1.0}, "below 1"),
        ({"augment": "cutout,flip"}, "Got 'flip'"),
        ({"augment": "none,cutout"}, "Got 'none'"),
        ({"class_loss": "D2D"}, "must be 'd2d' or 'auxiliary'"),
        ({"discriminator_learning_rate": 0.0}, "above 0"),
        ({"margin": 0.5}, "above 0.5"),
        ({"temperature": 0.0}, "above 0"),
        ({"r1_every": 0}, "at least 1"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_options_say_what_they_must_be(options, said):
    with pytest.raises(ConfigError, match=said):
        ACGAN(recipe="modern", **options)


def test_a_lower_learning_rate_is_lower_for_both_networks():
    assert ACGAN(learning_rate=1e-4).discriminator_learning_rate == 2e-4
    assert ACGAN(recipe="classic", learning_rate=1e-4).discriminator_learning_rate == 1e-4
    assert ACGAN(learning_rate=1e-4, discriminator_learning_rate=3e-4).discriminator_learning_rate == 3e-4
    assert [ACGAN(recipe=each).discriminator_learning_rate for each in ("classic", "modern", "projected")] == [
        2e-4, 1e-3, 6e-4,
    ]  # fmt: skip


@pytest.mark.usefixtures("eagerly")
def test_the_class_is_that_of_the_nearest_proxy_however_long():
    def accuracy(lengths):
        keras.utils.set_random_seed(0)
        model = ACGAN(**SMALL).build(SPEC, 2)
        model.proxies.assign(np.asarray(model.proxies) * np.array(lengths)[:, None])
        return model.train_on_batch(*_batch(), return_dict=True)["class_accuracy"]

    assert accuracy([1.0, 1.0]) == accuracy([1e3, 1.0]) == accuracy([1.0, 1e3])


@pytest.mark.parametrize(("height", "width"), [(30, 30), (66, 66), (8, 8), (64, 36)])
def test_sizes_that_do_not_double_are_refused(height, width):
    with pytest.raises(ConfigError, match="doubled at least 2 times"):
        ACGAN(**SMALL).build(ImageSpec(height=height, width=width, channels=1), 2)


def test_smooth_doubling_damps_what_alternates():
    """The share of an untrained generator's power at the highest frequencies, against doubling by repetition."""

    def share(smooth):
        keras.utils.set_random_seed(1)
        made = ACGAN(**SMALL | {"width": 8}, smooth=smooth).build(SPEC, 2).generator
        noise = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
        images = np.asarray(made([noise, np.arange(32) % 2], training=True))[..., 0]
        power = np.abs(np.fft.fft2(images, axes=(1, 2))) ** 2
        return power[:, 14:19, :].sum() / power[:, 1:].sum()

    assert share(True) < 0.5 * share(False)


def test_export_draws_the_same_images():
    from medsynth.artifact.golden import CpuRunner
    from medsynth.export.keras_onnx import sampler_to_onnx

    plugin = ACGAN(**SMALL | {"precision": "bfloat16"})
    model = plugin.build(SPEC, 3)
    model.train_on_batch(*_batch(6, classes=3))
    sampler = plugin.sampler(model)
    rows = {"noise": np.random.default_rng(0).normal(size=(5, 8)).astype("float32"), "label": np.arange(5) % 3}
    found = CpuRunner(sampler_to_onnx(sampler).SerializeToString()).run(rows)["images"]
    expected = np.asarray(sampler([rows["noise"], rows["label"]]))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


def test_the_energy_distance_keeps_images_of_a_class_apart():
    flat = np.zeros((16, 32, 32, 1), np.uint8) + np.linspace(0, 255, 16).astype(np.uint8)[:, None, None, None]

    def spread(weight):
        keras.utils.set_random_seed(0)
        # The discriminator does not learn, so that nothing else works against the class loss.
        options = {"energy_weight": weight, "discriminator_learning_rate": 1e-12, "learning_rate": 2e-3}
        model = ACGAN(**SMALL | options, augment="none", average=0.0).build(SPEC, 2)
        for _ in range(40):
            model.train_on_batch(flat, np.arange(16) % 2)
        noise = np.random.default_rng(1).normal(size=(32, 8)).astype("float32")
        return float(np.asarray(model.averaged([noise, np.zeros(32, int)])).std(0).mean())

    assert spread(100.0) > 1.5 * spread(0.0)

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medsynth.dataset.phantom import PHANTOM_CLASSES, PhantomSet, make_phantom, phantom_images
from medsynth.dataset.phantom_patient import SLAB, Draws, Patient
from medsynth.dataset.phantom_slice import cut_slice
from medsynth.errors import ConfigError
from medsynth.images import ImageSpec, load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def default() -> PhantomSet:
    return make_phantom()


@settings(max_examples=15, deadline=None)
@given(patients=st.integers(1, 4), slices=st.integers(1, 3), size=st.integers(16, 70), seed=st.integers(0, 2**64 - 1))
def test_table_is_consistent(patients: int, slices: int, size: int, seed: int) -> None:
    drawn = make_phantom(patients=patients, slices_per_patient=slices, size=size, seed=seed)
    count = patients * slices
    assert drawn.images.shape == (count, size, size)
    assert drawn.images.dtype == np.uint8
    assert drawn.labels.dtype == np.int64
    assert drawn.labels.tolist() == [patient % 2 for patient in range(patients) for _ in range(slices)]
    assert len(set(drawn.names)) == len(drawn.names) == len(drawn.groups) == count
    assert list(drawn.names) == sorted(drawn.names)
    assert len(set(drawn.groups)) == patients
    # Every slice shows air, lung and soft tissue: the full range of grey is in use.
    assert (drawn.images.reshape(count, -1).max(axis=1) > 200).all()
    assert (drawn.images.reshape(count, -1).min(axis=1) < 60).all()


@pytest.mark.parametrize(
    "wrong", [{"patients": 0}, {"slices_per_patient": 0}, {"size": 15}, {"seed": -1}, {"seed": 2**64}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"phantom: {next(iter(wrong))} must be from"):
        make_phantom(**{"patients": 1, "size": 16, **wrong})


def test_default_set_is_balanced_and_the_diseased_class_sorts_last(default: PhantomSet) -> None:
    assert np.bincount(default.labels).tolist() == [len(default.labels) // 2] * 2
    assert list(PHANTOM_CLASSES) == sorted(PHANTOM_CLASSES)
    assert default.classes[1] == "opacity"


def test_a_patient_does_not_depend_on_how_many_there_are() -> None:
    many = make_phantom(patients=5, slices_per_patient=2, size=32, seed=3)
    few = make_phantom(patients=3, slices_per_patient=2, size=32, seed=3)
    np.testing.assert_array_equal(many.images[:6], few.images)
    assert many.names[:6] == few.names


def test_seeds_and_patients_differ() -> None:
    one = make_phantom(patients=4, slices_per_patient=2, size=32, seed=0).images
    other = make_phantom(patients=4, slices_per_patient=2, size=32, seed=1).images
    images = np.concatenate([one, other]).reshape(16, -1)
    assert len(np.unique(images, axis=0)) == 16


def test_pixels_are_the_same_on_every_machine() -> None:
    """A golden file: nothing else makes these pixels. The arithmetic is exact everywhere, so the hash must hold."""
    pixels = make_phantom(patients=4, slices_per_patient=2, size=64, seed=7).images.tobytes()
    assert hashlib.sha256(pixels).hexdigest() == "39200bc5ddc84117a88a853112784484a1157b1c511bf98c76372e9fcacc2e09"


def test_uniform_numbers_follow_the_documented_formula() -> None:
    words = np.random.Philox(key=np.array([9, 0x6D656473796E7468], np.uint64), counter=[0, 0, 2, 5]).random_raw(5)
    expected = [int(word) / 2**64 for word in words]
    draws = Draws(9, 5, 2)
    assert [draws.uniform(0.0, 1.0) for _ in range(2)] == pytest.approx(expected[:2], abs=2**-53)
    np.testing.assert_allclose(draws.array(3), expected[2:], atol=2**-53)


@given(height=st.integers(1, 9), width=st.integers(1, 9))
def test_noise_has_the_shape_asked_for(height: int, width: int) -> None:
    assert Draws(0, 0, 1).normal(height, width).shape == (height, width)


def test_noise_is_standard_normal_in_its_first_moments() -> None:
    noise = Draws(0, 0, 1).normal(300, 300)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1.0) < 0.02
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def _twins(index: int, level: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same noiseless slice of the same patient, clear and ill."""
    ill = replace(Patient.draw(0, index, ill=True), noise=(0.0, 0.0))
    clear = replace(ill, ill=False)
    slices = (cut_slice(patient, level, Draws(0, index, 1), 128) for patient in (clear, ill))
    first, second = (pixels.astype(np.int64) for pixels in slices)
    return first, second


@pytest.mark.parametrize("level", [-SLAB / 2, 0.0, SLAB / 2])
def test_classes_differ_in_arrangement_and_not_in_grey_levels(level: float) -> None:
    moved, shifted = [], []
    for index in range(30):
        clear, ill = _twins(index, level)
        moved.append(np.mean(np.abs(clear - ill) > 10))
        shifted.append(np.abs(np.sort(clear, axis=None) - np.sort(ill, axis=None)).mean())
    assert min(moved) > 0.02  # Opacities are visible in every slice of every patient,
    assert max(shifted) < 0.6  # and hardly show in the histogram: less than a grey level.


def test_slices_of_a_patient_resemble_each_other(default: PhantomSet) -> None:
    """Nearest neighbours: why a split must keep patients together."""
    from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    thumbnails = default.images.reshape(-1, 32, 4, 32, 4).mean((2, 4)).reshape(len(default.labels), -1)
    probe = KNeighborsClassifier(1)
    by_slice = cross_val_predict(probe, thumbnails, default.labels, cv=KFold(5, shuffle=True, random_state=0))
    by_patient = cross_val_predict(probe, thumbnails, default.labels, groups=default.groups, cv=GroupKFold(5))
    identity = cross_val_predict(probe, thumbnails, default.groups, cv=KFold(4, shuffle=True, random_state=0))
    assert np.mean(identity == np.array(default.groups)) > 0.9
    assert np.mean(by_slice == default.labels) > np.mean(by_patient == default.labels) + 0.15


def _grey_level_features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    flat = images.reshape(len(images), -1).astype(np.float64)
    histogram = np.stack([np.histogram(row, bins=32, range=(0, 256), density=True)[0] for row in flat])
    percentiles = np.percentile(flat, [1, 5, 10, 25, 50, 75, 90, 95, 99], axis=1).T
    return np.column_stack([flat.mean(1), flat.std(1), percentiles, histogram])


def _grey_level_auc(drawn: PhantomSet) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
    features = _grey_level_features(drawn.images)
    folds = {"groups": drawn.groups, "cv": GroupKFold(5)}
    chances = cross_val_predict(probe, features, drawn.labels, method="predict_proba", **folds)
    return float(roc_auc_score(drawn.labels, chances[:, 1]))


def test_grey_levels_do_not_give_the_label_away(default: PhantomSet) -> None:
    assert _grey_level_auc(default) < 0.65
    assert _grey_level_auc(make_phantom(size=64, seed=1)) < 0.65


def test_a_small_convolutional_network_learns_the_label(default: PhantomSet) -> None:
    keras = pytest.importorskip("keras")
    from sklearn.metrics import roc_auc_score

    keras.utils.set_random_seed(0)
    images = default.images.reshape(-1, 64, 2, 64, 2).mean((2, 4))[..., None] / 127.5 - 1.0
    train = np.arange(len(images)) < 0.7 * len(images)
    assert not {default.groups[i] for i in np.flatnonzero(train)} & {default.groups[i] for i in np.flatnonzero(~train)}
    inputs = x = keras.Input((64, 64, 1))
    for width in (16, 32, 64):
        for stride in (1, 2):
            x = keras.layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
            # The default momentum would need more steps than a quick test has.
            x = keras.layers.BatchNormalization(momentum=0.9)(x)
            x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    network.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    network.fit(images[train], default.labels[train], batch_size=32, epochs=5, verbose=0)
    chances = network.predict(images[~train], verbose=0)[:, 0]
    assert roc_auc_score(default.labels[~train], chances) > 0.9


@settings(max_examples=10, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200), channels=st.sampled_from([1, 3]), count=st.integers(1, 3))
def test_golden_inputs_fit_any_model(height: int, width: int, channels: int, count: int) -> None:
    spec = ImageSpec(height=height, width=width, channels=channels)
    images = phantom_images(count, spec, seed=5)
    assert images.shape == (count, *spec.shape)
    assert images.dtype == np.uint8
    raw = make_phantom(patients=count, slices_per_patient=1, seed=5).images
    np.testing.assert_array_equal(images[-1], load_image(raw[-1], spec))
    resized = np.asarray(Image.fromarray(raw[0]).resize((width, height), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(images[0], np.repeat(resized[..., None], channels, axis=2))

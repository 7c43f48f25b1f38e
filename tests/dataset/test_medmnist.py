from __future__ import annotations

import numpy as np
import pytest

from medsynth.dataset import load_dataset
from medsynth.errors import DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def archive(tmp_path):
    def make(classes=2, shape=(28, 28), **replaced):
        arrays = {}
        for part, count in (("train", 30), ("val", 6), ("test", 9)):
            arrays[f"{part}_images"] = RNG.integers(0, 256, (count, *shape), np.uint8)
            arrays[f"{part}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
        arrays |= replaced
        path = tmp_path / "pneumoniamnist.npz"
        np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
        return path, arrays

    return make


@pytest.mark.parametrize("shape", [(28, 28), (64, 64), (28, 28, 3)])
def test_images_labels_and_parts_are_those_of_the_archive(archive, shape):
    path, arrays = archive(shape=shape)
    data = load_dataset(path)
    assert data.source == "pneumoniamnist.npz"
    assert data.classes == ("0", "1")
    assert data.groups is None
    for part, key in (("train", "train"), ("validation", "val"), ("test", "test")):
        rows = data.part(part)
        np.testing.assert_array_equal(np.stack(rows.images), arrays[f"{key}_images"])
        np.testing.assert_array_equal(rows.labels, arrays[f"{key}_labels"].ravel())
    assert data.names[0] == "test/000000.png"
    spec = data.image_spec(28 if shape[0] == 28 else 64)
    assert spec.channels == (3 if len(shape) == 3 else 1)
    decoded = data.part("test").decode(spec)
    np.testing.assert_array_equal(decoded.images.reshape(arrays["test_images"].shape), arrays["test_images"])


def test_class_numbers_keep_their_order_past_nine(archive):
    data = load_dataset(archive(classes=11)[0])
    assert data.classes == tuple(str(number) for number in range(11))
    assert data.part("train").labels.tolist() == [i % 11 for i in range(30)]


def test_without_validation_it_comes_from_train(archive):
    data = load_dataset(archive(val_images=None, val_labels=None)[0])
    assert len(data.part("validation")) == 4
    assert len(data.part("test")) == 9


def test_labels_of_one_dimension(archive):
    assert len(load_dataset(archive(train_labels=np.arange(30) % 2)[0])) == 45


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"train_images": None}, "must hold train_images, train_labels, test_images, test_labels"),
        ({"test_labels": None}, "must hold"),
        ({"train_labels": np.zeros((30, 14), np.uint8)}, "several labels per image are not supported"),
        (
            {"train_labels": np.zeros((29, 1), np.uint8)},
            "shape \\(30, 1\\), one class per image. Got uint8 \\(29, 1\\)",
        ),
        ({"train_labels": np.zeros((30, 1))}, "integers"),
        ({"val_labels": None}, "val_labels must be integers .* Got nothing"),
        ({"train_images": np.zeros((30, 28, 28, 28), np.uint8)}, "volumes are not supported"),
        ({"train_images": np.full((30, 28, 28), "x")}, "must be numbers"),
        ({"train_labels": np.zeros((30, 1), np.uint8)}, "training part. Classes without: 1"),
    ],
)
def test_other_archives_are_refused(archive, replaced, words):
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(archive(**replaced)[0])
    assert "\n" not in str(caught.value)


def test_files_that_are_no_archive(tmp_path):
    for name, content in (("empty", b""), ("text", b"hello"), ("zip", b"PK\x03\x04garbage")):
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as a NumPy \.npz archive"):
            load_dataset(tmp_path / f"{name}.npz")


def test_a_truncated_archive(archive):
    path, _ = archive()
    content = path.read_bytes()
    for share in (0.3, 0.7, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError):
            load_dataset(path)


def test_objects_are_never_unpickled(archive):
    path, _ = archive(train_images=np.array([{"a": 1}] * 30, dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset(path)

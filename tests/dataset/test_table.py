from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import Dataset, load_dataset
from medsynth.errors import DataError, OutputError
from medsynth.images import ImageSpec, load_image, load_images

# --- the table --------------------------------------------------------------------------------------------------------


def test_parts_and_rows(arrays):
    data = arrays(12)
    assert len(data) == 12
    assert data.counts() == {"clear": 6, "ill": 6}
    assert data.positive_index == 1
    assert [len(data.part(part)) for part in ("train", "validation", "test")] == [8, 2, 2]
    chosen = data.take([5, 0, -1])
    assert chosen.names == ("set/005.png", "set/000.png", "set/011.png")
    assert chosen.labels.tolist() == [1, 0, 1]
    assert chosen.images[0] is data.images[5]
    assert data.take(data.labels == 1).counts() == {"clear": 0, "ill": 6}
    assert len(data.take([])) == 0


def test_an_empty_or_unknown_part_is_an_error_that_lists_the_parts(arrays):
    with pytest.raises(DataError, match=r"no images in the part 'test'. Parts with images: train"):
        arrays(12).part("train").part("test")
    with pytest.raises(DataError, match="'training'"):
        arrays().part("training")


def test_repr_says_what_matters(arrays):
    assert repr(arrays(12)) == "<Dataset set: 12 images; clear 6, ill 6; train 8, validation 2, test 2; positive ill>"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"names": ("a",)}, "names must have one entry per image, 12. Got 1"),
        ({"names": ("a",) * 12}, "unique"),
        ({"labels": np.full(12, 2)}, "class indices from 0 to 1"),
        ({"labels": np.full(12, -1)}, "class indices from 0 to 1"),
        ({"split": ("train",) * 11 + ("exam",)}, "train, validation, test. Got exam"),
        ({"positive": "Ill"}, "one of clear, ill. Got 'Ill'. Did you mean 'ill'?"),
        ({"positive": "zzz"}, "Got 'zzz'.$"),
        ({"groups": ("p1",) * 12}, "group 'p1' lies in both train and validation"),
        ({"groups": ("p1",)}, "groups must have one entry"),
    ],
)
def test_impossible_tables_are_refused(arrays, wrong, message):
    with pytest.raises(DataError, match=message):
        arrays(12, **wrong)


# --- decoding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def every_kind(tmp_path):
    """Files of all modes in two class folders."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (40, 30), np.uint8)
    colour = rng.integers(0, 256, (40, 30, 3), np.uint8)
    deep = rng.integers(0, 4096, (40, 30), np.uint16)
    turned = Image.Exif()
    turned[0x0112] = 6
    with_alpha = Image.fromarray(grey)
    with_alpha.putalpha(Image.fromarray(grey[::-1].copy()))
    pictures = {
        "a/grey.png": (Image.fromarray(grey), {}),
        "a/rgb.png": (Image.fromarray(colour), {}),
        "a/rgba.png": (Image.fromarray(np.dstack([colour, grey])), {}),
        "a/la.png": (with_alpha, {}),
        "a/palette.png": (Image.fromarray(colour).quantize(32), {}),
        "a/bits.png": (Image.fromarray(grey > 99), {}),
        "b/cmyk.jpg": (Image.fromarray(colour).convert("CMYK"), {}),
        "b/turned.jpg": (Image.fromarray(grey), {"exif": turned}),
        "b/deep.png": (Image.fromarray(deep), {}),
        "b/deep.tif": (Image.fromarray(deep), {}),
        "b/float.tif": (Image.fromarray(deep.astype(np.float32)), {}),
        "b/one.png": (Image.fromarray(grey[:1, :1].copy()), {}),
    }
    for name, (image, options) in pictures.items():
        (tmp_path / "kinds" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "kinds" / name, **options)
    return tmp_path / "kinds"


@pytest.mark.parametrize("channels", [1, 3])
def test_training_and_inference_see_bit_identical_pixels(every_kind, channels):
    data = load_dataset(every_kind)
    spec = ImageSpec(height=24, width=20, channels=channels, window=(100, 3900))
    decoded = data.decode(spec)
    assert decoded.names == data.names
    assert not decoded.skipped
    for name, image in zip(decoded.names, decoded.images, strict=True):
        np.testing.assert_array_equal(image, load_image(every_kind / name, spec))
    np.testing.assert_array_equal(decoded.images, load_images(list(data.images), spec))
    np.testing.assert_array_equal(decoded.labels, data.labels)


def test_decode_does_not_depend_on_the_number_of_workers(every_kind):
    data = load_dataset(every_kind)
    spec = ImageSpec(height=8, width=8, channels=3, window=(0, 4095))
    np.testing.assert_array_equal(data.decode(spec, workers=1).images, data.decode(spec, workers=7).images)


def test_unreadable_images_are_listed_and_never_fatal(classes):
    root = classes(covid=10, normal=10)
    (root / "covid/slice-2.png").write_bytes(b"")
    whole = (root / "normal/slice-3.png").read_bytes()
    (root / "normal/slice-3.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(root / "normal/slice-4.png")
    data = load_dataset(root)
    seen = []
    decoded = data.decode(
        ImageSpec(height=6, width=6, channels=1), on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(i, 20) for i in range(1, 21)]
    assert {skip.name for skip in decoded.skipped} == {
        "covid/slice-2.png",
        "normal/slice-3.png",
        "normal/slice-4.png",
    }
    reasons = {skip.name: skip.reason for skip in decoded.skipped}
    assert reasons["covid/slice-2.png"] == "the file is empty."
    assert "cannot be decoded" in reasons["normal/slice-3.png"]
    assert "more than 8 bits" in reasons["normal/slice-4.png"]
    assert not any(str(root) in reason for reason in reasons.values())
    kept = [row for row, name in enumerate(data.names) if name not in reasons]
    assert decoded.names == tuple(data.names[row] for row in kept)
    assert decoded.labels.tolist() == data.labels[kept].tolist()
    assert decoded.images.shape == (17, 6, 6, 1)
    for name, image in zip(decoded.names, decoded.images, strict=True):
        np.testing.assert_array_equal(image, load_image(root / name, ImageSpec(height=6, width=6, channels=1)))


def test_a_class_without_one_readable_image_is_an_error(classes):
    root = classes(covid=3, normal=3)
    for path in (root / "covid").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 1 images of class 'covid' can be read.*the file is empty"):
        load_dataset(root).part("test").decode(ImageSpec(height=6, width=6, channels=1))


def test_decoded_rows_keep_their_groups(arrays):
    groups = tuple(f"p{i}" for i in range(12))
    data = arrays(12, groups=groups).take([3, 2])
    assert data.decode(ImageSpec(height=4, width=4, channels=1)).groups == ("p3", "p2")
    assert len(data.take([]).decode(ImageSpec(height=4, width=4, channels=1))) == 0


# --- what the data want -----------------------------------------------------------------------------------------------


def test_grey_data_want_one_channel_and_8_bits_no_window(classes):
    spec = load_dataset(classes(a=5, b=5)).image_spec(32)
    assert spec == ImageSpec(height=32, width=32, channels=1)
    assert load_dataset(classes(a=5, b=5)).image_spec(32, channels=3).channels == 3


def test_one_colour_image_in_the_sample_is_enough_and_the_test_part_does_not_count(arrays):
    colour = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
    images = list(arrays(12).images)
    assert arrays(12, images=(*images[:7], colour, *images[8:])).image_spec(16).channels == 3
    assert arrays(12, images=(*images[:-1], colour)).image_spec(16).channels == 1


def test_the_window_comes_from_the_training_part_alone(arrays):
    deep = [np.full((4, 4), 1000 + 10 * i, np.uint16) for i in range(8)]
    held_out = [np.full((4, 4), 60000, np.uint16)] * 4
    low, high = arrays(12, images=(*deep, *held_out)).image_spec(16).window
    assert 1000 <= low < high <= 1070


# --- fingerprint ------------------------------------------------------------------------------------------------------


def test_fingerprint_does_not_depend_on_where_the_data_lie(classes, tmp_path):
    root = classes(a=4, b=5)
    data = load_dataset(root)
    shutil.copytree(root, tmp_path / "elsewhere" / "scans")
    assert load_dataset(tmp_path / "elsewhere" / "scans").fingerprint == data.fingerprint
    data.to_csv(tmp_path / "run" / "data.csv")
    assert load_dataset(tmp_path / "run" / "data.csv").fingerprint == data.fingerprint
    data.to_csv(tmp_path / "data.csv")
    assert load_dataset(tmp_path / "data.csv").fingerprint == data.fingerprint
    assert len(data.fingerprint) == 64


def test_fingerprint_sees_pixels_labels_names_parts_and_classes(classes, arrays):
    root = classes(a=4, b=5)
    prints = {load_dataset(root).fingerprint}
    path = root / "a" / "slice-1.png"
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    prints.add(load_dataset(root).fingerprint)
    path.write_bytes(content)
    path.rename(root / "a" / "slice-9.png")
    prints.add(load_dataset(root).fingerprint)
    (root / "a" / "slice-9.png").rename(root / "b" / "slice-9.png")
    prints.add(load_dataset(root).fingerprint)
    (root / "a").rename(root / "c")
    prints.add(load_dataset(root).fingerprint)
    assert len(prints) == 5
    base = arrays(12)
    brighter = base.images[0].copy()
    brighter[0, 0] ^= 1
    variants = [
        base,
        arrays(12, images=(brighter, *base.images[1:])),
        arrays(12, split=("train",) * 8 + ("test",) * 4),
        arrays(12, labels=1 - base.labels),
        arrays(12, images=(base.images[0].T, *base.images[1:])),
        arrays(12, images=(base.images[0].astype(np.uint16), *base.images[1:])),
    ]
    assert len({data.fingerprint for data in variants}) == 6
    assert arrays(12).fingerprint == base.fingerprint


def test_fingerprint_is_sha256_over_what_it_says(arrays):
    data = arrays(12)
    rows = [
        [
            name.removeprefix("set/"),
            int(label),
            part,
            hashlib.sha256(f"|u1 {image.shape} ".encode() + image.tobytes()).hexdigest(),
        ]
        for name, label, part, image in zip(data.names, data.labels, data.split, data.images, strict=True)
    ]
    assert data.fingerprint == hashlib.sha256(json.dumps([["clear", "ill"], rows]).encode()).hexdigest()


def test_fingerprint_survives_a_lost_file(classes):
    root = classes(a=4, b=5)
    data = load_dataset(root)
    (root / "a" / "slice-1.png").unlink()
    assert data.fingerprint != load_dataset(classes(a=4, b=5)).fingerprint


# --- CSV --------------------------------------------------------------------------------------------------------------


def same(one: Dataset, other: Dataset) -> bool:
    return (
        one.names == other.names
        and one.labels.tolist() == other.labels.tolist()
        and one.classes == other.classes
        and one.groups == other.groups
        and one.split == other.split
        and [str(image) for image in one.images] == [str(image) for image in other.images]
    )


@pytest.mark.parametrize("where", ["data.csv", "scans/data.csv", "runs/one/data.csv"])
def test_csv_reproduces_the_table_from_any_folder(classes, tmp_path, where, monkeypatch):
    data = load_dataset(classes(**{"covid, mild": 9, 'no "covid"': 12}))
    path = tmp_path / where
    data.to_csv(path)
    monkeypatch.chdir("/")
    again = load_dataset(path)
    assert again.split == data.split
    assert [str(image) for image in again.images] == [str(image) for image in data.images]
    assert again.classes == data.classes
    assert again.fingerprint == data.fingerprint
    assert ("scans" not in path.read_text()) == (where == "scans/data.csv")


def test_csv_keeps_groups_and_a_split_that_was_dealt_from_a_seed(manifest, tmp_path):
    rows = [f"images/{i}.png,{'ab'[i % 2]},p{i // 3}" for i in range(60)]
    data = load_dataset(manifest("path,label,group", *rows), seed=5)
    data.to_csv(tmp_path / "scans" / "again.csv")
    assert same(load_dataset(tmp_path / "scans" / "again.csv", seed=0), data)


def test_csv_of_arrays_is_a_record(arrays, tmp_path):
    arrays(12).to_csv(tmp_path / "data.csv")
    lines = (tmp_path / "data.csv").read_text().splitlines()
    assert lines[:2] == ["path,label,group,split", "set/000.png,clear,,train"]
    with pytest.raises(DataError, match="none of the 12 files"):
        load_dataset(tmp_path / "data.csv")


def test_csv_that_cannot_be_written(arrays, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        arrays().to_csv(tmp_path / "file" / "data.csv")

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import Skipped, load_dataset
from medsynth.errors import DataError


def test_class_folders_in_natural_order_split_in_blocks(classes):
    data = load_dataset(classes(normal=12, covid=20))
    assert data.classes == ("covid", "normal")
    assert data.positive == "normal"
    assert data.source == "scans"
    assert data.names[:20] == tuple(f"covid/slice-{i}.png" for i in range(1, 21))
    assert data.names[20:] == tuple(f"normal/slice-{i}.png" for i in range(1, 13))
    assert data.split[:20] == ("train",) * 14 + ("validation",) * 3 + ("test",) * 3
    assert data.split[20:] == ("train",) * 8 + ("validation",) * 2 + ("test",) * 2
    assert data.groups is None
    assert all(path.is_absolute() for path in data.images)


def test_the_split_does_not_depend_on_the_seed_or_on_the_way_the_folder_is_named(classes, monkeypatch):
    root = classes(a=9, b=8)
    data = load_dataset(root, seed=3)
    monkeypatch.chdir(root)
    for name in (".", "../scans", str(root) + "/", "a/.."):
        again = load_dataset(name)
        assert (again.names, again.split, again.images, again.source) == (data.names, data.split, data.images, "scans")


def test_positive_class(classes):
    root = classes(covid=4, normal=4)
    assert load_dataset(root, positive="covid").positive_index == 0
    with pytest.raises(DataError, match=r"one of covid, normal. Got 'COVID'. Did you mean 'covid'"):
        load_dataset(root, positive="COVID")


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "TEST"), ("train", "testing")])
def test_train_and_test_folders_with_validation_from_the_end_of_train(classes, names):
    classes(f"scans/{names[0]}", covid=20, normal=7)
    root = classes(f"scans/{names[1]}", covid=3, normal=2).parent
    data = load_dataset(root)
    assert [len(data.part(part)) for part in ("train", "validation", "test")] == [23, 4, 5]
    assert data.part("validation").names == (
        *(f"{names[0]}/covid/slice-{i}.png" for i in (18, 19, 20)),
        f"{names[0]}/normal/slice-7.png",
    )
    assert all(name.startswith(f"{names[1]}/") for name in data.part("test").names)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_used_as_it_is(classes, name):
    classes("scans/train", a=10, b=10)
    classes(f"scans/{name}", a=2, b=3)
    root = classes("scans/test", a=1, b=1).parent
    assert load_dataset(root).part("validation").counts() == {"a": 2, "b": 3}


def test_train_alone_is_split_like_any_folder(classes):
    root = classes("scans/train", a=20, b=20).parent
    assert load_dataset(root).part("test").counts() == {"a": 3, "b": 3}


def test_test_alone_is_a_set_for_evaluation(classes):
    root = classes("scans/test", a=4, b=5).parent
    data = load_dataset(root)
    assert set(data.split) == {"test"}
    assert data.image_spec(16).channels == 1
    with pytest.raises(DataError, match="no images in the part 'train'"):
        data.part("train")


def test_litter_is_passed_over(classes, picture):
    root = classes(a=3, b=3)
    for name in (
        ".hidden.png",
        "a/._slice-1.png",
        "a/.DS_Store",
        "__MACOSX/a/x.png",
        ".git/x.png",
        ".ipynb_checkpoints/x.png",
    ):
        picture(root / f"{name}.png").rename(root / name) if not name.endswith(".png") else picture(root / name)
    for name in ("Thumbs.db", "a/Thumbs.db", "b/desktop.ini", "a/notes.txt", "README.md"):
        (root / name).write_text("x")
    data = load_dataset(root)
    assert len(data) == 6
    assert data.classes == ("a", "b")
    assert data.skipped == ()


def test_what_is_left_out_is_listed(classes, picture):
    root = classes(a=3, b=3)
    picture(root / "stray.png")
    picture(root / "a" / "masks" / "slice-1.png")
    assert load_dataset(root).skipped == (
        Skipped("stray.png", "lies beside the class folders, so it has no label"),
        Skipped("a/masks/", "a folder inside a class folder is not read"),
    )
    classes("parts/train", a=3, b=3)
    classes("parts/extra", a=3)
    parts = classes("parts/test", a=3, b=3).parent
    assert load_dataset(parts).skipped == (Skipped("extra/", "lies beside test, train and is not read"),)


def test_suffixes_are_compared_without_case(classes):
    root = classes(a=3, b=3)
    (root / "a" / "slice-1.png").rename(root / "a" / "SLICE-1.PNG")
    assert len(load_dataset(root)) == 6


def test_links_to_folders_and_files_are_followed(classes, tmp_path):
    root = classes(a=3, b=3)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to(root / "a")
    (tmp_path / "linked" / "b").symlink_to(root / "b")
    assert load_dataset(tmp_path / "linked").names == load_dataset(root).names


# --- folders that are no data set -------------------------------------------------------------------------------------


def refuse(folder, *words):
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_an_empty_folder(tmp_path):
    (tmp_path / "scans").mkdir()
    refuse(tmp_path / "scans", "scans: no images found", "CLASS/*.png", "train/CLASS/*")


def test_images_without_class_folders(classes):
    refuse(classes(covid=4) / "covid", "covid: has 4 images but no class folders", "CSV")


def test_one_class_only(classes):
    refuse(classes(covid=4), "at least 2 classes", "only 'covid' (4 images)")


def test_an_empty_class_folder(classes):
    root = classes(covid=4, normal=4)
    (root / "other").mkdir()
    refuse(root, "Without any: other", "remove")


def test_a_class_without_training_images(classes):
    classes("scans/train", a=5, b=5)
    refuse(classes("scans/test", a=1, b=1, c=4).parent, "training part", "without: c")


def test_class_names_that_differ_only_in_case(classes):
    refuse(classes(COVID=3, covid=4, normal=5), "'COVID' (3 images) and 'covid' (4 images)", "rename the folder")
    classes("parts/train", Covid=3, normal=4)
    refuse(classes("parts/test", covid=3, normal=4).parent, "'Covid'", "'covid'")


def test_a_parent_of_data_sets_names_them(classes, tmp_path):
    classes("all/ct/train", a=2, b=2)
    classes("all/ct/test", a=2, b=2)
    classes("all/cxr", a=2, b=2)
    refuse(tmp_path / "all", "not a data set itself", "seems to hold 2", "all/ct, all/cxr")
    (tmp_path / "top").mkdir()
    (tmp_path / "all").rename(tmp_path / "top" / "all")
    refuse(tmp_path / "top", "top/all/ct, top/all/cxr")


def test_part_folders_without_class_folders(classes, picture, tmp_path):
    picture(tmp_path / "flat" / "train" / "1.png")
    picture(tmp_path / "flat" / "test" / "1.png")
    refuse(tmp_path / "flat", "test/ must hold one folder per class", "path,label,split")


def test_a_validation_part_without_a_test_part(classes):
    classes("scans/train", a=5, b=5)
    refuse(classes("scans/val", a=5, b=5).parent, "train, validation", "no test part", "Call one of them test")


def test_two_folders_for_one_part(classes):
    classes("scans/train", a=5, b=5)
    classes("scans/val", a=5, b=5)
    refuse(classes("scans/validation", a=5, b=5).parent, "val/ and validation/ are", "validation part")


def test_a_folder_of_archives(tmp_path):
    (tmp_path / "archive.zip").touch()
    refuse(tmp_path, "archive.zip", "unpack")


def test_a_folder_that_cannot_be_read(classes, monkeypatch):
    root = classes(a=3, b=3)

    def refuse_to_list(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse_to_list)
    refuse(root, "cannot be read (Permission denied)")


def test_a_name_that_is_not_utf8(classes):
    root = classes(a=3, b=3)
    (root / "a" / "slice-1.png").rename(str(root / "a") + "/slice-\udcff.png")
    refuse(root, "not valid UTF-8", "Rename")


def test_deep_and_unreadable_files_do_not_stop_the_listing(classes):
    root = classes(a=4, b=4)
    (root / "a" / "slice-1.png").write_bytes(b"")
    (root / "b" / "slice-1.png").write_text("hello")
    Image.fromarray(np.full((5, 5), 3000, np.uint16)).save(root / "b" / "slice-2.png")
    data = load_dataset(root)
    assert len(data) == 8
    assert data.image_spec(8).window == (3000, 3001)
    assert len(data.part("train").decode(data.image_spec(8)).skipped) == 2

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import load_dataset
from medsynth.errors import DataError
from medsynth.infer.sources import gather


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_a_folder_in_natural_order_to_its_leaves(tmp_path: Path) -> None:
    touch(tmp_path, "b/10.png", "b/9.JPG", "a/x.tif", "2.png", "notes.txt", ".hidden.png", "b/deep/1.dcm", "Thumbs.db")
    found = gather(tmp_path)
    assert found.names == ("2.png", "a/x.tif", "b/9.JPG", "b/10.png", "b/deep/1.dcm")
    assert [Path(str(image)).relative_to(tmp_path).as_posix() for image in found.images] == list(found.names)
    assert gather(str(tmp_path)).names == found.names


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert gather(tmp_path).names == ("a/1.png",)


def test_a_folder_with_two_names_is_walked_under_both(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/deep/2.png", "c/3.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "c" / "back").symlink_to(tmp_path / "c")
    found = gather(tmp_path)
    assert found.names == ("a/1.png", "a/deep/2.png", "b/1.png", "b/deep/2.png", "c/3.png")


def test_one_file(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "x.png")
    assert gather(tmp_path / "x.png").names == ("x.png",)


def test_paths_and_arrays_keep_their_order(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2), np.uint8)
    found = gather([tmp_path / "b.png", "a.png", pixels])
    assert found.names == ((tmp_path / "b.png").as_posix(), "a.png", "array/0002")
    assert len(gather(np.zeros((5, 4, 4, 1), np.uint8))) == 5


def test_a_data_set_keeps_its_names() -> None:
    data = load_dataset("phantom").take([3, 1])
    found = gather(data)
    assert found.names == data.names
    assert found.images is data.images


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for sources, said in (
        (tmp_path, "no images in this folder or below it"),
        (tmp_path / "absent", "no such folder or image"),
        ([], "the list is empty"),
    ):
        with pytest.raises(DataError, match=said):
            gather(sources)


def test_a_csv_gives_its_rows_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    table = tmp_path / "list.csv"
    table.write_text(
        "\ufeffid, Path ,label\n1,in/b.png,x\n2,in\\a.png,y\n\n3,/elsewhere/c.png,\n4,in/b.png,x\n", "utf-8"
    )
    (tmp_path / "in" / "a.png").touch()
    found = gather(table)
    assert found.names == ("in/b.png", "in\\a.png", "/elsewhere/c.png", "in/b.png")
    here = tmp_path / "in"
    assert tuple(found.images) == (here / "b.png", here / "a.png", Path("/elsewhere/c.png"), here / "b.png")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "one column path, separated by commas. Got: an empty file"),
        (b"file,label\na.png,x\n", "one column path, separated by commas. Got: file, label"),
        (b"path;label\na.png;x\n", "Got: path;label"),
        (b"path\n\n", "the CSV has only its header"),
        (b"path\n\xff\xfe.png\n", "must be UTF-8"),
    ],
)
def test_a_csv_that_lists_no_images(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        gather(tmp_path / "list.csv")


def test_a_csv_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "list.csv")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"list\.csv: cannot be read \(Permission denied\)"):
        gather(tmp_path / "list.csv")

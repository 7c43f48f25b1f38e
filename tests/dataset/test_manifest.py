from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.dataset import Skipped, load_dataset
from medsynth.errors import DataError
from medsynth.infer import generate_images, load_sampler

ROWS = [f"images/{i}.png,{'covid' if i % 2 else 'normal'}" for i in range(1, 21)]


def refuse(path, *words, **options):
    with pytest.raises(DataError) as caught:
        load_dataset(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_path_and_label_suffice(manifest):
    data = load_dataset(manifest("path,label", *reversed(ROWS)))
    assert data.names == tuple(f"images/{i}.png" for i in range(1, 21))
    assert data.classes == ("covid", "normal")
    assert data.counts() == {"covid": 10, "normal": 10}
    assert data.source == "labels.csv"
    assert data.part("test").names == ("images/17.png", "images/18.png", "images/19.png", "images/20.png")


@pytest.mark.parametrize(
    ("header", "encoding"),
    [("Path, LABEL ", "utf-8"), ("path,label", "utf-8-sig"), ("\ufeffpath,label", "utf-8")],
)
def test_header_in_any_case_and_with_a_byte_order_mark(manifest, header, encoding):
    path = manifest("path,label", *ROWS)
    path.write_text("\n".join([header, *ROWS]), encoding=encoding)
    assert len(load_dataset(path)) == 20


def test_other_columns_and_blank_lines_are_ignored_and_cells_are_trimmed(manifest):
    rows = [f"{i}, {row.replace(',', ' , ')} ,x" for i, row in enumerate(ROWS)]
    data = load_dataset(manifest("id,path,label,note", *rows[:10], "", ",,,", *rows[10:]))
    assert len(data) == 20
    assert data.classes == ("covid", "normal")


def test_groups_decide_the_split(manifest):
    rows = [f"{i}.png,{'ab'[i // 5 % 2]},patient {i // 5}" for i in range(200)]
    data = load_dataset(manifest("path,label,group", *rows))
    assert data.groups[:6] == ("patient 0",) * 5 + ("patient 1",)
    assert data.part("train").counts() == {"a": 70, "b": 70}
    assert data.part("test").counts() == {"a": 15, "b": 15}
    assert load_dataset(manifest("path,label,group", *rows), seed=1).split != data.split
    assert not {*data.part("train").groups} & {*data.part("test").groups, *data.part("validation").groups}


def test_split_is_taken_as_given(manifest):
    parts = ["train", "Training", "VAL", "test"]
    data = load_dataset(manifest("path,label,split", *[f"{row},{parts[i % 4]}" for i, row in enumerate(ROWS)]))
    assert data.split == tuple(["train", "train", "validation", "test"][i % 4] for i in range(20))


def test_validation_comes_from_whole_groups_of_train(manifest):
    rows = [f"{i}.png,{'ab'[i // 4 % 2]},p{i // 4},{'test' if i >= 160 else 'train'}" for i in range(200)]
    data = load_dataset(manifest("path,label,group,split", *rows))
    assert set(data.part("test").names) == {f"{i}.png" for i in range(160, 200)}
    assert len(data.part("validation")) == 24
    assert not {*data.part("train").groups} & {*data.part("validation").groups}


def test_a_column_that_is_blank_throughout_counts_as_absent(manifest):
    data = load_dataset(manifest("path,label,group,split", *[f"{row},," for row in ROWS]))
    assert data.groups is None
    assert set(data.split) == {"train", "validation", "test"}


def test_all_test_is_a_set_for_evaluation(manifest):
    assert set(load_dataset(manifest("path,label,split", *[f"{row},test" for row in ROWS])).split) == {"test"}


def test_missing_files_are_skipped_and_listed(manifest):
    data = load_dataset(manifest("path,label", *ROWS, "missing/1.png,covid", "missing/2.png,normal"))
    assert len(data) == 20
    assert [skip.name for skip in data.skipped] == ["missing/1.png", "missing/2.png"]
    assert data.skipped[0] == Skipped("missing/1.png", "listed in the CSV, but there is no such file")


def test_windows_paths(manifest):
    assert load_dataset(manifest("path,label", *[row.replace("/", "\\") for row in ROWS])).names[0] == "images/1.png"


def test_paths_outside_the_folder_and_absolute_ones(manifest, picture, tmp_path):
    rows = [f"../pool/{'xy'[i % 2]}/{i}.png,{'ab'[i % 2]}" for i in range(6)]
    rows += [f"{tmp_path}/pool/z/{i}.png,{'ab'[i % 2]}" for i in range(6)]
    for row in rows:
        picture(tmp_path / "scans" / row.split(",")[0])
    data = load_dataset(manifest("path,label", *rows))
    assert data.names[:2] == ("x/0.png", "x/2.png")
    assert data.images[0] == tmp_path / "pool" / "x" / "0.png"
    assert len(data) == 12


def test_images_on_several_drives_keep_their_whole_names(manifest, picture, tmp_path, monkeypatch):
    rows = [f"{tmp_path}/{'CD'[i % 2]}/{i}.png,{'ab'[i % 2]}" for i in range(8)]
    for row in rows:
        picture(Path(row.split(",")[0]))

    def refuse_drives(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", refuse_drives)
    data = load_dataset(manifest("path,label", *rows))
    assert data.names[0] == (tmp_path / "C" / "0.png").as_posix()
    assert len(data) == 8


def test_a_csv_in_a_folder_rules_it(manifest, classes):
    classes(covid=3, normal=3)
    path = manifest("path,label", *ROWS)
    (path.parent / "prices.csv").write_text("item,price\nx,1\n")
    (path.parent / "latin.csv").write_bytes(b"caf\xe9,th\xe9\n")
    data = load_dataset(path.parent)
    assert data.source == "scans"
    assert len(data) == 20
    (path.parent / "more.csv").write_text(path.read_text())
    refuse(path.parent, "several CSV files", "labels.csv, more.csv", "Name the one")


@pytest.fixture
def shards(tiny, tmp_path):
    """A folder into which three shards were generated, the last of which overlaps."""
    sampler = load_sampler(tiny.generator_file(tmp_path / "generator.onnx"), device="cpu")
    for start, count in ((0, 20), (20, 20), (36, 8)):
        generate_images(sampler, tmp_path / "shared", count, start=start)
    return tmp_path / "shared"


def test_shards_of_a_generator_in_one_folder_are_one_data_set(shards):
    data = load_dataset(shards)
    assert data.source == "shared"
    assert data.names == tuple(f"{i:08d}.png" for i in range(44))
    assert data.counts() == {"clear": 22, "opacity": 22}
    assert not data.skipped
    assert len(load_dataset(shards / "manifest-00000000-00000020.csv")) == 20


def test_shards_that_contradict_each_other_are_told(shards):
    path = shards / "manifest-00000036-00000044.csv"
    path.write_text(path.read_text().replace("clear", "opacity"))
    refuse(shards, "shared: 2 files listed more than once: 00000036.png, 00000038.png")
    path.write_text("path,label,index,seed,model,synthetic\na.png\n")
    refuse(shards, f"shared/{path.name}: every row must have 6 cells")


def test_shards_beside_another_csv_are_not_mixed_with_it(shards):
    (shards / "labels.csv").write_text("path,label\n00000001.png,clear\n")
    refuse(shards, "several CSV files", "labels.csv", "Name the one")
    (shards / "labels.csv").rename(shards / "manifest-00000050-00000060.csv")  # None of ours, by its columns.
    refuse(shards, "several CSV files", "Name the one")


def test_dicom_files_with_a_csv(tmp_path):
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        stored = rng.integers(0, 2000, (10, 8), np.uint16)
        slice_ = pydicom.Dataset()
        slice_.file_meta = pydicom.dataset.FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = generate_uid()
        slice_.Rows, slice_.Columns = stored.shape
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated = slice_.BitsStored = 16
        slice_.HighBit, slice_.PixelRepresentation = 15, 0
        slice_.RescaleSlope, slice_.RescaleIntercept = "1", "-1000"
        slice_.WindowCenter, slice_.WindowWidth = "0", "1500"
        slice_.PatientName = "Somebody^Secret"
        slice_.PixelData = stored.tobytes()
        slice_.save_as(folder / f"IM{index}", enforce_file_format=True)
    (folder / "labels.csv").write_text("path,label,group\n" + "".join(f"IM{i},{'ab'[i % 2]},p{i}\n" for i in range(12)))
    data = load_dataset(folder)
    spec = data.image_spec(16)
    assert spec.window == (-750, 750)
    assert spec.channels == 1
    decoded = data.part("train").decode(spec)
    assert not decoded.skipped
    data.to_csv(tmp_path / "run" / "data.csv")
    assert "Secret" not in (tmp_path / "run" / "data.csv").read_text() + repr(data)


# --- CSVs that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("file,class", ["a.png,x"], ["columns path and label", "Got: file, class", "Rename"]),
        ("path;label", ["a.png;x"], ["Separate the columns by commas"]),
        ("path\tlabel", ["a.png\tx"], ["Separate the columns by commas"]),
        ("", [], ["Got: an empty file"]),
        ("path,label,path", ["a.png,x,b.png"], ["'path' appears more than once"]),
        ("path,label", [], ["Got only its header"]),
        ("path,label", ["a.png,x,y"], ["2 cells", "Line 2 has 3", "quotes"]),
        ("path,label", ["a.png,x", "b.png"], ["Line 3 has 1"]),
        ("path,label", ["a.png,", "b.png,x", "c.png,"], ["2 rows without a label", "line 2", "Fill it in."]),
        ("path,label", [" ,x"], ["1 row without a path"]),
        ("path,label,group", ["a.png,x,p1", "b.png,y,"], ["without a group", "line 3", "or remove the column"]),
        ("path,label,split", ["a.png,x,train", "b.png,y,"], ["without a split", "line 3"]),
        ("path,label,split", ["a.png,x,exam"], ["train, validation or test. Got 'exam' in line 2"]),
        ("path,label,split", ["a.png,x,train", "b.png,y,train", "c.png,y,val"], ["no test part"]),
        ("path,label,split", ["a.png,x,test", "b.png,y,val"], ["no train part"]),
        ("path,label", ["a.png,x", "./a.png,y"], ["1 file listed more than once: a.png"]),
        ("path,label", ["missing1.png,x", "missing2.png,y"], ["none of the 2 files", "missing1.png, missing2.png"]),
        ("path,label", ["a.png,x", "b.png,x"], ["at least 2 classes", "only 'x'"]),
        ("path,label", ["a.png,x", "missing.png,y"], ["at least 2 classes", "only 'x'"]),
        (
            "path,label",
            ["a.png,COVID", "b.png,covid", "c.png,normal"],
            ["'COVID' (1 image) and 'covid'", "label column"],
        ),
        ("path,label,split", ["a.png,x,train", "b.png,x,test", "c.png,y,test"], ["training part", "without: y"]),
        (
            "path,label,group,split",
            ["a.png,x,p7,train", "b.png,y,p7,test", "c.png,y,p8,train"],
            ["group 'p7' lies in both train and test", "Mend the split"],
        ),
    ],
)
def test_each_mistake_has_its_line(manifest, header, rows, words):
    refuse(manifest(header, *rows), "labels.csv: ", *words)


def test_not_utf8(manifest):
    refuse(manifest("path,label", "a.png,grün", "b.png,rot", encoding="latin-1"), "must be UTF-8")
    refuse(manifest("path,label", "a.png,x", "b.png,y", encoding="utf-16"), "must be UTF-8")


def test_a_nul_byte_or_an_endless_cell(manifest):
    path = manifest("path,label", "a.png,x", "b.png,y")
    path.write_text('path,label\n"' + "x" * 200_000 + '",a\n')
    refuse(path, "cannot be read as CSV")


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_no_group_is_ever_split_whatever_the_csv_says(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "property"
    folder.mkdir(exist_ok=True)
    count = data.draw(st.integers(8, 30))
    groups = data.draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    tests = data.draw(st.sets(st.integers(0, 6), max_size=3))
    rows = []
    for i, group in enumerate(groups):
        (folder / f"{i}.png").touch()
        rows.append(f"{i}.png,{'ab'[i % 2]},g{group}" + (f",{'test' if group in tests else 'train'}" if tests else ""))
    (folder / "x.csv").write_text("\n".join(["path,label,group" + (",split" if tests else ""), *rows]))
    try:
        loaded = load_dataset(Path(folder / "x.csv"), seed=data.draw(st.integers(0, 3)))
    except DataError as error:
        assert "training part" in str(error)  # noqa: PT017
        return
    where = {}
    for group, part in zip(loaded.groups, loaded.split, strict=True):
        assert where.setdefault(group, part) == part

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.dataset import Dataset, audit_dataset, load_dataset
from medsynth.dataset.rows import natural_key
from medsynth.errors import DataError


@pytest.fixture(scope="module")
def drawn():
    return load_dataset("phantom")


def test_the_word_phantom(drawn):
    assert isinstance(drawn, Dataset)
    assert drawn.source == "phantom"
    assert drawn.classes == ("clear", "opacity")
    assert drawn.positive == "opacity"
    assert all(name.startswith("phantom/") for name in drawn.names)
    for part in ("train", "validation", "test"):
        counts = drawn.part(part).counts()
        assert counts["clear"] == counts["opacity"] > 0
    assert not {*drawn.part("train").groups} & {*drawn.part("test").groups}


def test_the_audit_has_nothing_to_say_of_the_phantom(drawn):
    assert audit_dataset(drawn).findings == ()


def test_the_phantom_can_be_recorded(drawn, tmp_path):
    drawn.to_csv(tmp_path / "data.csv")
    assert len((tmp_path / "data.csv").read_text().splitlines()) == len(drawn) + 1


def test_a_dataset_passes_through_and_takes_another_positive_class(arrays):
    data = arrays()
    assert load_dataset(data) is data
    turned = load_dataset(data, positive="clear")
    assert (turned.positive, turned.names) == ("clear", data.names)
    with pytest.raises(DataError, match="one of clear, ill"):
        load_dataset(data, positive="healthy")


def test_missing_paths_get_a_suggestion(classes, tmp_path):
    classes(a=2, b=2)
    with pytest.raises(DataError, match=r"no such file or folder. Did you mean '.*/scans'"):
        load_dataset(tmp_path / "scan")
    with pytest.raises(DataError, match="Did you mean 'phantom'"):
        load_dataset("phantm")
    with pytest.raises(DataError, match=r"no such file or folder.$"):
        load_dataset("/nowhere/at/all")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.png").touch()
    with pytest.raises(
        DataError, match=r"must be a folder, a \.csv, a MedMNIST \.npz or the word phantom. Got a \.png"
    ):
        load_dataset(tmp_path / "x.png")


def test_natural_order():
    names = ["b/10.png", "b/9.png", "b/09.png", "a-2/1.png", "a/100.png", "a/20 b.png", "a/20 a.png", "x", "10", "9"]
    assert sorted(names, key=natural_key) == [
        *("9", "10", "a/20 a.png", "a/20 b.png", "a/100.png", "a-2/1.png"),
        *("b/9.png", "b/09.png", "b/10.png", "x"),
    ]


parts = st.text("ab-.019", min_size=1, max_size=6)


@given(st.lists(st.lists(parts, min_size=1, max_size=3).map("/".join)))
def test_the_key_compares_as_lists_of_text_and_numbers_do(names):
    def lists(name):
        pieces = [re.split("([0-9]+)", part) for part in name.split("/")]
        return [[int(piece) if index % 2 else piece for index, piece in enumerate(part)] for part in pieces]

    assert sorted(names, key=natural_key) == sorted(names, key=lists)


def test_loading_reads_no_pixels_and_needs_no_heavy_library():
    code = (
        "import sys, medsynth.dataset; "
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib', 'onnxruntime', 'onnx', 'pydicom', 'rich'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# --- the real images --------------------------------------------------------------------------------------------------


def test_real_ct(ct_folder):
    data = load_dataset(ct_folder)
    assert len(data) == 2481
    assert data.part("test").counts() == {"covid": 252, "non-covid": 230}
    assert [len(data.part(part)) for part in ("train", "validation")] == [1699, 300]
    spec = data.image_spec(64)
    assert (spec.channels, spec.window) == (1, None)
    assert not data.part("test").decode(spec).skipped


def test_real_cxr(cxr_folder):
    data = load_dataset(cxr_folder, positive="covid-19")
    assert data.counts() == {"covid-19": 124, "no-findings": 500, "pneumonia": 500}
    assert np.bincount(data.part("test").labels).tolist() == [19, 75, 75]

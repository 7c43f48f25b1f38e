from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medsynth.dataset import from_arrays, group_dataset, load_dataset, make_phantom, split_dataset
from medsynth.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def drawn():
    return make_phantom(patients=40, slices_per_patient=4, size=64)


@pytest.fixture(scope="module")
def bare(drawn):
    return from_arrays(drawn.images, [drawn.classes[label] for label in drawn.labels], names=drawn.names)


def whole(data):
    """Whether every group lies in one part (Dataset checks it too), and every part has every class."""
    return all(min(data.part(part).counts().values()) > 0 for part in ("train", "validation", "test"))


def test_by_regex(bare, drawn):
    data = split_dataset(bare, "regex", pattern=r"(p\d+)-s")
    assert data.groups == drawn.groups
    assert whole(data)
    assert group_dataset(bare, "regex", pattern=r"p\d+").groups == drawn.groups  # Without a bracket, the whole match.


def test_by_duplicates_finds_the_patients(bare, drawn):
    data = split_dataset(bare, "duplicates")
    assert whole(data)
    true = dict(zip(drawn.names, drawn.groups, strict=True))
    together = [
        (data.groups[one] == data.groups[one + 1], true[data.names[one]] == true[data.names[one + 1]])
        for one in range(len(data) - 1)
    ]
    agree = np.mean([found == real for found, real in together])
    assert agree > 0.97
    assert data.groups[0] == "look-alike-0001"


def test_by_blocks_and_by_group(bare, drawn):
    assert len(set(split_dataset(bare, "blocks").groups)) == 32  # 80 images a class, at least 5 in each of at most 20.
    grouped = replace(bare, groups=drawn.groups, split=("train",) * len(bare))
    assert split_dataset(grouped, "group").groups == drawn.groups
    with pytest.raises(DataError, match="has no groups"):
        split_dataset(bare, "group")


def test_fractions_are_kept(bare):
    data = split_dataset(bare, "blocks", fractions={"train": 0.5, "validation": 0.2, "test": 0.3})
    shares = [data.split.count(part) / len(data) for part in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, (0.5, 0.2, 0.3), atol=0.05)
    with pytest.raises(ConfigError, match="sum to 1"):
        split_dataset(bare, "blocks", fractions={"train": 0.5, "validation": 0.2, "test": 0.4})


def test_the_csv_reproduces_the_split(classes, tmp_path):
    data = split_dataset(load_dataset(classes(a=30, b=30)), "regex", pattern=r"slice-(\d+)")
    data.to_csv(tmp_path / "split.csv")
    again = load_dataset(tmp_path / "split.csv")
    assert (again.split, again.groups) == (data.split, data.groups)


def test_patients_of_dicom_files(tmp_path):
    pytest.importorskip("pydicom")
    write_dicom(tmp_path, patients=12, each=3)
    data = split_dataset(load_dataset(tmp_path), "patient")
    assert len(set(data.groups)) == 12
    assert not any("secret" in group for group in data.groups)
    assert whole(data)


def test_patients_across_the_split_are_an_error_of_the_audit(tmp_path):
    pytest.importorskip("pydicom")
    from medsynth.dataset import audit_dataset

    write_dicom(tmp_path, patients=12, each=3)
    audit = audit_dataset(replace(load_dataset(tmp_path), split=("train", "validation", "test") * 12))
    finding = next(finding for finding in audit.findings if finding.code == "patient-across-split")
    assert finding.severity == "error"
    assert finding.evidence["patients"] == 12
    assert "secret" not in str(audit.to_dict())
    assert "patient-across-split" not in [
        f.code for f in audit_dataset(split_dataset(load_dataset(tmp_path), "patient")).findings
    ]


def write_dicom(folder, patients, each):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    lines = ["path,label"]
    for index in range(patients * each):
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = CTImageStorage
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
        file.PatientID = f"secret-{index // each}"
        file.Rows, file.Columns = 16, 16
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
        file.PixelData = rng.integers(0, 4096, (16, 16)).astype(np.uint16).tobytes()
        file.save_as(folder / f"{index}.dcm", enforce_file_format=True)
        lines.append(f"{index}.dcm,{'ab'[index // each % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"by": "regex"}, "needs a pattern"),
        ({"by": "blocks", "pattern": "x"}, "Got it with 'blocks'"),
        ({"by": "regex", "pattern": "("}, "must be a regular expression"),
        ({"by": "colour"}, "by must be one of group, regex"),
    ],
)
def test_settings_that_cannot_be(bare, given, message):
    with pytest.raises(ConfigError, match=message):
        group_dataset(bare, **given)


def test_rows_that_lack_what_is_asked_for(bare):
    with pytest.raises(DataError, match="must match every name"):
        group_dataset(bare, "regex", pattern="p000")
    with pytest.raises(DataError, match="160 without"):
        group_dataset(bare, "patient")


@pytest.mark.parametrize("pattern", [r"(p000)?", r"(p000)|-s", r"p\d+(x*)", r"x*"])
def test_a_group_without_a_name_is_none(bare, pattern):
    """An empty match, or a bracket that took no part, would join what has nothing in common."""
    with pytest.raises(DataError, match="must match every name"):
        group_dataset(bare, "regex", pattern=pattern)


def test_a_given_test_part_is_kept(bare, drawn):
    """Rows of the rest that share a group with it are left out by name; the others are dealt in whole groups."""
    patients = sorted(set(drawn.groups))[::5]
    given = ["test" if group in patients else "train" for group in drawn.groups]
    first = drawn.groups.index(patients[0])
    given[first] = "train"  # One slice of a test patient stands in the training part.
    data = replace(bare, split=tuple(given))
    kept = split_dataset(data, "regex", pattern=r"(p\d+)-s", keep_test=True)
    assert kept.part("test").names == data.part("test").names
    assert len(kept) == len(data) - 1
    assert [(row.name, row.reason) for row in kept.skipped] == [
        (data.names[first], f"belongs to the group {patients[0]} of test images")
    ]
    assert whole(kept)
    rest = kept.split.count("train") + kept.split.count("validation")
    assert kept.split.count("validation") / rest == pytest.approx(0.15, abs=0.04)


def test_what_cannot_be_kept_is_told(bare):
    data = replace(bare, split=("train",) * len(bare))
    with pytest.raises(DataError, match="has no test part to keep"):
        split_dataset(data, "blocks", keep_test=True)
    with pytest.raises(DataError, match="nothing is left to train on"):
        split_dataset(replace(bare, split=("test",) * len(bare)), "blocks", keep_test=True)
    with pytest.raises(ConfigError, match="for train, validation"):
        split_dataset(bare, "blocks", keep_test=True, fractions={"train": 0.7, "validation": 0.15, "test": 0.15})

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import audit_dataset, from_arrays, load_dataset, make_phantom


@pytest.fixture(scope="module")
def drawn():
    """Slices of 40 phantom patients."""
    return make_phantom(patients=40, slices_per_patient=4, size=64)


def table(drawn, images=None, **columns):
    labels = columns.pop("labels", [drawn.classes[label] for label in drawn.labels])
    given = {"groups": drawn.groups, "names": drawn.names, "source": "phantom"} | columns
    return from_arrays(list(drawn.images) if images is None else images, labels, **given)


def found(data):
    audit = audit_dataset(data)
    json.dumps(audit.to_dict(), allow_nan=False)
    return {finding.code: finding for finding in audit.findings}


def again(image, quality=60, scale=0.8):
    """The same picture as somebody else saved it: smaller, as JPEG."""
    side = int(image.shape[0] * scale)
    stream = io.BytesIO()
    Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


# --- no false alarm ---------------------------------------------------------------------------------------------------


def test_nothing_is_found_in_the_phantom_with_groups(drawn):
    assert found(table(drawn)) == {}
    audit = audit_dataset(table(drawn))
    assert audit.to_dict()["findings"] == ()
    assert audit.images == 160
    assert audit.parts["test"]["clear"] == audit.parts["test"]["opacity"] > 0


def test_nothing_is_found_in_noise(arrays):
    rng = np.random.default_rng(0)
    assert found(from_arrays(rng.integers(0, 256, (200, 32, 32), np.uint8), ["a", "b"] * 100)) == {}


def test_flat_images_are_no_look_alikes():
    flat = np.arange(60, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    assert found(from_arrays(flat, ["a", "b"] * 30)) == {}


# --- neighbours -------------------------------------------------------------------------------------------------------


def test_without_groups_there_are_warnings(drawn):
    codes = found(table(drawn, groups=None))
    assert {code for code, finding in codes.items() if finding.severity != "info"} == {
        "neighbours-look-alike",
        "split-optimism",
    }
    finding = codes["neighbours-look-alike"]
    assert finding.severity == "warning"
    assert "random split would leak" in finding.advice
    assert finding.evidence["share"] == pytest.approx(120 / 158, abs=0.03)  # 3 of 4 neighbours are of one patient.
    assert finding.evidence["parted by the split"] < 0.05
    assert finding.evidence["proposed groups"] == pytest.approx(40, abs=3)


def test_a_random_split_parts_look_alikes(drawn):
    rng = np.random.default_rng(0)
    split = rng.permutation(["train"] * 100 + ["validation"] * 30 + ["test"] * 30)
    finding = found(table(drawn, groups=None, split=split))["neighbours-look-alike"]
    assert finding.evidence["parted by the split"] == pytest.approx(0.54, abs=0.12)
    assert "The split parts" in finding.message


def test_neighbours_are_found_across_part_folders(drawn):
    """One numbering, cut into train/ and test/ in the middle of a patient."""
    names = [f"{'test' if 50 <= index < 90 else 'train'}/x/{index}.png" for index in range(160)]
    split = [name.split("/")[0] for name in names]
    labels = ["ill" if (index // 4) % 2 else "well" for index in range(160)]
    data = from_arrays(list(drawn.images), labels, names=names, split=split)
    assert found(data)["neighbours-look-alike"].evidence["parted by the split"] > 0


def test_split_optimism_is_large_for_single_slices_and_absent_for_patients(drawn):
    evidence = found(table(drawn, groups=None))["split-optimism"].evidence
    probe = max(evidence["probes"], key=lambda entry: entry["low"])
    assert probe["random"] > 0.9
    assert probe["difference"] == pytest.approx(probe["random"] - probe[probe["kept together"]])
    assert 0.1 < probe["low"] < probe["difference"] < probe["high"]
    assert evidence["chance"] == 0.5


def test_groups_that_are_finer_than_patients_flatter_too(drawn):
    halves = [f"{group}-{index % 4 // 2}" for index, group in enumerate(drawn.groups)]
    codes = found(table(drawn, groups=halves))
    assert codes["split-optimism"].evidence["probes"]
    assert "of the groups" in codes["split-optimism"].message


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def singles(drawn):
    """One slice of each of the 40 patients: nothing alike by nature; 28 train, 6 validate, 6 test."""
    return make_phantom(patients=40, slices_per_patient=1)


def rows(data, part):
    return [row for row, name in enumerate(data.split) if name == part]


def with_copy(drawn, made, source="train", target="test", **columns):
    """The table of ``singles`` where one test image is a copy of a training image of its class."""
    base = table(drawn, groups=None, **columns)
    one = rows(base, source)[0]
    other = next(row for row in rows(base, target) if base.labels[row] == base.labels[one])
    images = list(base.images)
    images[other] = made(images[one])
    return replace(base, images=tuple(images)), {base.names[one], base.names[other]}


def test_the_same_pixels_in_two_parts_are_an_error(singles):
    data, names = with_copy(singles, np.copy)
    finding = found(data)["duplicate-across-split"]
    assert finding.severity == "error"
    assert finding.evidence == {"images": 1, "files": 2, "examples": [sorted(names)]}
    assert "near-duplicate-across-split" not in found(data)


def test_the_same_pixels_in_two_files_with_other_bytes(tmp_path):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / label).mkdir()
        for index in range(10):
            Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8)).save(tmp_path / label / f"{index}.png")
    with Image.open(tmp_path / "a" / "0.png") as image:
        image.save(tmp_path / "a" / "9.bmp")
    codes = found(load_dataset(tmp_path))
    assert codes["duplicate-across-split"].evidence["examples"] == [["a/0.png", "a/9.bmp"]]


def test_copies_within_a_part_are_a_warning(singles):
    base = table(singles, groups=None)
    one, other = np.flatnonzero(base.labels == 0)[:2]
    images = list(base.images)
    images[other] = images[one].copy()
    codes = found(replace(base, images=tuple(images)))
    assert set(codes) == {"exact-duplicate"}
    assert codes["exact-duplicate"].shown == ((base.names[one], base.names[other]),)
    assert codes["exact-duplicate"].severity == "warning"


def test_copies_with_two_labels_are_an_error(singles):
    base = table(singles, groups=None)
    train = rows(base, "train")
    one, other = train[0], next(row for row in train if base.labels[row] != base.labels[train[0]])
    images = list(base.images)
    images[other] = images[one].copy()
    codes = found(replace(base, images=tuple(images)))
    assert codes["duplicate-with-other-label"].severity == "error"


@pytest.mark.parametrize(
    "made",
    [
        again,
        lambda image: again(image, quality=40, scale=0.5),
        lambda image: np.clip(image * 0.8 + 20, 0, 255).astype(np.uint8),
        lambda image: (255 * (image / 255) ** 0.8).astype(np.uint8),
    ],
    ids=["jpeg", "small-jpeg", "contrast", "gamma"],
)
@pytest.mark.parametrize(("source", "target"), [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_a_copy_saved_anew_in_another_part_is_found_and_nothing_else(singles, made, source, target):
    data, names = with_copy(singles, made, source, target)
    codes = found(data)
    assert set(codes) == {"near-duplicate-across-split"}
    finding = codes["near-duplicate-across-split"]
    assert finding.severity == "warning"
    assert finding.evidence["pairs"] == 1
    assert set(finding.evidence["examples"][0]["names"]) == names
    assert finding.evidence["examples"][0]["correlation"] > finding.evidence["correlation at least"] > 0.9


# --- single images ----------------------------------------------------------------------------------------------------


def test_unreadable_files(classes):
    root = classes(a=20, b=20)
    (root / "a" / "slice-3.png").write_bytes(b"")
    finding = found(load_dataset(root))["unreadable"]
    assert finding.severity == "warning"
    assert finding.evidence == {
        "count": 1,
        "examples": [{"name": "a/slice-3.png", "reason": "the file is empty."}],
    }
    for path in (root / "a").iterdir():
        path.write_bytes(b"")
    finding = found(load_dataset(root))["unreadable"]
    assert finding.severity == "error"
    assert "None is left of a" in finding.message


def test_nothing_readable_at_all(classes):
    root = classes(a=2, b=2)
    for path in root.glob("*/*.png"):
        path.write_bytes(b"")
    assert set(found(load_dataset(root))) == {"unreadable"}


def test_what_the_loader_left_out(classes, picture):
    root = classes(a=20, b=20)
    picture(root / "stray.png")
    finding = found(load_dataset(root))["left-out"]
    assert finding.evidence["examples"][0]["name"] == "stray.png"


@pytest.mark.parametrize(("counts", "ratio"), [((40, 30), None), ((40, 12), 28 / 8), ((200, 20), 10.0)])
def test_imbalance_of_the_training_part(counts, ratio):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (sum(counts), 16, 16), np.uint8)
    codes = found(from_arrays(images, ["many"] * counts[0] + ["few"] * counts[1]))
    assert ("class-imbalance" in codes) == (ratio is not None)
    if ratio is not None:
        assert codes["class-imbalance"].evidence["ratio"] == pytest.approx(ratio)
        assert "'many'" in codes["class-imbalance"].message


def test_odd_sizes():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (60 + i, 50), np.uint8) for i in range(30)]
    assert found(from_arrays(images, ["a", "b"] * 15)) == {}
    images[3], images[7], images[9] = (
        rng.integers(0, 256, shape, np.uint8) for shape in ((9, 8), (600, 500), (40, 130))
    )
    finding = found(from_arrays(images, ["a", "b"] * 15))["odd-size"]
    assert [example["size"] for example in finding.evidence["examples"]] == [[9, 8], [600, 500], [40, 130]]


def test_mixed_bit_depth():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (16, 16), np.uint8) for _ in range(30)]
    images[4] = rng.integers(0, 4096, (16, 16), np.uint16)
    finding = found(from_arrays(images, ["a", "b"] * 15))["mixed-bit-depth"]
    assert finding.evidence == {
        "more than 8 bits": 1,
        "8 bits": 29,
        "classes": {"a": {"8 bits": 14, "more": 1}, "b": {"8 bits": 15, "more": 0}},
    }
    assert found(from_arrays(rng.integers(0, 4096, (30, 16, 16), np.uint16), ["a", "b"] * 15)) == {}


# --- the whole --------------------------------------------------------------------------------------------------------


def test_each_image_is_decoded_once_and_progress_is_told(drawn, monkeypatch):
    import medsynth.dataset.audit.survey as survey

    decoded, told = [], []
    monkeypatch.setattr(
        survey, "read_pixels", lambda source, read=survey.read_pixels: decoded.append(id(source)) or read(source)
    )
    data = table(drawn)
    audit_dataset(data, on_progress=lambda done, total: told.append((done, total)))
    assert sorted(decoded) == sorted(id(image) for image in data.images)
    assert told == [(i, 160) for i in range(1, 161)]


def test_findings_are_sorted_and_filtered_by_severity(singles):
    data, _ = with_copy(singles, np.copy)
    images = list(data.images)
    images[1] = np.zeros((3, 500), np.uint8)
    audit = audit_dataset(replace(data, images=tuple(images)))
    assert [finding.severity for finding in audit.findings] == ["error", "warning"]
    assert len(audit.at_least("info")) == len(audit.at_least("warning")) == 2
    assert [finding.code for finding in audit.at_least("error")] == ["duplicate-across-split"]


def test_the_result_does_not_depend_on_the_number_of_threads(drawn):
    data = table(drawn, groups=None)
    assert audit_dataset(data, workers=1) == audit_dataset(data, workers=5)


def test_test_part_alone(drawn):
    assert "neighbours-look-alike" in found(table(drawn, groups=None, split=["test"] * 160))


# --- the real images --------------------------------------------------------------------------------------------------


def test_real_ct_has_look_alike_neighbours_a_leak_and_a_flattering_random_split(ct_folder):
    codes = found(load_dataset(ct_folder))
    assert codes["neighbours-look-alike"].evidence["share"] > 0.5
    assert codes["neighbours-look-alike"].evidence["proposed groups"] < 1000
    leaks = [set(pair["names"]) for pair in codes["near-duplicate-across-split"].evidence["examples"]]
    assert {"test/covid/Covid-78.jpg", "train/covid/Covid-77.jpg"} in leaks
    assert "duplicate-across-split" not in codes
    probe = codes["split-optimism"].evidence["probes"][0]
    assert probe["probe"] == "nearest neighbour"
    assert probe["random"] > 0.9
    assert probe["blocks"] < 0.75


def test_real_cxr_is_imbalanced_and_its_source_gives_the_label_away(cxr_folder):
    codes = found(load_dataset(cxr_folder))
    assert codes["class-imbalance"].evidence["ratio"] == pytest.approx(350 / 86)
    for feature in ("image-size", "aspect", "file-name", "file-size", "border"):
        best = codes[f"shortcut:{feature}"].evidence["auc"][0]
        assert best["class"] == "covid-19"
        assert best["auc"] > 0.8


def test_what_load_dataset_takes_is_taken(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.effect_noise((8, 8), 50).save(tmp_path / name / f"{index}.png")
    (tmp_path / "a" / "3.png").write_bytes(b"")
    audit = audit_dataset(tmp_path)
    assert audit.to_dict() == audit_dataset(load_dataset(tmp_path)).to_dict()
    assert audit.images == 8

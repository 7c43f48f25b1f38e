"""Planted shortcuts are found by name, and nothing is found where none was planted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from medsynth.dataset import audit_dataset, from_arrays, load_dataset, make_phantom
from medsynth.dataset.audit.facts import frame_of, read_facts
from medsynth.dataset.audit.features import name_pattern
from medsynth.dataset.audit.shortcuts import clustered_auc


def codes(data):
    return {finding.code: finding for finding in audit_dataset(data).findings}


@pytest.fixture(scope="module")
def drawn():
    return make_phantom(patients=48, slices_per_patient=2, size=64, seed=3)


@pytest.fixture
def written(tmp_path, drawn):
    """Write the phantom as files with groups; ``save`` may treat the ill ones differently."""

    def write(save=lambda image, path, ill: image.save(path), name=lambda index, ill: f"{index:03d}.png"):
        lines = ["path,label,group"]
        for index, (pixels, label, group) in enumerate(zip(drawn.images, drawn.labels, drawn.groups, strict=True)):
            path = tmp_path / name(index, bool(label))
            save(Image.fromarray(pixels), path, bool(label))
            lines.append(f"{path.name},{drawn.classes[label]},{group}")
        (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
        return load_dataset(tmp_path)

    return write


def planted(drawn, change):
    images = [
        change(pixels.copy()) if label else pixels for pixels, label in zip(drawn.images, drawn.labels, strict=True)
    ]
    return from_arrays(images, [drawn.classes[label] for label in drawn.labels], groups=drawn.groups)


def frame(pixels):
    pixels[:6] = pixels[-6:] = 0
    pixels[:, :6] = pixels[:, -6:] = 0
    return pixels


def corner(pixels):
    pixels[1:9, 1:9] = 255
    return pixels


@pytest.mark.parametrize("seed", range(6))
def test_no_false_alarm_on_the_phantom_with_groups(seed):
    drawn = make_phantom(patients=40, slices_per_patient=4, size=64, seed=seed)
    labels = [drawn.classes[label] for label in drawn.labels]
    assert codes(from_arrays(drawn.images, labels, groups=drawn.groups, names=drawn.names)) == {}


def test_no_false_alarm_on_files(written):
    assert codes(written()) == {}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("border", frame),
        ("border", corner),
        ("brightness", lambda pixels: np.clip(pixels * 0.5 + 110, 0, 255).astype(np.uint8)),
        ("aspect", lambda pixels: pixels[4:-4]),
        ("image-size", lambda pixels: np.asarray(Image.fromarray(pixels).resize((80, 80)))),
        ("bit-depth", lambda pixels: np.repeat(pixels[..., None], 3, axis=2)),
    ],
    ids=["frame", "corner", "brightness", "aspect", "image-size", "colour"],
)
def test_a_planted_shortcut_in_the_pixels_is_found_by_name(drawn, name, change):
    finding = codes(planted(drawn, change))[f"shortcut:{name}"]
    assert finding.severity == "warning"
    assert finding.evidence["feature"] == name
    best = finding.evidence["auc"][0]
    assert best["class"] == "opacity"
    assert 0.6 < best["low"] <= best["auc"] <= best["high"] <= 1.0
    assert len(finding.shown) == 2


def _noisy(image, path, ill):
    image.save(path, optimize=not ill, compress_level=9 if not ill else 0)


def _jpeg(image, path, ill):
    image.save(path, "JPEG", quality=90 if ill else 85)


def _software(image, path, ill):
    exif = Image.Exif()
    exif[0x0131] = "station A" if ill else "station B"
    image.save(path, exif=exif)


@pytest.mark.parametrize(
    ("code", "save"),
    [("file-size", _noisy), ("file-format", _jpeg), ("exif", _software)],
    ids=["file-size", "file-format", "exif"],
)
def test_a_planted_shortcut_in_the_file_is_found_by_name(written, code, save):
    found = codes(written(save))
    assert found[f"shortcut:{code}"].evidence["auc"][0]["auc"] > 0.95
    assert "does not see it itself" in found[f"shortcut:{code}"].advice


def test_a_planted_shortcut_in_the_name_is_found(written):
    found = codes(written(name=lambda index, ill: f"{'siteA' if ill else 'IMG'}-{index}.png"))
    assert set(found) == {"shortcut:file-name"}


def test_the_class_in_the_file_name_is_no_shortcut(written):
    assert codes(written(name=lambda index, ill: f"{'Opacity' if ill else 'clear'}-{index}.png")) == {}


def test_a_weak_tendency_is_not_reported(drawn):
    rng = np.random.default_rng(0)
    pairs = zip(drawn.images, drawn.labels, strict=True)
    images = [np.clip(pixels + rng.normal(2 * label, 6), 0, 255).astype(np.uint8) for pixels, label in pairs]
    assert codes(from_arrays(images, drawn.labels, groups=drawn.groups)) == {}


def test_area_agrees_with_scikit_learn_in_each_fold():
    rng = np.random.default_rng(0)
    inside = rng.random(400) < 0.4
    scores = np.round(rng.normal(inside * 0.8, 1.0), 1)
    folds = rng.integers(0, 3, 400)
    auc, error = clustered_auc(scores, inside, folds, np.arange(400))
    pairs = [np.sum(inside[folds == f]) * np.sum(~inside[folds == f]) for f in range(3)]
    expected = np.average([roc_auc_score(inside[folds == f], scores[folds == f]) for f in range(3)], weights=pairs)
    assert auc == pytest.approx(expected)
    # Hanley & McNeil 1982, equation 2, for one ROC curve of all images.
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    n, m = inside.sum(), (~inside).sum()
    variance = (auc * (1 - auc) + (n - 1) * (first - auc**2) + (m - 1) * (second - auc**2)) / (n * m)
    assert error == pytest.approx(np.sqrt(variance), rel=0.25)


def test_clusters_widen_the_error():
    rng = np.random.default_rng(1)
    inside = np.repeat(rng.random(60) < 0.5, 10)
    scores = np.repeat(np.round(rng.normal(size=60), 1), 10)
    folds = np.zeros(600, int)
    together = clustered_auc(scores, inside, folds, np.repeat(np.arange(60), 10))[1]
    apart = clustered_auc(scores, inside, folds, np.arange(600))[1]
    assert together > 2 * apart


def test_frames():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 10)).astype(np.uint8)
    assert frame_of(pixels) == [0, 0, 0, 0]
    pixels[:4] = 0
    pixels[:, -1] = 0
    assert frame_of(pixels) == [0.2, 0, 0, 0.1]
    assert frame_of(np.zeros((4, 4))) == [1, 1, 1, 1]
    assert frame_of(np.full((4, 4), np.nan)) == [1, 1, 1, 1]


def test_facts_of_an_array_and_of_damaged_metadata(tmp_path):
    assert read_facts(np.zeros((4, 4), np.uint8)).size is None
    assert read_facts(tmp_path / "absent.png").size is None


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("a/Covid-12.png", "-#.png"), ("a/NON-COVID_0012_3.jpg", "_#_#.jpg"), ("a/x1y22.png", "x#y#.png")],
)
def test_name_patterns(name, pattern):
    assert name_pattern(name, ("covid", "non-covid")) == pattern

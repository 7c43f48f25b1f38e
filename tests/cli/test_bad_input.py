"""What a tired person does: each is one line on standard error and exit code 2, or is skipped and listed."""

from __future__ import annotations

import errno
import json
import os
import subprocess

import numpy as np
import onnx
import pytest
from PIL import Image

from medsynth.cli.infer import _names
from medsynth.cli.main import run

TRAIN = ["-O", "weights=none", "-O", "width=0.0625", "-O", "batch_norm=true", "--image-size", "32", "--epochs", "1"]


@pytest.fixture
def fails(capsys):
    def call(*arguments, code=2):
        assert run([str(argument) for argument in arguments]) == code
        said = capsys.readouterr().err.strip().splitlines()
        errors = [line for line in said if line.startswith("medsynth: ")]
        assert len(errors) == 1, said
        assert "Traceback" not in "\n".join(said)
        return errors[0]

    return call


@pytest.fixture
def folder(tmp_path):
    """A small good data set, to be spoiled."""
    rng = np.random.default_rng(0)
    for name in ("ill", "well"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(14):
            pixels = rng.integers(0, 256, (40, 40), dtype=np.uint8) // (2 if name == "ill" else 1)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{name}-{index}.png")
    return tmp_path / "data"


def test_an_empty_folder(fails, tmp_path):
    said = fails("train", "classifier", tmp_path, "--out", tmp_path / "run")
    assert "no images found" in said
    assert "one folder per class" in said
    assert not (tmp_path / "run").exists()


def test_one_class_only(fails, folder, tmp_path):
    for path in (folder / "ill").iterdir():
        path.unlink()
    (folder / "ill").rmdir()
    assert "at least 2 classes" in fails("train", "classifier", folder, "--out", tmp_path / "run")


def test_labels_that_differ_in_case(fails, folder, tmp_path):
    rows = [f"data/ill/ill-{i}.png,{'Ill' if i % 2 else 'ill'}" for i in range(14)]
    (tmp_path / "d.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    said = fails("dataset", "audit", tmp_path / "d.csv")
    assert "'Ill'" in said
    assert "'ill'" in said


def test_a_csv_naming_missing_files(fails, folder, tmp_path):
    (tmp_path / "d.csv").write_text("path,label\na.png,x\nb.png,y\n")
    said = fails("dataset", "audit", tmp_path / "d.csv")
    assert "a.png" in said


def test_a_missing_folder_suggests_the_one_that_was_meant(fails, folder):
    assert "Did you mean" in fails("dataset", "audit", folder.with_name("dta"))


def test_bad_files_among_good_ones_are_skipped_and_listed(folder, tmp_path, capsys):
    (folder / "ill" / "zero.png").write_bytes(b"")
    (folder / "ill" / "text.png").write_text("not an image")
    good = (folder / "well" / "well-3.png").read_bytes()
    (folder / "well" / "cut.png").write_bytes(good[: len(good) // 2])
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "well" / "dot.png")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(folder / "ill" / "deep.png")
    assert run(["train", "classifier", str(folder), "--out", str(tmp_path / "run"), *TRAIN]) == 0
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    listed = " ".join(row["name"] for row in manifest["outcome"]["skipped"])
    split = (tmp_path / "run" / "data.csv").read_text()
    for name in ("zero.png", "text.png", "cut.png"):
        in_test = any(name in line and line.rstrip().endswith("test") for line in split.splitlines())
        assert in_test or name in listed
    assert run(["export", str(tmp_path / "run"), "--out", str(tmp_path / "c.onnx")]) == 0
    assert run(["infer", str(tmp_path / "c.onnx"), str(folder), "--out", str(tmp_path / "p.csv")]) == 0
    quarantine = {row["name"] for row in json.loads((tmp_path / "p.csv.meta.json").read_text())["quarantine"]}
    assert {"ill/zero.png", "ill/text.png", "well/cut.png"} <= quarantine
    assert "well/dot.png" not in quarantine
    capsys.readouterr()


def test_an_image_of_20000_by_20000_pixels_is_listed_in_bounded_memory(classifier_onnx, tmp_path, capsys):
    (tmp_path / "scans").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "scans" / "a.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "scans" / "huge.png")
    assert run(["infer", str(classifier_onnx), str(tmp_path / "scans"), "--out", str(tmp_path / "p.csv")]) == 0
    (entry,) = json.loads((tmp_path / "p.csv.meta.json").read_text())["quarantine"]
    assert entry["name"] == "huge.png"
    assert "pixels. Reduce" in entry["reason"]
    capsys.readouterr()


def test_nothing_that_can_be_read(fails, classifier_onnx, tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.png").write_bytes(b"")
    said = fails("infer", classifier_onnx, tmp_path / "scans", "--out", tmp_path / "p.csv")
    assert "none of 1 images could be read" in said
    assert not (tmp_path / "p.csv").exists()


def test_a_corrupt_model(fails, classifier_onnx, tmp_path):
    whole = classifier_onnx.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.onnx").write_bytes(b"")
    for name in ("cut.onnx", "none.onnx", "absent.onnx"):
        said = fails("infer", tmp_path / name, tmp_path, "--out", tmp_path / "p.csv")
        assert name in said


def test_the_wrong_kind_of_model(fails, classifier_onnx, generator_onnx, tmp_path):
    assert "classifier" in fails("generate", classifier_onnx, "--out", tmp_path / "g", "--count", "1")
    assert "generator" in fails("infer", generator_onnx, tmp_path, "--out", tmp_path / "p.csv")
    said = fails("generate", generator_onnx, "--out", tmp_path / "g", "--count", "1", "--label", "opaque")
    assert "opacity" in said


def test_unknown_names_suggest_the_right_ones(fails, folder, tmp_path):
    assert "vgg16" in fails("train", "classifier", folder, "--out", tmp_path / "run", "--backbone", "vgg61")
    assert "batch_norm" in fails("train", "classifier", folder, "--out", tmp_path / "run", "-O", "batch_nrom=true")
    assert "--epochs" in fails("train", "classifier", folder, "--out", tmp_path / "run", "--epoch", "x")
    assert "inver" in fails("inver")
    assert not (tmp_path / "run").exists()


def test_a_setting_of_run_must_name_its_stage(fails, tmp_path):
    assert "classifier.width" in fails("run", "phantom", "--out", tmp_path / "o", "-O", "width=0.5")
    assert "'classifer'" in fails("run", "phantom", "--out", tmp_path / "o", "-O", "classifer.width=0.5")


def test_an_output_folder_that_cannot_be_written_to(fails, classifier_onnx, folder, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in fails("train", "classifier", folder, "--out", tmp_path / "file", *TRAIN)
    assert "file" in fails("infer", classifier_onnx, folder, "--out", tmp_path / "file" / "p.csv")
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "locked" in fails("infer", classifier_onnx, folder, "--out", tmp_path / "locked" / "p.csv")


def test_an_output_that_is_a_folder_is_told_before_the_work(fails, tiny, folder, tmp_path, monkeypatch):
    def classify(*_, **__):
        raise AssertionError

    monkeypatch.setattr("medsynth.infer.predict_folder", classify)
    (tmp_path / "p.csv").mkdir()
    model = tiny.classifier_file(tmp_path / "c.onnx")
    said = fails("infer", model, folder, "--out", tmp_path / "p.csv")
    assert "p.csv: must be a file to write, but is a folder" in said


def test_class_names_of_a_model_of_others(fails, tiny, folder, tmp_path):
    """A list longer than a file name may be is a list still, and a file must be text."""
    model = tmp_path / "foreign.onnx"
    onnx.save(tiny.classifier_model(), model)
    call = ["infer", model, folder, "--out", tmp_path / "p.csv", "--device", "cpu", "--labels"]
    many = ",".join(f"a class with a long name {index}" for index in range(20))
    assert "float32[batch, 20]" in fails(*call, many)
    names = tmp_path / "names.txt"
    names.write_bytes("grün\nrot\n".encode("latin-1"))
    assert "names.txt: must be UTF-8 text. Save it again as UTF-8." in fails(*call, names)
    names.write_text("healthy\nill\n", encoding="utf-8-sig")  # As Windows writes it.
    assert _names(str(names)) == ("healthy", "ill")


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "Free some space or choose another place."),
        (errno.EDQUOT, "Free some space or choose another place."),
        (errno.EACCES, "Change who may read or write there, or choose another place."),
        (errno.EROFS, "Change who may read or write there, or choose another place."),
    ],
)
def test_what_the_system_refuses_is_told_with_its_own_cure(fails, tmp_path, monkeypatch, number, cure):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "scans")

    monkeypatch.setattr("medsynth.dataset.load_dataset", refuse)
    assert fails("dataset", "audit", tmp_path) == f"medsynth: scans: {os.strerror(number)}. {cure}"


def test_a_reference_that_is_no_table(fails, tmp_path):
    (tmp_path / "c.toml").write_text("reference = [1]")
    said = fails("run", "phantom", "--out", tmp_path / "o", "--config", tmp_path / "c.toml")
    assert "c.toml: reference must hold tables" in said


def test_a_disk_that_fills(fails, folder, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        assert "No space left" in fails("train", "classifier", folder, "--out", disk / "run", *TRAIN)
        # What was finished before stands, and nothing half-written does.
        assert json.loads((disk / "run" / "run.json").read_text())["finished"] is False
        assert not [path for path in (disk / "run").iterdir() if "partial" in path.name]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c_is_told_with_code_130(fails, folder, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("medsynth.train.classifier.train_classifier", interrupted)
    assert "interrupted" in fails("train", "classifier", folder, "--out", tmp_path / "run", *TRAIN, code=130)


def test_an_internal_error_is_3_and_debug_shows_where(folder, tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("a fault\nof ours")

    monkeypatch.setattr("medsynth.train.classifier.train_classifier", broken)
    arguments = ["train", "classifier", str(folder), "--out", str(tmp_path / "run"), *TRAIN]
    assert run(arguments) == 3
    said = capsys.readouterr().err
    assert "RuntimeError: a fault of ours" in said
    assert "Traceback" not in said
    assert run([*arguments, "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err

"""Folder to table, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from medsynth.errors import ConfigError, DataError, OutputError
from medsynth.infer import Classifier, load_classifier, pipeline, predict_folder

if TYPE_CHECKING:
    from types import ModuleType

COUNT = 120


@pytest.fixture
def model(tiny: ModuleType, tmp_path: Path) -> Classifier:
    return load_classifier(tiny.classifier_file(tmp_path / "m.onnx"), device="cpu")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scans")
    random = np.random.default_rng(0)
    for index in range(COUNT):
        Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).save(root / f"{index}.png")
    for index in (0, 50, 51):
        (root / f"{index}.png").write_bytes(b"broken")
    return root


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder(model: Classifier, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "p.csv"
    table = predict_folder(model, scans, out, batch_size=16)
    assert table is not None
    assert len(table) == COUNT - 3
    assert files(out.parent) == {"p.csv", "p.csv.meta.json"}  # no journal is left
    lines = out.read_text().splitlines()
    assert lines[0] == "path,predicted,probability_clear,probability_opacity"
    assert [line.split(",")[0] for line in lines[1:]] == [f"{i}.png" for i in range(COUNT) if i not in {0, 50, 51}]
    meta = json.loads((out.parent / "p.csv.meta.json").read_text())
    assert meta["rows"] == COUNT - 3
    assert [entry["name"] for entry in meta["quarantine"]] == ["0.png", "50.png", "51.png"]
    assert meta["model"]["content_hash"] == model.metadata.content_hash
    wanted = model.predict(scans, batch_size=16)
    wanted.write(tmp_path / "memory.csv")
    assert out.read_bytes() == (tmp_path / "memory.csv").read_bytes()
    assert table.predicted == {name: wanted.predicted.count(name) for name in model.classes}
    assert table.skipped == wanted.skipped


class InterruptedError_(Exception):
    """Stops a run in its middle."""


def stop_after(limit: int):
    def report(done: int, total: int, figures: object) -> None:
        if done >= limit:
            raise InterruptedError_

    return report


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("stop", [1, 48, COUNT])
def test_a_stopped_run_goes_on(model: Classifier, scans: Path, tmp_path: Path, suffix: str, stop: int) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    whole, resumed = tmp_path / f"whole{suffix}", tmp_path / f"resumed{suffix}"
    predict_folder(model, scans, whole, batch_size=16)
    with pytest.raises(InterruptedError_):
        predict_folder(model, scans, resumed, batch_size=16, on_progress=stop_after(stop))
    assert not resumed.exists()
    began: list[int] = []
    table = predict_folder(
        model, scans, resumed, batch_size=16, resume=True, on_progress=lambda done, *_: began.append(done)
    )
    assert table is not None
    assert began[0] >= min(stop, COUNT)
    assert resumed.read_bytes() == whole.read_bytes()
    assert Path(f"{resumed}.meta.json").read_text() == Path(f"{whole}.meta.json").read_text()


def test_a_torn_line_is_run_again(model: Classifier, scans: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.csv", tmp_path / "torn.csv"
    predict_folder(model, scans, whole, batch_size=16)
    with pytest.raises(InterruptedError_):
        predict_folder(model, scans, torn, batch_size=16, on_progress=stop_after(48))
    journal = Path(f"{torn}.journal")
    whole_journal = journal.read_bytes()
    for keep in (len(whole_journal) - 7, len(whole_journal) - 300, 9, 0):  # torn in a batch, in the header, empty
        journal.write_bytes(whole_journal[:keep])
        with pytest.raises(InterruptedError_):
            predict_folder(model, scans, torn, batch_size=16, resume=True, on_progress=stop_after(48))
    predict_folder(model, scans, torn, batch_size=16, resume=True)
    assert torn.read_bytes() == whole.read_bytes()


def test_killed_runs_lose_and_double_nothing(model: Classifier, scans: Path, tmp_path: Path) -> None:
    """SIGKILL at several moments; the images run in all stay within one batch for each kill."""
    whole, out, log = tmp_path / "whole.csv", tmp_path / "killed.csv", tmp_path / "log"
    predict_folder(model, scans, whole, batch_size=8)
    code = """
import sys, time
from medsynth.infer import load_classifier, predict_folder
from medsynth.infer.classifier import Classifier
model, scans, out, log = sys.argv[1:]
real = Classifier.batches
def batches(self, *args, **kwargs):
    for rows in real(self, *args, **kwargs):
        with open(log, "a") as file:
            file.write(f"{rows.stop - rows.start}\\n")
        time.sleep(0.02)
        yield rows
Classifier.batches = batches
predict_folder(load_classifier(model, device="cpu"), scans, out, batch_size=8, resume=True)
"""
    command = [sys.executable, "-c", code, str(model.path), str(scans), str(out), str(log)]
    kills = 0
    for wanted in (2, 5, 5, 11):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text().splitlines()) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.003)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    subprocess.run(command, check=True)
    assert out.read_bytes() == whole.read_bytes()
    assert files(tmp_path) == {
        "m.onnx",
        "log",
        "whole.csv",
        "whole.csv.meta.json",
        "killed.csv",
        "killed.csv.meta.json",
    }
    assert sum(map(int, log.read_text().split())) <= COUNT + 8 * kills


def test_a_finished_table_is_left_alone(model: Classifier, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    predict_folder(model, scans, out)
    before = out.stat().st_mtime_ns
    assert predict_folder(model, scans, out, resume=True) is None
    assert out.stat().st_mtime_ns == before


def test_a_finished_table_of_another_model_is_an_error(
    tiny: ModuleType, model: Classifier, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    predict_folder(model, scans, out)
    before = out.read_bytes()
    other = load_classifier(tiny.classifier_file(tmp_path / "other.onnx", seed=1))
    with pytest.raises(ConfigError, match=r"is there already, but from another model\. Choose"):
        predict_folder(other, scans, out, resume=True)
    assert out.read_bytes() == before
    predict_folder(other, scans, out)  # without --resume it is made anew
    assert out.read_bytes() != before


def test_a_finished_table_of_other_images_is_an_error(model: Classifier, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "p.csv"
    scans.mkdir()
    for name in "ab":
        Image.new("L", (8, 8)).save(scans / f"{name}.png")
    predict_folder(model, scans, out)
    with pytest.raises(ConfigError, match="from another batch size"):
        predict_folder(model, scans, out, batch_size=8, resume=True)
    Image.effect_noise((9, 9), 50).save(scans / "b.png")
    with pytest.raises(ConfigError, match=r"from another list of images\. Choose another --out, or omit --resume"):
        predict_folder(model, scans, out, resume=True)
    predict_folder(model, scans, out)
    (scans / "c.png").write_bytes(b"")
    with pytest.raises(ConfigError, match="from another list of images"):
        predict_folder(model, scans, out, resume=True)
    Path(f"{out}.meta.json").unlink()
    with pytest.raises(ConfigError, match="from another model and list of images and batch size"):
        predict_folder(model, scans, out, resume=True)


def test_a_journal_of_other_work_is_not_mixed_in(model: Classifier, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(InterruptedError_):
        predict_folder(model, scans, out, batch_size=16, on_progress=stop_after(16))
    with pytest.raises(ConfigError, match="another batch size than the journal"):
        predict_folder(model, scans, out, batch_size=8, resume=True)
    (scans / "999.png").write_bytes((scans / "1.png").read_bytes())
    try:
        with pytest.raises(ConfigError, match="another list of images than the journal"):
            predict_folder(model, scans, out, batch_size=16, resume=True)
    finally:
        (scans / "999.png").unlink()
    assert predict_folder(model, scans, out, batch_size=8) is not None  # starting over is allowed


def test_a_journal_that_is_no_journal(model: Classifier, scans: Path, tmp_path: Path) -> None:
    Path(tmp_path / "p.csv.journal").write_text("hello\n[1, 2]\n")
    with pytest.raises(ConfigError, match="is not a journal"):
        predict_folder(model, scans, tmp_path / "p.csv", resume=True)


def test_the_disk_fills(model: Classifier, scans: Path, full_disk: Path) -> None:
    out = full_disk / "p.csv"
    (full_disk / "fill").write_bytes(bytes(60 * 1024))
    with pytest.raises(OutputError, match=r"No space left on device.*run again with --resume"):
        predict_folder(model, scans, out, batch_size=4)
    assert files(full_disk) == {"fill", "p.csv.journal"}
    (full_disk / "fill").write_bytes(b"")
    table = predict_folder(model, scans, out, batch_size=4, resume=True)
    assert table is not None
    assert files(full_disk) == {"fill", "p.csv", "p.csv.meta.json"}


def test_bad_arguments_fail_before_any_work(model: Classifier, scans: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must end in"):
        predict_folder(model, scans, tmp_path / "p.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="must be a folder"):
        predict_folder(model, scans, tmp_path / "file" / "p.csv")
    with pytest.raises(DataError, match="no such folder"):
        predict_folder(model, tmp_path / "absent", tmp_path / "p.csv")
    with pytest.raises(ConfigError, match="batch size"):
        predict_folder(model, scans, tmp_path / "p.csv", batch_size=0)


def test_all_unreadable(model: Classifier, scans: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 2 images could be read"):
        predict_folder(model, [scans / "50.png", scans / "51.png"], tmp_path / "p.csv")
    assert files(tmp_path) == {"m.onnx"}


def test_a_batch_of_which_nothing_could_be_read_is_resumed(model: Classifier, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(8):
        Image.fromarray(np.full((8, 8), 20 * index, np.uint8)).save(folder / f"{index}.png")
    for index in (2, 3):
        (folder / f"{index}.png").write_bytes(b"broken")
    whole, resumed = tmp_path / "whole.csv", tmp_path / "resumed.csv"
    predict_folder(model, folder, whole, batch_size=2)
    with pytest.raises(InterruptedError_):
        predict_folder(model, folder, resumed, batch_size=2, on_progress=stop_after(6))
    predict_folder(model, folder, resumed, batch_size=2, resume=True)
    assert resumed.read_bytes() == whole.read_bytes()
    assert len(whole.read_text().splitlines()) == 7


def test_a_journal_with_a_gap_is_no_journal(model: Classifier, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(InterruptedError_):
        predict_folder(model, scans, out, batch_size=16, on_progress=stop_after(48))
    journal = Path(f"{out}.journal")
    header, _, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([header, *rest]))
    with pytest.raises(ConfigError, match=r"is not a journal\. Remove it"):
        predict_folder(model, scans, out, batch_size=16, resume=True)


def test_memory_grows_by_the_names_alone(model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_image", lambda source, spec: np.zeros(spec.shape, np.uint8))

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir(exist_ok=True)
        for index in range(count):
            (folder / f"{index}.png").touch()
        tracemalloc.start()
        try:
            written = predict_folder(model, folder, tmp_path / f"{count}.csv")
            assert written is not None
            assert len(written) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def least(count: int) -> int:
        """Of three: pathlib interns names, and Python's one table of interned strings grows when it must, by MBs."""
        return min(peak(count) for _ in range(3))

    peak(100)  # What is imported and cached at first.
    # A name and, while they are sorted, its key.
    assert least(4000) - least(1000) < 3000 * 250

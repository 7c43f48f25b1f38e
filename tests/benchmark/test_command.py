"""``medsynth benchmark`` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from medsynth.benchmark.devices import working_devices
from medsynth.benchmark.trial import Rules
from medsynth.cli.main import run
from medsynth.errors import ConfigError, DeviceError, MemoryRanOutError
from medsynth.infer.device import probe
from medsynth.infer.model import OpenModel

if TYPE_CHECKING:
    from types import ModuleType

MODULE = "medsynth.benchmark.run"
no_gpu = pytest.mark.skipif(probe("cuda") is None, reason="a GPU works here")


@pytest.fixture
def classifier(tiny: ModuleType, tmp_path: Path) -> str:
    return str(tiny.classifier_file(tmp_path / "a-classifier-with-a-rather-long-name.onnx"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[MODULE], "Rules", lambda: Rules(min_seconds=0.01, min_runs=9))


def measured(path: Path) -> Any:
    return json.loads(path.read_text())


@no_gpu
@pytest.mark.usefixtures("quick")
def test_a_device_that_does_not_work_is_a_line(
    classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.json"
    assert run(["benchmark", classifier, "--device", "cuda, cpu,auto", "--batch-sizes", "1", "--out", str(out)]) == 0
    written = measured(out)
    assert [model["device"] for model in written["models"]] == ["cpu"]
    (missing,) = written["unmeasured"]
    assert (missing["device"], missing["batch_size"]) == ("cuda", None)
    assert "device 'cuda' does not work here" in missing["reason"]
    assert "Not measured: device 'cuda' does not work here" in " ".join(capsys.readouterr().out.split())


@no_gpu
def test_the_only_device_must_work(classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for devices in ("cuda", "cuda,tensorrt"):
        assert run(["benchmark", classifier, "--device", devices, "--out", str(tmp_path / "t.json")]) == 2
        assert "does not work here" in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()
    with pytest.raises(DeviceError):
        working_devices(["tensorrt"])
    with pytest.raises(ConfigError, match="device must be one of"):
        working_devices(["cpu", "tpu"])


@pytest.mark.usefixtures("quick")
def test_memory_that_does_not_suffice_is_a_line(
    classifier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = OpenModel.run

    def small(self: OpenModel, feeds: Any) -> Any:
        if len(feeds["images"]) > most:
            raise MemoryRanOutError(f"{self.path}: no memory for that many.")
        return real(self, feeds)

    monkeypatch.setattr(OpenModel, "run", small)
    out, most = tmp_path / "t.json", 4
    assert run(["benchmark", classifier, "--device", "cpu", "--batch-sizes", "4,8", "--out", str(out)]) == 0
    assert [row["batch_size"] for row in measured(out)["models"][0]["batches"]] == [4]
    (missing,) = measured(out)["unmeasured"]
    assert missing["model"] == Path(classifier).name
    assert (missing["device"], missing["batch_size"], missing["reason"]) == ("cpu", 8, "no memory for that many.")
    assert "Not measured, batch 8: no memory" in capsys.readouterr().out
    most = 3
    assert run(["benchmark", classifier, "--device", "cpu", "--batch-sizes", "4,8", "--out", str(out)]) == 2


@pytest.mark.usefixtures("quick")
def test_a_model_for_which_memory_does_not_suffice_is_a_line(
    classifier: str,
    tiny: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = OpenModel.run

    def small(self: OpenModel, feeds: Any) -> Any:
        if self.path.name in huge:
            raise MemoryRanOutError(f"{self.path}: no memory for it.")
        return real(self, feeds)

    monkeypatch.setattr(OpenModel, "run", small)
    big, out = str(tiny.classifier_file(tmp_path / "big.onnx")), tmp_path / "t.json"
    huge = ["big.onnx"]
    for models in ([big, classifier], [classifier, big]):
        out.unlink(missing_ok=True)
        assert run(["benchmark", *models, "--device", "cpu", "--batch-sizes", "1,2", "--out", str(out)]) == 0
        assert [model["model"]["file"] for model in measured(out)["models"]] == [Path(classifier).name]
        assert measured(out)["unmeasured"] == [
            {"model": "big.onnx", "device": "cpu", "batch_size": size, "reason": "no memory for it."} for size in (1, 2)
        ]
        assert "Not measured, big.onnx on cpu, batch 2: no memory for it." in capsys.readouterr().out
    out.unlink()
    huge.append(Path(classifier).name)
    assert run(["benchmark", big, classifier, "--device", "cpu", "--batch-sizes", "1,2", "--out", str(out)]) == 2
    assert "no memory for it" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("quick")
def test_what_was_measured_before_an_error_is_written(
    classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, out = tmp_path / "broken.onnx", tmp_path / "t.json"
    broken.write_text("junk")
    sizes = ["--device", "cpu", "--batch-sizes", "1"]
    assert run(["benchmark", classifier, str(broken), *sizes, "--out", str(out)]) == 2
    assert [model["model"]["file"] for model in measured(out)["models"]] == [Path(classifier).name]
    said = capsys.readouterr()
    assert f"{out}: written." in said.out
    assert "broken.onnx: onnxruntime cannot load the model" in said.err
    out.unlink()
    assert run(["benchmark", str(broken), *sizes, "--out", str(out)]) == 2
    assert not out.exists()


def test_what_cannot_be_is_told_before_the_clock_starts(
    classifier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("medsynth.cli.benchmark._sweep", measure)
    monkeypatch.setattr("medsynth.cli.benchmark._duel", measure)
    (tmp_path / "folder.png").mkdir()
    absent, out = str(tmp_path / "absent.onnx"), ["--out", str(tmp_path / "t.json")]
    for arguments, said in (
        ([classifier, absent, *out], "absent.onnx: no such file"),
        ([classifier, "--vs", absent, *out], "absent.onnx: no such file"),
        ([classifier, "--out", str(tmp_path)], "must be a file to write, but is a folder"),
        ([classifier, "--vs", classifier, "--out", str(tmp_path)], "must be a file to write, but is a folder"),
        ([classifier, "--plot", str(tmp_path / "folder.png"), *out], "must be a file to write, but is a folder"),
        ([classifier, "--plot", str(Path(classifier) / "t.png"), *out], "must be a folder for the results"),
    ):
        assert run(["benchmark", *arguments]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.usefixtures("quick")
def test_the_table_fits_the_terminal(
    classifier: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    (tmp_path / "scans").mkdir()
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).save(tmp_path / "scans" / "a.png")
    # Nothing serves so many images in a second: INVALID for certain.
    options = ["--scenario", "server", "--rate", "100000", "--target-ms", "0.001", "--images", str(tmp_path / "scans")]
    run(["benchmark", classifier, "--device", "cpu", *options, "--out", str(tmp_path / "t.json")])
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= columns
    head = next(line for line in lines if "images/s" in line)
    assert head.split() == ["batch", "images/s", "median", "ms", "p90", "ms", "p99", "ms", "of", "peak", "runs"]
    rows = [line.split() for line in lines if line.startswith(("model ", "end-to-end "))]
    assert [(row[0], row[1], row[-1]) for row in rows] == [("model", "1", "INVALID"), ("end-to-end", "1", "INVALID")]
    assert "INVALID, model at batch 1: the 99th percentile may be" in " ".join(said.split())
    # Whole words to the edge, not one in a line.
    reasons = said[said.index("INVALID, model") : said.index("Loaded in")].splitlines()
    assert max(map(len, reasons)) > columns - 20


@pytest.mark.usefixtures("quick")
def test_a_plot(classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot, out = tmp_path / "pictures" / "t.png", str(tmp_path / "t.json")
    assert run(["benchmark", classifier, "--batch-sizes", "1,2", "--out", out, "--plot", str(plot)]) == 0
    with Image.open(plot) as picture:
        assert picture.size == (1440, 630)
    assert run(["benchmark", classifier, "--out", out, "--plot", str(tmp_path / "t.gif")]) == 2
    assert "--plot must end in" in capsys.readouterr().err


def test_a_light_start(classifier: str) -> None:
    """matplotlib costs half a second, and only a plot needs it."""
    code = "import sys, medsynth.benchmark, medsynth.cli.benchmark; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc/stat")
def test_a_busy_machine_is_said(
    classifier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process spins while the clock runs."""
    monkeypatch.setattr(sys.modules[MODULE], "Rules", lambda: Rules(min_seconds=1.5, min_runs=9))
    out = tmp_path / "t.json"
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert run(["benchmark", classifier, "--device", "cpu", "--batch-sizes", "1", "--out", str(out)]) == 0
    finally:
        spinning.kill()
        spinning.wait()
    (row,) = measured(out)["models"][0]["batches"]
    assert row["valid"] is False
    assert any(reason.startswith("the machine is busy: other processes used ") for reason in row["reasons"])
    assert row["foreign_cores"] > 0.1
    assert row["other_processes"][0]["cores"] > 0.1
    assert "the machine is busy" in " ".join(capsys.readouterr().out.split())

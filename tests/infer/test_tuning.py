"""No GPU is here: models that are fast or slow, right or wrong by their options are played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medsynth.artifact import read
from medsynth.artifact.golden import CpuRunner, remake_inputs
from medsynth.errors import DeviceError, MedsynthError, MemoryRanOutError
from medsynth.infer import load_model, session, tuning
from medsynth.infer.tuning import CANDIDATES, choose, gpu_identity, tuned_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

BEST = CANDIDATES[5]


class Gpu:
    """Opens the model on the CPU and pretends: seconds by options, and what they spoil."""

    def __init__(self, path: Path, spoil: Callable[[Any], float] = lambda _: 0.0) -> None:
        self.runner, self.spoil, self.now, self.opened = CpuRunner(str(path)), spoil, 0.0, 0

    def clock(self) -> float:
        return self.now

    def open_with(self, options: Any) -> Any:
        self.opened += 1

        def run(feeds: Any) -> Any:
            self.now += 1.0 if options == BEST else 2.0
            return {name: values + np.float32(self.spoil(options)) for name, values in self.runner.run(feeds).items()}

        return run


@pytest.fixture
def path(tiny: ModuleType, tmp_path: Path) -> Path:
    return tiny.classifier_file(tmp_path / "m.onnx")


def pick(gpu: Gpu, path: Path) -> Any:
    metadata = read(path)
    return choose(gpu.open_with, remake_inputs(metadata, latent=0), metadata, gpu.clock)


def test_the_fastest_wins(path: Path) -> None:
    assert pick(Gpu(path), path) == BEST


def test_fast_but_wrong_does_not(path: Path) -> None:
    chosen = pick(Gpu(path, lambda options: 0.01 * (options == BEST)), path)
    assert chosen in CANDIDATES
    assert chosen != BEST


def test_where_no_candidate_is_right_the_providers_own_options_must_be(path: Path) -> None:
    assert pick(Gpu(path, lambda options: float("nan") if options else 0.0), path) == {}
    for spoilt, said in ((float("nan"), "by inf"), (0.01, r"by 0\.01")):
        with pytest.raises(DeviceError, match=f"golden outputs {said}, at most 0.0001 is allowed. Use --device cpu"):
            pick(Gpu(path, lambda _, spoilt=spoilt: spoilt), path)


def test_a_gpu_that_is_always_wrong_is_refused_each_time(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU provider plays a CUDA that adds; the line names the file, and nothing is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "gpu_identity", lambda: "Some GPU")
    monkeypatch.setattr(tuning, "CANDIDATES", ())
    monkeypatch.setattr(session.OpenModel, "provider", "CPUExecutionProvider")
    monkeypatch.setattr("medsynth.infer.model.can_be_bound", lambda _: False)
    monkeypatch.setattr("medsynth.infer.model.resolve_device", lambda device: device)
    run = session.OpenModel.run
    monkeypatch.setattr(
        session.OpenModel, "run", lambda self, feeds: {name: values + 1 for name, values in run(self, feeds).items()}
    )
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"m\.onnx: on this GPU the model's answers differ"):
            load_model(path, device="cuda")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("error", [MemoryRanOutError, MedsynthError])
def test_options_that_fail_are_passed_over(path: Path, error: type[Exception]) -> None:
    gpu = Gpu(path)
    opened = gpu.open_with

    def open_with(options: Any) -> Any:
        if options["prefer_nhwc"] == BEST["prefer_nhwc"]:
            raise error("no")
        return opened(options)

    gpu.open_with = open_with  # type: ignore[method-assign]
    assert pick(gpu, path)["prefer_nhwc"] != BEST["prefer_nhwc"]


def test_the_choice_is_kept_for_this_model_gpu_and_version(
    tiny: ModuleType, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "gpu_identity", lambda: "Some GPU, 580.1")
    gpu = Gpu(path)
    first = tuned_options(read(path), 0, gpu.open_with)
    assert first in CANDIDATES
    assert gpu.opened == len(CANDIDATES)
    assert tuned_options(read(path), 0, gpu.open_with) == first
    assert gpu.opened == len(CANDIDATES)
    (kept,) = (tmp_path / "cache" / "medsynth").iterdir()
    assert json.loads(kept.read_text())["gpu"] == "Some GPU, 580.1"
    monkeypatch.setattr(tuning, "gpu_identity", lambda: "Some GPU, 590.0")
    tuned_options(read(path), 0, gpu.open_with)
    other = tiny.classifier_file(tmp_path / "other.onnx", seed=1)
    tuned_options(read(other), 0, Gpu(other).open_with)
    assert len(list((tmp_path / "cache" / "medsynth").iterdir())) == 3
    kept.write_text("torn")
    monkeypatch.setattr(tuning, "gpu_identity", lambda: "Some GPU, 580.1")
    assert tuned_options(read(path), 0, gpu.open_with) in CANDIDATES


def test_a_cache_that_cannot_be_written_costs_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tuning, "gpu_identity", lambda: "Some GPU")
    assert tuned_options(read(path), 0, Gpu(path).open_with) in CANDIDATES


def test_without_a_known_gpu_nothing_is_tried(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(path)
    monkeypatch.setattr(tuning, "gpu_identity", lambda: None)
    assert tuned_options(read(path), 0, gpu.open_with) == {}
    assert gpu.opened == 0


def test_who_the_gpu_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_identity() is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 580.65'\necho 'NVIDIA H200, 580.65'\n")
    tool.chmod(0o755)
    assert gpu_identity() == "NVIDIA H200, 580.65"
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert gpu_identity() is None


def test_a_session_on_cuda_is_opened_with_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU provider plays CUDA; it takes an option of its own."""
    monkeypatch.setattr(session.Session, "provider", "CPUExecutionProvider")
    monkeypatch.setattr("medsynth.infer.model.resolve_device", lambda device: device)
    monkeypatch.setattr(session, "tuned_options", lambda *_: {"use_arena": "1"})
    model = load_model(path, device="cuda")
    assert model.session.facts()["provider_options"] == {"use_arena": "1"}
    assert load_model(path, device="cpu").session.facts()["provider_options"] == {}

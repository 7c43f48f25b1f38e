"""This machine has no GPU; what cannot be seen here is played by fakes of onnxruntime's own answers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medsynth.errors import ConfigError, DeviceError
from medsynth.infer import device as devices
from medsynth.infer.device import CLASH, check_device, probe, resolve_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HAS_CUDA = probe("cuda") is None


@pytest.fixture
def fresh_probe() -> Iterator[None]:
    probe.cache_clear()
    yield
    probe.cache_clear()


class FakeSession:
    """An onnxruntime that always finds something."""

    def __init__(self, provider: str, result: float = 0.0) -> None:
        self.provider, self.result = provider, result

    def get_providers(self) -> list[str]:
        return [self.provider]

    def run(self, *_: Any) -> list[Any]:
        return [np.float32([self.result])]


def fake_onnxruntime(monkeypatch: pytest.MonkeyPatch, session: Any, providers: tuple[str, ...]) -> None:
    class Fake:
        __file__ = __file__
        InferenceSession = staticmethod(session)

        @staticmethod
        def get_available_providers() -> list[str]:
            return list(providers)

        @staticmethod
        def preload_dlls() -> None:
            return None

    monkeypatch.setattr(devices, "import_onnxruntime", lambda: Fake)


ALL = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


def test_the_cpu_works() -> None:
    assert probe("cpu") is None
    check_device("cpu")


def test_unknown_device() -> None:
    with pytest.raises(ConfigError, match=r"must be one of auto, cpu, cuda, tensorrt. Got 'tpu'"):
        resolve_device("tpu")


@pytest.mark.usefixtures("fresh_probe")
def test_macos_has_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_onnxruntime(monkeypatch, FakeSession, ("CPUExecutionProvider",))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DeviceError, match=r"there is no CUDA on macOS.*use --device cpu") as caught:
        check_device("cuda")
    assert "pip install" not in str(caught.value)


@pytest.mark.skipif(HAS_CUDA, reason="a GPU is here")
def test_auto_takes_the_cpu_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    assert resolve_device("auto") == "cpu"
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(HAS_CUDA or not sys.platform.startswith("linux"), reason="a GPU is here, or no Linux")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_missing_gpu_is_one_clear_line_within_seconds(tiny: ModuleType, tmp_path: Path, device: str) -> None:
    model = tiny.classifier_file(tmp_path / "m.onnx")
    code = (
        "import sys\n"
        "from medsynth.infer import load_model\n"
        "from medsynth.errors import DeviceError\n"
        "try: load_model(sys.argv[1], device=sys.argv[2])\n"
        "except DeviceError as error: print(error)\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, model, device], check=True, capture_output=True, text=True)
    assert time.monotonic() - began < 5
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert f"device '{device}' does not work here" in done.stdout
    assert "libcuda.so.1 is missing" in done.stdout or ".so" in done.stdout
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]" in done.stdout


@pytest.mark.usefixtures("fresh_probe")
class TestDiagnosis:
    """Each cause, played."""

    def test_auto_takes_cuda_where_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("CUDAExecutionProvider"), ALL)
        assert resolve_device("auto") == "cuda"

    def test_the_probe_forbids_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: dict[str, Any] = {}

        def session(_model: bytes, options: Any, **rest: Any) -> FakeSession:
            seen.update(rest, fallback=options.get_session_config_entry("session.disable_cpu_ep_fallback"))
            return FakeSession("CUDAExecutionProvider")

        fake_onnxruntime(monkeypatch, session, ALL)
        monkeypatch.setattr(devices, "session_options", _real_options)
        assert probe("cuda") is None
        assert seen == {"providers": ["CUDAExecutionProvider"], "enable_fallback": 0, "fallback": "1"}

    def test_a_silent_change_of_provider_is_caught(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("CPUExecutionProvider"), ALL)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(()))
        with pytest.raises(DeviceError, match="onnxruntime chose CPUExecutionProvider instead of CUDA"):
            check_device("cuda")

    def test_a_convolution_that_fails_is_caught(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def session(*_: Any, **__: Any) -> FakeSession:
            raise RuntimeError("[ONNXRuntimeError] : 11 : EP_FAIL :\n CUDNN_STATUS_NOT_INITIALIZED")

        fake_onnxruntime(monkeypatch, session, ALL)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(()))
        with pytest.raises(DeviceError, match=r"here: 11 : EP_FAIL : CUDNN_STATUS_NOT_INITIALIZED\. medsynth doctor"):
            check_device("cuda")

    def test_numbers_that_are_not_finite_are_caught(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession(ALL[1], float("nan")), ALL)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(()))
        with pytest.raises(DeviceError, match="not finite"):
            check_device("cuda")

    @pytest.mark.parametrize(
        ("symptom", "cure"),
        [
            (
                "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version",
                "Update the NVIDIA driver",
            ),
            ("CUDA failure 100: no CUDA-capable device is detected", "Give this process a GPU"),
            ("CUDA failure 2: out of memory", "End other processes on the GPU"),
        ],
    )
    def test_cuda_says_why(self, monkeypatch: pytest.MonkeyPatch, symptom: str, cure: str) -> None:
        def session(*_: Any, **__: Any) -> FakeSession:
            raise RuntimeError(symptom)

        fake_onnxruntime(monkeypatch, session, ALL)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(()))
        with pytest.raises(DeviceError, match=f"{symptom}. {cure}"):
            check_device("cuda")

    def test_cuda_12_wheels_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("CPUExecutionProvider"), ALL)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(["libcublasLt.so.13"]))
        monkeypatch.setattr(devices, "is_installed", lambda name: name == "nvidia-cublas-cu12")
        with pytest.raises(DeviceError, match=r"libcublasLt.so.13 is missing; TensorFlow's CUDA 12 wheels do not"):
            check_device("cuda")

    def test_one_missing_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("CPUExecutionProvider"), ALL)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(["libcudnn.so.9"]))
        with pytest.raises(
            DeviceError, match=r"libcudnn.so.9 is missing. Run: pip install 'onnxruntime-gpu\[cuda,cudnn"
        ):
            check_device("cuda")

    @pytest.mark.parametrize("providers", [ALL, ALL[2:]])
    def test_both_packages(self, monkeypatch: pytest.MonkeyPatch, providers: tuple[str, ...]) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("CPUExecutionProvider"), providers)
        monkeypatch.setattr(devices, "_missing_libraries", lambda _: iter(()))
        monkeypatch.setattr(devices, "is_installed", lambda _: True)
        assert probe("cuda") == CLASH

    @pytest.mark.parametrize(("plain", "said"), [(True, "has no GPU support"), (False, "has no CUDAExecutionProvider")])
    def test_a_build_without_gpu(self, monkeypatch: pytest.MonkeyPatch, plain: bool, said: str) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("CPUExecutionProvider"), ALL[2:])
        monkeypatch.setattr(devices, "is_installed", lambda name: plain and name == "onnxruntime")
        with pytest.raises(DeviceError, match=said):
            check_device("cuda")

    def test_a_broken_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_onnxruntime(monkeypatch, lambda *_, **__: FakeSession("Other"), ALL)
        with pytest.raises(DeviceError, match="Install onnxruntime again"):
            check_device("cpu")


def _real_options(**entries: str) -> Any:
    from medsynth.artifact.runtime import session_options

    return session_options(**entries)

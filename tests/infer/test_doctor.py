from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from medsynth.errors import MedsynthError
from medsynth.infer import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    from medsynth.infer.doctor import Finding


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """Examine an environment with exactly these distributions."""

    def examine(**distributions: str) -> dict[str, Finding]:
        versions = {name.replace("_", "-"): number for name, number in distributions.items()}
        monkeypatch.setattr(doctor, "is_installed", versions.__contains__)
        monkeypatch.setattr(doctor, "version", versions.__getitem__)
        return {finding.subject: finding for finding in doctor.examine()}

    return examine


def test_this_environment() -> None:
    findings = {finding.subject: finding for finding in doctor.examine()}
    assert findings["device cpu"].status == "ok"
    assert findings["numpy"].status == "ok"
    assert findings["onnxruntime"].status == "ok"
    assert "telemetry is switched off" in findings["onnxruntime"].detail
    assert {"device cuda", "device tensorrt", "python"} <= findings.keys()


def test_tensorflow_is_not_imported() -> None:
    code = (
        "import sys; from medsynth.infer.doctor import examine; examine();"
        "assert not {'tensorflow', 'keras', 'tf2onnx'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_onnxruntimes(installed: Callable[..., dict[str, Finding]]) -> None:
    finding = installed(onnxruntime="1.31.1", onnxruntime_gpu="1.31.1")["onnxruntime"]
    assert finding.status == "problem"
    assert "overwrite each other" in finding.detail
    assert finding.cure.startswith("pip uninstall -y onnxruntime onnxruntime-gpu && pip install")


def test_no_onnxruntime(installed: Callable[..., dict[str, Finding]]) -> None:
    assert installed()["onnxruntime"].status == "problem"


def test_the_other_project(installed: Callable[..., dict[str, Finding]]) -> None:
    findings = installed(medsynth="3.0", medsynth_core="0.1.0")
    assert findings["medsynth-core"].detail == "0.1.0"
    assert findings["medsynth"].status == "problem"
    assert "another project" in findings["medsynth"].detail
    assert "pip uninstall -y medsynth" in findings["medsynth"].cure


def test_two_cudnn(installed: Callable[..., dict[str, Finding]]) -> None:
    finding = installed(nvidia_cudnn_cu12="9.1", nvidia_cudnn_cu13="9.9")["cuDNN"]
    assert finding.status == "problem"
    assert "two environments" in finding.cure
    assert installed(nvidia_cudnn_cu13="9.9")["cuDNN"].status == "ok"
    assert "cuDNN" not in installed()


def test_extras(installed: Callable[..., dict[str, Finding]]) -> None:
    findings = installed(tensorflow_cpu="2.21.0", pyarrow="20")
    assert findings["tensorflow-cpu"].detail == "2.21.0 (extra train)"
    assert findings["pyarrow"].status == "ok"
    assert findings["pydicom"].status == "absent"
    assert findings["pydicom"].cure == "pip install '.[dicom]' (in the checkout)"
    assert findings["numpy"].status == "problem"


def test_nobody_is_sent_to_the_other_project(installed: Callable[..., dict[str, Finding]]) -> None:
    for environment in ({}, {"medsynth": "3.0"}):
        for finding in installed(**environment).values():
            assert "pip install medsynth" not in finding.cure


def test_a_broken_onnxruntime_does_not_stop_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise MedsynthError("onnxruntime cannot be imported")

    monkeypatch.setattr(doctor, "probe", fail)
    findings = {finding.subject: finding for finding in doctor.examine()}
    assert findings["device cpu"].status == "problem"

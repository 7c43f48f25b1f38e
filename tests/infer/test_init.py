from __future__ import annotations

import subprocess
import sys

import pytest

import medsynth.infer


def test_every_public_name_is_there() -> None:
    for name in medsynth.infer.__all__:
        assert getattr(medsynth.infer, name).__module__.startswith(("medsynth.infer", "medsynth.artifact"))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        medsynth.infer.nothing  # noqa: B018


def test_importing_is_light() -> None:
    code = (
        "import sys; import medsynth.infer, medsynth.artifact; from medsynth.infer import load_model;"
        "assert not {'onnxruntime', 'onnx', 'tensorflow', 'keras', 'sklearn', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

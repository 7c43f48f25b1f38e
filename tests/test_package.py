"""What ``import medsynth`` promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import medsynth


def _python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_it_imports_no_heavy_package():
    heavy = ("tensorflow", "keras", "onnxruntime", "onnx", "sklearn", "matplotlib", "scipy", "numpy", "PIL", "rich")
    code = f"import sys, medsynth, medsynth.plugins; print([m for m in {heavy!r} if m in sys.modules])"
    assert _python(code).strip() == "[]"


def test_the_command_line_starts_without_them_too():
    heavy = ("tensorflow", "keras", "onnxruntime", "onnx", "sklearn", "matplotlib", "scipy")
    code = f"import sys, medsynth.cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    assert _python(code).strip() == "[]"


@pytest.mark.parametrize("name", ["export", "evaluate", "benchmark"])
def test_a_function_that_shares_its_name_with_a_package_stays_a_function(name):
    # Importing the package binds it to its parent; the public function must win, in whichever order.
    for first in (f"import medsynth.{name}", f"from medsynth.{name} import {name}", f"medsynth.{name}"):
        code = f"import medsynth; {first}; import medsynth.{name}; print(type(medsynth.{name}).__name__)"
        assert _python(code).strip() == "function"


def test_every_public_name_is_there():
    for name in medsynth.__all__:
        assert getattr(medsynth, name) is not None
    assert set(medsynth.__all__) <= set(dir(medsynth))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = medsynth.trian


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert medsynth.__version__ == version("medsynth-core")


def test_keras_on_another_backend_is_told():
    code = (
        "import os; os.environ['KERAS_BACKEND'] = 'torch'\n"
        "import medsynth\n"
        "try: medsynth.train_classifier\n"
        "except medsynth.MedsynthError as error: print(error)"
    )
    assert "KERAS_BACKEND is 'torch'" in _python(code)

"""In processes of their own: what is imported cannot be taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from medsynth.processor import processor_has


@pytest.fixture
def python(tmp_path):
    def call(code, **variables):
        known = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
        environment = {**known, "HOME": str(tmp_path), "KERAS_HOME": str(tmp_path), **variables}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    return call


CHECK = """
from medsynth.errors import MedsynthError
from medsynth.train.backend import require_tensorflow
try:
    require_tensorflow("This")
except MedsynthError as error:
    print(type(error).__name__, error)
"""


def test_a_keras_json_that_names_another_backend_does_not_matter(python, tmp_path):
    fields = {"backend": "jax", "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
    (tmp_path / "keras.json").write_text(json.dumps(fields))
    done = python(CHECK + "import keras; print(keras.backend.backend())")
    assert (done.returncode, done.stdout) == (0, "tensorflow\n"), done.stderr


def test_a_backend_that_was_chosen_is_not_overruled(python):
    said = python(CHECK, KERAS_BACKEND="torch").stdout
    assert said.startswith("ConfigError This needs Keras on TensorFlow, but KERAS_BACKEND is 'torch'")


@pytest.mark.parametrize("module", ["tensorflow", "keras", "tf2onnx"])
def test_what_is_missing_is_named(python, module):
    said = python(f"import sys; sys.modules['{module}'] = None\n{CHECK}").stdout
    assert said.startswith(f"MissingExtraError This needs {module}, which is not installed. Install the extra: ")


@pytest.mark.parametrize("raised", ["ImportError('DLL load failed:\\n no such file')", "OSError('DLL load failed')"])
def test_an_installation_that_does_not_load_is_told_in_one_line(python, tmp_path, raised):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(f"raise {raised}")
    done = python(CHECK, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(
        "MedsynthError This needs TensorFlow, which is installed but does not load (DLL load failed"
    )


@pytest.mark.skipif(not processor_has("avx2"), reason="no AVX2, or no Linux to tell of it")
@pytest.mark.parametrize(("chosen", "used"), [({}, True), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, False)])
def test_onednn_is_used_unless_it_was_switched_off(python, monkeypatch, chosen, used):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    code = f"{CHECK}\nfrom tensorflow.python.util import _pywrap_util_port\nprint(_pywrap_util_port.IsMklEnabled())"
    done = python(code, **chosen)
    assert done.stdout == f"{used}\n", done.stderr

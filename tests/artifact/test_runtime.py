from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from medsynth.artifact.runtime import import_onnxruntime, runtime_versions, session_options
from medsynth.errors import MedsynthError

if TYPE_CHECKING:
    from types import ModuleType


def test_telemetry_is_off_before_the_import(python: str) -> None:
    code = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            assert os.environ.get("ORT_DISABLE_TELEMETRY") == "1", "imported with telemetry on"
            print("seen")
sys.meta_path.insert(0, Watch())
from medsynth.artifact.runtime import import_onnxruntime
import_onnxruntime()
"""
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "seen\n"
    assert done.stderr == ""


def test_only_one_door_leads_to_onnxruntime(source: list[tuple[str, str]]) -> None:
    doors = [name for name, text in source if "import onnxruntime" in text.replace("import_onnxruntime", "")]
    assert doors == ["medsynth/artifact/runtime.py"]


def test_int8_takes_the_exact_kernels_where_the_fast_ones_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "session.x64quantprecision"
    monkeypatch.setattr("medsynth.artifact.runtime.processor_has", lambda *_: False)
    assert session_options().get_session_config_entry(name) == "1"
    monkeypatch.setattr("medsynth.artifact.runtime.processor_has", lambda *_: True)
    with pytest.raises(RuntimeError):  # not set
        session_options().get_session_config_entry(name)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
def test_no_thread_leaves_the_processors_that_are_ours(python: str, tiny: ModuleType, tmp_path: Path) -> None:
    """onnxruntime's own choice is a thread for each core of the machine, tied to it."""
    code = """
import os, sys
ours = {min(os.sched_getaffinity(0))}
os.sched_setaffinity(0, ours)  # Before any import starts threads.
from medsynth.artifact.golden import CpuRunner
runner = CpuRunner(sys.argv[1])
for thread in map(int, os.listdir("/proc/self/task")):
    assert os.sched_getaffinity(thread) <= ours, (thread, os.sched_getaffinity(thread))
"""
    model = tmp_path / "m.onnx"
    onnx.save(tiny.classifier_model(), model)
    done = subprocess.run([python, "-c", code, str(model)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_versions_name_what_computes() -> None:
    assert runtime_versions().keys() == {"python", "onnxruntime", "medsynth-core", "numpy", "pillow"}


def test_a_broken_onnxruntime_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import_onnxruntime.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    try:
        with pytest.raises(MedsynthError, match=r"onnxruntime cannot be imported .* pip install"):
            import_onnxruntime()
    finally:
        import_onnxruntime.cache_clear()

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medsynth.benchmark import conditions, gpu
from medsynth.benchmark.conditions import Conditions, complaints, read_conditions
from medsynth.benchmark.gpu import gpu_state
from medsynth.benchmark.trial import Rules, Subject, Trial

if TYPE_CHECKING:
    from types import ModuleType


def put(root: Path, **files: object) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of three processors, of which 0 and 2 are ours."""
    monkeypatch.setattr(conditions, "_ROOT", tmp_path)
    monkeypatch.setattr(conditions, "allowed_cores", lambda: frozenset({0, 2}))
    return tmp_path


def test_clocks_temperature_and_throttling(root: Path) -> None:
    for core, khz, throttles in ((0, 3_000_000, 4), (1, 1_000_000, 100), (2, 2_000_000, 5)):
        folder = f"sys__devices__system__cpu__cpu{core}"
        put(root, **{f"{folder}__cpufreq__scaling_cur_freq": khz, f"{folder}__cpufreq__cpuinfo_max_freq": 3_500_000})
        put(root, **{f"{folder}__thermal_throttle__core_throttle_count": throttles})
        put(root, **{f"{folder}__thermal_throttle__package_throttle_count": 1})
    put(root, sys__class__thermal__thermal_zone0__temp=41_000)
    put(root, sys__class__hwmon__hwmon0__name="k10temp", sys__class__hwmon__hwmon0__temp1_input=72_500)
    put(root, sys__class__hwmon__hwmon1__name="nvme", sys__class__hwmon__hwmon1__temp1_input=90_000)
    seen = read_conditions()
    assert (seen.cpu_mhz, seen.cpu_max_mhz) == (2500, 3500)
    assert seen.cpu_temperature == 72.5
    assert seen.cpu_throttles == 4 + 5 + 2
    assert seen.gpu is None


def test_a_virtual_machine_that_says_its_clock_only(root: Path) -> None:
    put(root, proc__cpuinfo="\n".join(f"processor : {n}\ncpu MHz\t\t: {2000 + n}.5" for n in range(3)))
    seen = read_conditions()
    assert seen.cpu_mhz == 2001.5
    assert (seen.cpu_max_mhz, seen.cpu_temperature, seen.cpu_throttles) == (None, None, None)


def test_a_machine_that_says_nothing(root: Path) -> None:
    seen = read_conditions()
    assert replace(seen, load_average=None) == Conditions(
        load_average=None, cpu_mhz=None, cpu_max_mhz=None, cpu_temperature=None, cpu_throttles=None, gpu=None
    )
    assert complaints(seen, seen) == []


def test_heat_is_a_complaint(root: Path) -> None:
    counter = "sys__devices__system__cpu__cpu2__thermal_throttle__core_throttle_count"
    put(root, **{counter: 3})
    before = read_conditions()
    assert complaints(before, read_conditions()) == []
    put(root, **{counter: 5})
    assert complaints(before, read_conditions()) == ["heat slowed the processors 2 times"]


SMI = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
  *clocks_event_reasons.active*) {event} ;;
  *clocks_throttle_reasons.active*) echo "NVIDIA H200, 580.65.06, 1755, 1980, 61, 512.30, 20480, {bits}" ;;
  *query-compute-apps*) printf '{apps}' ;;
  *) exit 2 ;;
esac
"""


def smi(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, bits: str = "0x0000000000000000", apps: str = "77\\n", old: bool
) -> Path:
    """A driver's tool that answers as the real one does; an old one does not know the new name of the reasons."""
    row = f'echo "NVIDIA H200, 580.65.06, 1755, 1980, 61, [N/A], 20480, {bits}"'
    event = 'echo "Field \\"clocks_event_reasons.active\\" is not a valid field to query."; exit 2' if old else row
    tool, log = folder / "nvidia-smi", folder / "asked"
    tool.write_text(SMI.format(log=log, event=event, bits=bits, apps=apps))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return log


@pytest.mark.parametrize("old", [False, True])
def test_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    log = smi(tmp_path, monkeypatch, old=old, bits="0x0000000000000004")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5,GPU-6")
    seen = gpu_state()
    assert seen is not None
    assert (seen.name, seen.driver, seen.sm_mhz, seen.sm_max_mhz) == ("NVIDIA H200", "580.65.06", 1755, 1980)
    assert (seen.temperature, seen.memory_mib) == (61, 20480)
    assert seen.power_w == (512.3 if old else None)
    assert seen.other_processes == 0
    # The power limit is where a busy GPU works.
    assert (seen.clock_reasons, seen.slowed_by) == ("0x0000000000000004", ())
    assert all("--id=GPU-5" in line for line in log.read_text().splitlines())


def test_a_slowed_and_shared_gpu_makes_a_row_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: ModuleType
) -> None:
    from medsynth.benchmark.inputs import InputPool
    from medsynth.infer.session import Session

    smi(tmp_path, monkeypatch, bits="0x0000000000000060", apps="77\\n78\\n79\\n", old=False)
    session = Session(tiny.classifier_file(tmp_path / "m.onnx"), "cpu")
    pool = InputPool(session.metadata)
    trial = Trial(Subject(session.run, pool, on_gpu=True), 1, Rules(min_seconds=0, warmup_runs=3))
    row = trial.result("offline", [1.0], 1, 1.0)
    assert "the GPU is slowed by heat (hardware limit), heat (software limit)" in row.reasons
    assert "the GPU is shared with 2 other processes" in row.reasons
    assert row.before.gpu is not None
    assert row.after.gpu == row.before.gpu


def test_no_gpu_and_a_tool_that_answers_nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_state() is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho No devices were found\n")
    tool.chmod(0o755)
    assert gpu_state() is None
    smi(tmp_path, monkeypatch, bits="[N/A]", apps="", old=False)
    seen = gpu_state()
    assert seen is not None
    assert (seen.clock_reasons, seen.slowed_by, seen.other_processes) == (None, (), 0)
    monkeypatch.setattr(gpu, "_other_processes", lambda: None)
    assert complaints(read_conditions(on_gpu=True), read_conditions(on_gpu=True)) == []

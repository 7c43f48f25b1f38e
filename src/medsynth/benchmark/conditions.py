"""The state of the machine around a measurement: clocks, temperature, throttling; what it does not say is ``None``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medsynth.benchmark.gpu import GpuState, gpu_state
from medsynth.benchmark.machine import load_average
from medsynth.processor import allowed_cores

__all__ = ["Conditions", "complaints", "read_conditions"]

_ROOT = Path("/")
_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """One look at the machine.

    Attributes:
        load_average: Processes that wanted to run during the last minute, ours included.
        cpu_mhz: Mean clock of the processors that we may run on.
        cpu_max_mhz: The highest that they are made for.
        cpu_temperature: Of the hottest sensor, degrees Celsius.
        cpu_throttles: How often these processors and their packages were slowed by heat since the machine started.
        gpu: The GPU's state; ``None`` where none is used, or its driver does not say.
    """

    load_average: float | None
    cpu_mhz: float | None
    cpu_max_mhz: float | None
    cpu_temperature: float | None
    cpu_throttles: int | None
    gpu: GpuState | None


def read_conditions(*, on_gpu: bool = False) -> Conditions:
    """Look at the machine: files of Linux, and for a GPU its driver's tool (up to a second)."""
    cores = sorted(allowed_cores())
    clocks = [*_of_cores(cores, "cpufreq/scaling_cur_freq")]
    fastest = [*_of_cores(cores, "cpufreq/cpuinfo_max_freq")]
    throttles = [*_of_cores(cores, "thermal_throttle/core_throttle_count")]
    throttles += [*_of_cores(cores, "thermal_throttle/package_throttle_count")]
    mhz = [clock / 1000 for clock in clocks] or _mhz_of_cpuinfo(cores)
    return Conditions(
        load_average=load_average(),
        cpu_mhz=round(sum(mhz) / len(mhz), 1) if mhz else None,
        cpu_max_mhz=max(fastest) / 1000 if fastest else None,
        cpu_temperature=max(_temperatures(), default=None),
        cpu_throttles=int(sum(throttles)) if throttles else None,
        gpu=gpu_state() if on_gpu else None,
    )


def complaints(before: Conditions, after: Conditions) -> list[str]:
    """What happened in between, or holds on both sides, that spoils a measurement; a sentence each."""
    said = []
    if before.cpu_throttles is not None and after.cpu_throttles is not None:
        times = after.cpu_throttles - before.cpu_throttles
        if times > 0:
            said.append(f"heat slowed the processors {times} time{'s' * (times != 1)}")
    slowed = {reason for side in (before, after) if side.gpu for reason in side.gpu.slowed_by}
    if slowed:
        said.append(f"the GPU is slowed by {', '.join(sorted(slowed))}")
    others = max((side.gpu.other_processes or 0 for side in (before, after) if side.gpu), default=0)
    if others:
        said.append(f"the GPU is shared with {others} other process{'es' * (others != 1)}")
    return said


def _of_cores(cores: list[int], name: str) -> Iterator[float]:
    for core in cores:
        value = _number(_ROOT / f"sys/devices/system/cpu/cpu{core}" / name)
        if value is not None:
            yield value


def _temperatures() -> Iterator[float]:
    zones = sorted(_ROOT.glob("sys/class/thermal/thermal_zone*/temp"))
    sensors = [
        path
        for path in sorted(_ROOT.glob("sys/class/hwmon/hwmon*/temp*_input"))
        if _text(path.with_name("name")) in _SENSORS
    ]
    for path in (*zones, *sensors):
        value = _number(path)
        if value is not None:
            yield value / 1000


def _mhz_of_cpuinfo(cores: list[int]) -> list[float]:
    """Where the clock is not scaled by the kernel: in most virtual machines."""
    lines = (_text(_ROOT / "proc/cpuinfo") or "").splitlines()
    values = [line.partition(":")[2] for line in lines if line.startswith("cpu MHz")]
    try:
        return [float(values[core]) for core in cores if core < len(values)]
    except ValueError:
        return []


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None

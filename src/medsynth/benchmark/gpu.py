"""The state of a GPU, as ``nvidia-smi`` (NVML) gives it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

__all__ = ["GpuState", "gpu_state"]

_REASONS = {
    0x08: "its hardware (heat or power)",
    0x20: "heat (software limit)",
    0x40: "heat (hardware limit)",
    0x80: "an external power brake",
}
"""Bits of NVML's ``nvmlClocksEventReasons`` that spoil a measurement. Idling, set clocks and the power limit at which a
busy GPU always works do not."""

_FIELDS = (
    "name",
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "temperature.gpu",
    "power.draw",
    "memory.used",
)
# Its name since driver 535, and before.
_REASON_FIELDS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """One look at a GPU; ``None`` is what its driver does not say.

    Attributes:
        name: Of the GPU.
        driver: Version of the driver.
        sm_mhz: Clock of its processors.
        sm_max_mhz: The highest.
        temperature: Degrees Celsius.
        power_w: Watts.
        memory_mib: Memory in use by all processes. onnxruntime gives nothing back while it runs, so what is used after
            a measurement is the most that was used.
        clock_reasons: NVML's bits that say why the clock is not the highest.
        slowed_by: Those of them that spoil a measurement, in words.
        other_processes: How many other processes compute on it.
    """

    name: str
    driver: str
    sm_mhz: float | None
    sm_max_mhz: float | None
    temperature: float | None
    power_w: float | None
    memory_mib: float | None
    clock_reasons: str | None
    slowed_by: tuple[str, ...]
    other_processes: int | None


def gpu_state() -> GpuState | None:
    """Ask the driver about the first GPU that this process may use; ``None`` where it does not answer."""
    for reasons in _REASON_FIELDS:
        rows = _query(f"--query-gpu={','.join((*_FIELDS, reasons))}")
        if rows and len(rows[0]) == len(_FIELDS) + 1:
            name, driver, *figures, bits = rows[0]
            sm, sm_max, temperature, power, memory = map(_number, figures)
            return GpuState(
                name=name,
                driver=driver,
                sm_mhz=sm,
                sm_max_mhz=sm_max,
                temperature=temperature,
                power_w=power,
                memory_mib=memory,
                clock_reasons=bits if bits.startswith("0x") else None,
                slowed_by=_slowed_by(bits),
                other_processes=_other_processes(),
            )
    return None


def _other_processes() -> int | None:
    rows = _query("--query-compute-apps=pid")
    if rows is None:
        return None
    pids = {row[0] for row in rows if row[0].isdigit()}
    # One of them is ours; in a container it goes by a number that we do not know.
    return max(0, len(pids) - 1)


def _slowed_by(bits: str) -> tuple[str, ...]:
    try:
        active = int(bits, 16)
    except ValueError:
        return ()
    return tuple(words for bit, words in _REASONS.items() if active & bit)


def _query(question: str) -> list[list[str]] | None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    command = ["nvidia-smi", f"--id={visible}", question, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # "[N/A]"
        return None

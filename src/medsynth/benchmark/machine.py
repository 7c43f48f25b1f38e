"""Facts without which a timing says nothing."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

__all__ = ["load_average", "machine_facts", "peak_memory_mib"]


def machine_facts() -> dict[str, Any]:
    """Processor, cores that may be used, memory and operating system; no host name, no user, no path."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_quota": _cpu_quota(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "threads": os.environ.get("ORT_INTRA_OP_NUM_THREADS", "onnxruntime's default"),
    }


def load_average() -> float | None:
    """Processes that wanted to run during the last minute, ours included; ``None`` where unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def peak_memory_mib() -> float | None:
    """Most memory that this process had at once, MiB; ``None`` where unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _cpu_name() -> str:
    name = next(_values("/proc/cpuinfo", "model name"), None)
    return name or platform.processor() or platform.machine()


def _cpu_quota() -> float | None:
    """Processors that the control group (v2) allows, as a container's ``--cpus``."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _memory_gib() -> float | None:
    kib = next(_values("/proc/meminfo", "MemTotal"), None)
    return round(int(kib.split()[0]) / 2**20, 1) if kib else None


def _values(path: str, key: str) -> Any:
    if not sys.platform.startswith("linux"):
        return
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            yield value.strip()

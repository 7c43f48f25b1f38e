"""Facts without which a timing says nothing."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from medsynth.processor import allowed_cores

__all__ = ["count_threads", "forget_peak_memory", "load_average", "machine_facts", "peak_memory_mib"]

_PROC = Path("/proc")


def machine_facts() -> dict[str, Any]:
    """Processor, cores that may be used, memory and operating system; no host name, no user, no path."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "cores_allowed": len(allowed_cores()),
        "cpu_quota": _cpu_quota(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
    }


def load_average() -> float | None:
    """Processes that wanted to run during the last minute, ours included; ``None`` where unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def forget_peak_memory() -> None:
    """Let :func:`peak_memory_mib` count from here, where the system can (Linux); else it counts from the start."""
    with suppress(OSError):
        (_PROC / "self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mib() -> float | None:
    """Most memory that this process had at once, MiB; ``None`` where unknown."""
    peak = next(_values("self/status", "VmHWM"), None)
    if peak is not None:
        return round(int(peak.split()[0]) / 2**10, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (2**20 if sys.platform == "darwin" else 2**10), 1)


def count_threads() -> int | None:
    """Threads of this process; ``None`` where unknown."""
    threads = next(_values("self/status", "Threads"), None)
    return None if threads is None else int(threads)


def _cpu_name() -> str:
    name = next(_values("cpuinfo", "model name"), None)
    return name or platform.processor() or platform.machine()


def _cpu_quota() -> float | None:
    """Processors that the control group (v2) allows, as a container's ``--cpus``."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _memory_gib() -> float | None:
    kib = next(_values("meminfo", "MemTotal"), None)
    return round(int(kib.split()[0]) / 2**20, 1) if kib else None


def _values(name: str, key: str) -> Iterator[str]:
    """What stands behind a key in a file of the process file system; nothing where there is none."""
    with suppress(OSError):
        for line in (_PROC / name).read_text(encoding="utf-8").splitlines():
            found, _, value = line.partition(":")
            if found.strip() == key:
                yield value.strip()

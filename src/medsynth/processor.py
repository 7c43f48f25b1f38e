"""Which processors are ours, and which instructions they have: both decide how the same is computed."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["allowed_cores", "processor_has"]


def allowed_cores() -> frozenset[int]:
    """Numbers of the processors that this process may run on (``taskset`` and containers take some away)."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def processor_has(*instructions: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor is known to have one of ``instructions``; never, where there is no Linux to say so.

    Args:
        instructions: Flags as Linux names them, for example ``avx512_bf16``.
        cpuinfo: What Linux tells of the processor.
    """
    try:
        flags = cpuinfo.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return not set(instructions).isdisjoint(flags)

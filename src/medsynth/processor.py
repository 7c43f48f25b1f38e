"""Which instructions the processor has, where that decides between two ways of computing the same."""

from __future__ import annotations

from pathlib import Path

__all__ = ["processor_has"]


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

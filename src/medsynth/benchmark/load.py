"""How much of the processors others used while the clock ran."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["BUSY_SHARE", "LoadMeter"]

BUSY_SHARE = 0.05
"""Above this share of our processors used by others, the machine counts as busy."""

_LEAST_SECONDS = 1.0  # The kernel counts in hundredths of a second.
_STAT = Path("/proc/stat")
# Of "cpu0 user nice system idle iowait irq softirq steal ...": what was not idle. Stolen time went to other machines.
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)


class LoadMeter:
    """Measures from its making on."""

    def __init__(self) -> None:
        self.cores = _allowed()
        self._began = time.monotonic()
        self._busy = _busy_seconds(self.cores)
        self._own = time.process_time()

    def foreign_cores(self) -> float | None:
        """Processors' worth of time that others used of those that we may run on.

        Returns:
            0 to the number of processors; ``None`` where the system does not say or too little time has passed.
        """
        seconds = time.monotonic() - self._began
        busy = _busy_seconds(self.cores)
        if busy is None or self._busy is None or seconds < _LEAST_SECONDS:
            return None
        return max(0.0, busy - self._busy - (time.process_time() - self._own)) / seconds

    def complaint(self) -> str | None:
        """The sentence for a result that was measured on a busy machine."""
        foreign = self.foreign_cores()
        if foreign is None or foreign <= BUSY_SHARE * len(self.cores):
            return None
        return f"the machine is busy: other processes used {foreign:.2f} of {len(self.cores)} processors"


def _allowed() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def _busy_seconds(cores: frozenset[int]) -> float | None:
    try:
        lines = _STAT.read_text(encoding="ascii").splitlines()
        wanted = {f"cpu{core}" for core in cores}
        rows = [fields[1:] for fields in map(str.split, lines) if fields and fields[0] in wanted]
        ticks = sum(int(row[field]) for row in rows for field in _BUSY_FIELDS)
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if rows else None

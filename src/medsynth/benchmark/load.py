"""How much of the processors others used while the clock ran."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from medsynth.processor import allowed_cores

__all__ = ["BUSY_SHARE", "LoadMeter", "Other", "complaint"]

BUSY_SHARE = 0.05
"""Above this share of our processors used by others, the machine counts as busy."""

_LEAST_SECONDS = 1.0  # The kernel counts in hundredths of a second.
_NAMED, _LEAST_CORES = 3, 0.01
_PROC = Path("/proc")
# Of "cpu0 user nice system idle iowait irq softirq steal ...": what was not idle. Stolen time went to other machines.
_BUSY_FIELDS = (0, 1, 2, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Other:
    """Another process: its name, and how many processors' worth of time it used."""

    name: str
    cores: float


class LoadMeter:
    """Measures from its making on."""

    def __init__(self) -> None:
        self.cores = allowed_cores()
        self._processes = _seconds_of_processes()
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

    def others(self) -> tuple[Other, ...]:
        """The processes that used most since then, the busiest first; those that ended meanwhile are not seen."""
        seconds = time.monotonic() - self._began
        if seconds < _LEAST_SECONDS:
            return ()
        used = [
            Other(name, round((spent - self._processes.get(key, (name, 0.0))[1]) / seconds, 3))
            for key, (name, spent) in _seconds_of_processes().items()
        ]
        used = [other for other in used if other.cores >= _LEAST_CORES]
        return tuple(sorted(used, key=lambda other: -other.cores)[:_NAMED])


def complaint(foreign: float | None, cores: int, others: tuple[Other, ...]) -> str | None:
    """The sentence for a result that was measured on a busy machine."""
    if foreign is None or foreign <= BUSY_SHARE * cores:
        return None
    named = f" ({', '.join(f'{other.name} {other.cores:.2f}' for other in others)})" if others else ""
    return f"the machine is busy: other processes used {foreign:.2f} of {cores} processors{named}"


def _busy_seconds(cores: frozenset[int]) -> float | None:
    try:
        lines = (_PROC / "stat").read_text(encoding="ascii").splitlines()
        wanted = {f"cpu{core}" for core in cores}
        rows = [fields[1:] for fields in map(str.split, lines) if fields and fields[0] in wanted]
        ticks = sum(int(row[field]) for row in rows for field in _BUSY_FIELDS)
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if rows else None


def _seconds_of_processes() -> dict[tuple[int, int], tuple[str, float]]:
    """Name of each process but ours, and the time that it has used; by number and start, as numbers come again."""
    found = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            # "pid (name) state ppid ..."; a name may hold spaces and brackets.
            head, _, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
            fields = rest.split()
            pid, ticks, started = int(folder.name), int(fields[11]) + int(fields[12]), int(fields[19])
        except (OSError, ValueError, IndexError):
            continue
        if pid != os.getpid():
            found[pid, started] = head.partition("(")[2], ticks / os.sysconf("SC_CLK_TCK")
    return found

"""The devices of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from medsynth.benchmark.report import Unmeasured
from medsynth.errors import DeviceError
from medsynth.infer.device import resolve_device

__all__ = ["working_devices"]


def working_devices(devices: Sequence[str]) -> tuple[tuple[str, ...], tuple[Unmeasured, ...]]:
    """Those that work, each once, and why the others do not.

    Raises:
        ConfigError: There is no such device.
        DeviceError: None of them works.
    """
    working: dict[str, None] = {}
    broken: list[Unmeasured] = []
    for device in devices:
        try:
            working[resolve_device(device)] = None
        except DeviceError as error:
            broken.append(Unmeasured(model=None, device=device, batch_size=None, reason=str(error)))
            if len(broken) == len(devices):
                raise
    return tuple(working), tuple(broken)

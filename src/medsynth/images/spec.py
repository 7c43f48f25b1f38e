"""What a model takes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from medsynth.errors import ConfigError

__all__ = ["ImageSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """The images that a model takes: uint8 of shape (height, width, channels).

    Attributes:
        height: Rows in pixels, at least 1.
        width: Columns in pixels, at least 1.
        channels: 1 (grey) or 3 (RGB).
        window: Grey levels (low, high) that are mapped to 0 and 255 for images of more than 8 bits, in the unit of the
            file (for DICOM after the rescale, so Hounsfield units for CT); ``None`` where the data had 8 bits.
    """

    height: int
    width: int
    channels: int
    window: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ConfigError(f"image size must be at least 1x1 pixels. Got {self.height}x{self.width}.")
        if self.channels not in {1, 3}:
            raise ConfigError(f"channels must be 1 (grey) or 3 (RGB). Got {self.channels}.")
        if self.window is not None:
            low, high = self.window
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ConfigError(f"window must be two finite grey levels with low < high. Got {self.window}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.height, self.width, self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = asdict(self)
        fields["window"] = None if self.window is None else list(self.window)
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ImageSpec:
        """The inverse of :meth:`to_dict`."""
        window = fields.get("window")
        return cls(
            height=int(fields["height"]),
            width=int(fields["width"]),
            channels=int(fields["channels"]),
            window=None if window is None else (float(window[0]), float(window[1])),
        )

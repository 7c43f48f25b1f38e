"""DICOM files: their grey levels in the unit of the file, and their display window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ImageError, MissingExtraError, one_line
from medsynth.images.limits import IMAGE_SUFFIXES, check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["is_dicom", "read_dicom"]

_DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: its suffix says so, or it has no suffix that we know and begins as DICOM does."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return suffix in _DICOM_SUFFIXES
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom(path: Path) -> tuple[NDArray[Any], tuple[float, float] | None]:
    """Decode a single-frame DICOM image and its display window (low, high), if it has one.

    Returns:
        Grey: float32 (h, w), rescaled to the unit of the file (Hounsfield units for CT). MONOCHROME1 is mirrored within
        the range of its stored bits, so that more is brighter and it fits one window with MONOCHROME2.
        Colour: uint8 (h, w, 3).

    Raises:
        ImageError: The file is missing, not DICOM, damaged, too large, or has several frames.
        MissingExtraError: pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom.pixels import apply_color_lut, apply_modality_lut
    except ImportError:
        raise MissingExtraError(f"Reading {path.name}", "dicom", missing="pydicom") from None
    try:
        # Pixels are left in the file until their size is known.
        data = pydicom.dcmread(path, defer_size=1 << 20)
        check_size(path, int(data.Columns), int(data.Rows))
        if int(data.get("NumberOfFrames") or 1) != 1:
            raise ImageError(
                f"{path}: must hold one frame. Got {data.NumberOfFrames}. Save the frames as single files."
            )
        stored = data.pixel_array
        kind = data.PhotometricInterpretation
        if kind == "PALETTE COLOR":
            stored = apply_color_lut(stored, data)
            stored = (stored >> 8 * (stored.itemsize - 1)).astype(np.uint8)
        if stored.ndim == 3 and stored.dtype == np.uint8:
            return stored, None
        if stored.ndim != 2:
            raise ImageError(f"{path}: must be grey, or colour of 8 bits. Got {stored.dtype} {stored.shape}.")
        pixels = apply_modality_lut(stored, data).astype(np.float32)
        window = _dicom_window(data)
        if kind == "MONOCHROME1":
            bits = int(data.BitsStored)
            lowest = -(1 << bits - 1) if data.PixelRepresentation else 0
            ends = np.array([lowest, lowest + (1 << bits) - 1], stored.dtype)
            mirror = float(apply_modality_lut(ends, data).astype(np.float64).sum())
            pixels = np.float32(mirror) - pixels
            window = None if window is None else (mirror - window[1], mirror - window[0])
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file.") from None
    except Exception as error:  # As above; pydicom adds its own kinds.
        raise ImageError(f"{path}: cannot be read as DICOM ({one_line(error)}).") from error
    return pixels, window


def _dicom_window(data: Any) -> tuple[float, float] | None:
    """The first display window; DICOM PS3.3, C.11.2.1.3.2 (LINEAR_EXACT)."""
    centre, width = (data.get(key) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    middle, extent = float(np.ravel(centre)[0]), float(np.ravel(width)[0])
    return (middle - extent / 2, middle + extent / 2) if extent > 0 else None

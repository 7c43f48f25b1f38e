"""What a file tells before anybody looks at the picture: size, format, metadata; and the picture's frame."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from medsynth.images import ImageSource, is_dicom

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FileFacts", "frame_of", "read_facts"]

_FLAT = 0.02  # Of the image's range of grey levels: the noise of JPEG in a black border.
_DEVICE_TAGS = (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software)
_SCANNER_TAGS = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "Modality", "KVP", "ConvolutionKernel")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Facts of one file; of an array only that there are none.

    Attributes:
        size: Bytes; ``None`` for an array.
        format: File format, and for a JPEG its quantisation tables (the quality and the software that wrote it).
        metadata: Which EXIF tags it has, and what they (or a DICOM header) say about device and software; no personal
            data, hashed.
        patient: DICOM PatientID, hashed.
    """

    size: int | None = None
    format: str = ""
    metadata: str = ""
    patient: str = ""


def read_facts(source: ImageSource) -> FileFacts:
    """Facts of one readable image; what cannot be read stays empty."""
    if isinstance(source, np.ndarray):
        return FileFacts()
    path = Path(source)
    try:
        size = path.stat().st_size
        if is_dicom(path):
            return _dicom_facts(path, size)
        with path.open("rb") as stream, Image.open(stream) as image:
            tables = getattr(image, "quantization", None)
            kind = f"{image.format} {image.mode}" + (f" {_short(sorted(tables.items()))}" if tables else "")
            exif = image.getexif()
            device = [str(exif.get(tag, "")) for tag in _DEVICE_TAGS]
            told = sorted(str(key) for key in image.info if key in {"dpi", "icc_profile", "comment", "adobe"})
            metadata = _short([sorted(exif), device, told]) if exif or told else "none"
            return FileFacts(size, kind, metadata)
    except Exception:  # The survey has decoded it; damaged metadata is no fault of the picture.
        return FileFacts()


def _dicom_facts(path: Path, size: int) -> FileFacts:
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", *_SCANNER_TAGS])
    scanner = [str(header.get(tag, "")) for tag in _SCANNER_TAGS]
    patient = str(header.get("PatientID", "")).strip()
    return FileFacts(size, "DICOM", _short(scanner), _short(patient) if patient else "")


def _short(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode("utf-8", "replace"), digest_size=8).hexdigest()


def frame_of(pixels: NDArray[Any]) -> list[float]:
    """Share of the height above and below, and of the width left and right, that is of one grey level in each line.

    Args:
        pixels: (h, w) or (h, w, 3).

    Returns:
        Top, bottom, left, right; 0 (no frame) to 1 (a flat image).
    """
    grey = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    grey = np.nan_to_num(grey) if grey.dtype.kind == "f" else grey
    limit = _FLAT * (float(grey.max()) - float(grey.min()))
    shares = []
    for axis in (1, 0):
        inside = np.flatnonzero(grey.max(axis=axis).astype(np.float64) - grey.min(axis=axis) > limit)
        length = grey.shape[1 - axis]
        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (length, -1)
        shares += [first / length, (length - 1 - last) / length]
    return shares

"""From a file or an array to an upright image, at its own size and depth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from medsynth.errors import ImageError, one_line
from medsynth.images.dicom import is_dicom, read_dicom
from medsynth.images.limits import MAX_PIXELS, check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEEP_MODES", "Box", "ImageSource", "decode", "header_mode", "is_grey", "read_pixels"]

ImageSource: TypeAlias = "Path | str | NDArray[Any]"
Box: TypeAlias = tuple[float, float, float, float]

DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
"""Pillow's modes of more than 8 bits."""

_GREY_MODES = frozenset({"1", "L", "LA"}) | DEEP_MODES

# The warning is an exception where a user has asked for that.
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_pixels(source: ImageSource) -> NDArray[Any]:
    """Decode one image to its own grey levels, upright, without alpha.

    Args:
        source: A path, or an array of shape (h, w), (h, w, 1) or (h, w, 3).

    Returns:
        uint8 (8 bits), another integer dtype, or float32 (more than 8 bits), of shape (h, w) or (h, w, 3).

    Raises:
        ImageError: The file is missing, not an image, truncated, too large, or has several pages or frames; the array
            has another shape or dtype.
    """
    decoded, _ = decode(source)
    return np.asarray(decoded)


def decode(source: ImageSource, least: tuple[int, int] | None = None) -> tuple[Image.Image | NDArray[Any], Box | None]:
    """Decode to an upright image of mode L, RGB or a deep one; to an array where the source is none of Pillow's.

    A large JPEG may come reduced, but not below ``least`` (width, height); the box in the image is what it fills then.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source), None
    path = Path(source)
    if is_dicom(path):
        return read_dicom(path)[0], None
    try:
        # A stream, because Pillow (11 to 13) maps a named file and then garbles uncompressed TIFF turned by 90 degrees.
        with path.open("rb") as stream, Image.open(stream) as opened:
            check_size(path, *opened.size)
            # Further frames of a camera's JPEG (MPO) are previews of the first.
            if (frames := getattr(opened, "n_frames", 1)) != 1 and opened.format != "MPO":
                raise ImageError(
                    f"{path}: must hold one image. Got {frames}. Save its pages or frames as single files."
                )
            upright = opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
            # The box of a turned image would have to be turned with it; such photographs are decoded whole.
            drafted = opened.draft(None, least) if least is not None and upright else None
            ImageOps.exif_transpose(opened, in_place=True)
            opened.load()
            return _to_plain(opened), None if drafted is None else drafted[1]
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file.") from None
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        raise ImageError(f"{path}: {'the file is empty' if empty else 'not an image that Pillow can read'}.") from None
    except _TOO_LARGE:
        raise ImageError(f"{path}: more than {MAX_PIXELS:,} pixels. Reduce the image first.") from None
    except Exception as error:  # What decoders raise on damaged files has no common parent.
        raise ImageError(f"{path}: cannot be decoded ({one_line(error)}).") from error


def is_grey(source: ImageSource) -> bool:
    """Whether an image has one channel, or three that are equal everywhere (grey saved as RGB)."""
    if not isinstance(source, np.ndarray) and header_mode(Path(source)) in _GREY_MODES:
        return True
    pixels = read_pixels(source)
    return pixels.ndim == 2 or bool((pixels == pixels[..., :1]).all())


def header_mode(path: Path) -> str | None:
    """Pillow's mode of a file, from its header alone; ``None`` for DICOM and for what Pillow cannot open."""
    if is_dicom(path):
        return None
    try:
        with path.open("rb") as stream, Image.open(stream) as opened:
            return opened.mode
    except Exception:  # read_pixels says what is wrong.
        return None


def _check_array(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)) or 0 in pixels.shape:
        raise ImageError(f"an image array must have shape (h, w), (h, w, 1) or (h, w, 3). Got {pixels.shape}.")
    if pixels.dtype != np.uint8 and pixels.dtype.kind not in "iuf":
        raise ImageError(f"an image array must hold integers or floats. Got dtype {pixels.dtype}.")
    return pixels


def _to_plain(image: Image.Image) -> Image.Image:
    """An image of mode L, RGB or a deep one."""
    if image.mode in DEEP_MODES:
        return image
    if image.mode == "PA" or "transparency" in image.info:  # One colour, or entries of the palette
        image = image.convert("LA" if image.mode in {"1", "L"} else "RGBA")
    if image.mode in {"LA", "RGBA"}:
        # Transparent regions become black, the background of medical images.
        opaque = Image.new(image.mode[:-1], image.size)
        opaque.paste(image.convert(opaque.mode), mask=image.getchannel("A"))
        image = opaque
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in {"L", "RGB"}:  # P, CMYK, YCbCr, LAB, HSV
        image = image.convert("RGB")
    return image

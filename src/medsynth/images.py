"""The one way from a file or an array to the pixels that a model sees.

Training, calibration, evaluation and inference all call :func:`load_image`; there is no second preprocessing anywhere.
The steps, in order: decode, undo EXIF rotation, alpha over black, grey levels (above 8 bits) through the fixed
intensity window, channels, resize. What the model does with the uint8 pixels (scaling, mean) is inside its own graph.

A large upright JPEG is decoded at 1/2, 1/4 or 1/8 of its size by its own transform, as long as at least three times
the model's height and width remain for the resize. That costs a fraction of a grey level on average and saves most of
the time; it is arithmetic on integers, the same for training and inference.

The resize is Pillow's bilinear filter, whose support grows with the reduction (antialiased); height and width are
scaled independently, so the whole image is kept and its aspect is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from medsynth.errors import ConfigError, ImageError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "ImageSource",
    "ImageSpec",
    "is_dicom",
    "is_grey",
    "load_image",
    "load_images",
    "read_pixels",
    "suggest_window",
]

ImageSource: TypeAlias = "Path | str | NDArray[Any]"
Box: TypeAlias = tuple[float, float, float, float]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".jp2", ".dcm", ".dicom"}
)
"""Suffixes (lower case) that a folder walk takes for images."""

MAX_PIXELS = 89_478_485
"""Images with more pixels are refused from their header, before memory is spent (Pillow's own threshold of doubt)."""

_MARGIN = 3  # By Pillow's account of Image.resize, almost indistinguishable from a resize of the whole.
RESIZE = {"filter": "bilinear", "antialias": True, "aspect": "stretch", "library": "pillow", "jpeg_margin": _MARGIN}
"""How :func:`load_image` resizes; written into every artefact."""

_DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_GREY_MODES = frozenset({"1", "L", "LA"}) | _DEEP_MODES

# The warning is an exception where a user has asked for that.
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


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
    decoded, _ = _decode(source)
    return np.asarray(decoded)


def _decode(source: ImageSource, least: tuple[int, int] | None = None) -> tuple[Image.Image | NDArray[Any], Box | None]:
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
            _check_size(path, *opened.size)
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
        raise ImageError(f"{path}: cannot be decoded ({_one_line(error)}).") from error


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
        _check_size(path, int(data.Columns), int(data.Rows))
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
        raise ImageError(f"{path}: cannot be read as DICOM ({_one_line(error)}).") from error
    return pixels, window


def _dicom_window(data: Any) -> tuple[float, float] | None:
    """The first display window; DICOM PS3.3, C.11.2.1.3.2 (LINEAR_EXACT)."""
    centre, width = (data.get(key) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    middle, extent = float(np.ravel(centre)[0]), float(np.ravel(width)[0])
    return (middle - extent / 2, middle + extent / 2) if extent > 0 else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def load_image(source: ImageSource, spec: ImageSpec) -> NDArray[np.uint8]:
    """Decode, window, convert and resize one image to what a model with this spec takes.

    Args:
        source: A path, or an array as :func:`read_pixels` takes it.
        spec: Size, channels and intensity window.

    Returns:
        uint8 array of shape (height, width, channels).

    Raises:
        ImageError: As :func:`read_pixels`; or the image has more than 8 bits and ``spec.window`` is ``None``.
    """
    decoded, box = _decode(source, (_MARGIN * spec.width, _MARGIN * spec.height))
    if not isinstance(decoded, Image.Image) or decoded.mode in _DEEP_MODES:
        decoded = Image.fromarray(_window(np.asarray(decoded), spec, _name(source)))
    return _fit(decoded, spec, box)


def load_images(sources: Iterable[ImageSource], spec: ImageSpec, *, workers: int = 4) -> NDArray[np.uint8]:
    """:func:`load_image` over many sources, decoded by ``workers`` threads: uint8 (n, height, width, channels)."""
    listed = list(sources)
    images = np.empty((len(listed), *spec.shape), np.uint8)

    def fill(index: int) -> None:
        images[index] = load_image(listed[index], spec)

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for _ in pool.map(fill, range(len(listed))):
            pass
    return images


def is_grey(source: ImageSource) -> bool:
    """Whether an image has one channel, or three that are equal everywhere (grey saved as RGB)."""
    if not isinstance(source, np.ndarray) and _header_mode(Path(source)) in _GREY_MODES:
        return True
    pixels = read_pixels(source)
    return pixels.ndim == 2 or bool((pixels == pixels[..., :1]).all())


def suggest_window(sources: Sequence[ImageSource], *, limit: int = 200) -> tuple[float, float] | None:
    """The window of a training part: of the first DICOM file that names one, else the 0.5 and 99.5 percentiles.

    Args:
        sources: Training images; at most ``limit`` of them, evenly spaced, are read.
        limit: How many images to look at.

    Returns:
        (low, high), or ``None`` where every image looked at has 8 bits. Unreadable images are passed over.
    """
    step = max(1, math.ceil(len(sources) / limit))
    samples: list[NDArray[np.float64]] = []
    for source in sources[::step]:
        try:
            if isinstance(source, np.ndarray):
                pixels = read_pixels(source)
            elif is_dicom(Path(source)):
                pixels, window = read_dicom(Path(source))
                if window is not None:
                    return window
            elif _header_mode(Path(source)) in _DEEP_MODES:
                pixels = read_pixels(source)
            else:
                continue
        except ImageError:
            continue
        if pixels.dtype != np.uint8:
            sample = pixels.ravel()[:: max(1, pixels.size // 10_000)].astype(np.float64)
            samples.append(sample[np.isfinite(sample)])
    values = np.concatenate([np.empty(0), *samples])
    if not values.size:
        return None
    low, high = (float(level) for level in np.percentile(values, (0.5, 99.5)))
    return (low, high) if low < high else (low, low + 1.0)


def _header_mode(path: Path) -> str | None:
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


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path}: {width}x{height} is more than the {MAX_PIXELS:,} pixels that one image may have. Reduce it first."
        )


def _to_plain(image: Image.Image) -> Image.Image:
    """An image of mode L, RGB or a deep one."""
    if image.mode in _DEEP_MODES:
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


def _window(pixels: NDArray[Any], spec: ImageSpec, name: str) -> NDArray[Any]:
    """More than 8 bits through the window: float32 (h, w) from 0 to 255, not rounded yet; colour as uint8."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if spec.window is None:
        raise ImageError(
            f"{name}: has more than 8 bits ({pixels.dtype}), and the model has no intensity window for that. "
            "Convert it to 8 bits as the training images were, or train on images like it."
        )
    low, high = spec.window
    with np.errstate(over="ignore", invalid="ignore"):  # Infinities and NaN of float images are mended below.
        deep = np.ascontiguousarray(pixels, np.float32) - np.float32(low)
        deep *= np.float32(255.0 / (high - low))
    np.nan_to_num(deep, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    deep.clip(0.0, 255.0, out=deep)
    return deep if deep.ndim == 2 else np.rint(deep).astype(np.uint8)


def _fit(image: Image.Image, spec: ImageSpec, box: Box | None) -> NDArray[np.uint8]:
    """Channels and resize: an image of mode L, RGB or F to uint8 (height, width, channels)."""
    if spec.channels == 1 and image.mode == "RGB":
        image = image.convert("L")  # ITU-R 601 luma
    if image.size != (spec.width, spec.height):
        image = image.resize((spec.width, spec.height), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(image)
    if image.mode == "F":
        # Rounded after the resize, so that the extra bits count.
        pixels = np.rint(pixels).clip(0, 255).astype(np.uint8)
    pixels = pixels.reshape(*spec.shape[:2], -1)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] < spec.channels else pixels


def _name(source: ImageSource) -> str:
    return "array" if isinstance(source, np.ndarray) else str(source)

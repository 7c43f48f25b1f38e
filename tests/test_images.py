"""The one preprocessing, against numpy formulae, the EXIF table, a hand-written triangle filter and damaged files."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydicom.dataset import Dataset as DicomDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medsynth.errors import ConfigError, ImageError, MissingExtraError
from medsynth.images import (
    MAX_PIXELS,
    ImageSpec,
    is_dicom,
    is_grey,
    load_image,
    load_images,
    read_pixels,
    suggest_window,
)
from medsynth.images.dicom import read_dicom

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (11, 17), np.uint8)
COLOUR = RNG.integers(0, 256, (11, 17, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (11, 17), np.uint16)
ALPHA = RNG.integers(0, 256, (11, 17), np.uint8)

properties = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def spec(height=11, width=17, channels=1, window=None):
    return ImageSpec(height=height, width=width, channels=channels, window=window)


@pytest.fixture
def save(tmp_path):
    def write(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return write


@pytest.fixture
def dicom(tmp_path):
    def write(stored, name="slice.dcm", **tags):
        data = DicomDataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
        data.Rows, data.Columns = stored.shape[-2:] if stored.ndim == 2 or stored.shape[-1] != 3 else stored.shape[:2]
        data.SamplesPerPixel = 3 if stored.ndim == 3 and stored.shape[-1] == 3 else 1
        data.PhotometricInterpretation = "RGB" if data.SamplesPerPixel == 3 else "MONOCHROME2"
        if data.SamplesPerPixel == 3:
            data.PlanarConfiguration = 0
        data.BitsAllocated = data.BitsStored = stored.dtype.itemsize * 8
        data.HighBit = data.BitsStored - 1
        data.PixelRepresentation = int(stored.dtype.kind == "i")
        data.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
        for tag, value in tags.items():
            setattr(data, tag, value)
        data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
        path = tmp_path / name
        data.save_as(path, enforce_file_format=True)
        return path

    return write


# --- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "pgm", "webp", "gif"])
def test_grey_of_8_bits_comes_as_it_was_written(save, suffix):
    path = save(Image.fromarray(GREY), f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(load_image(path, spec()), GREY[..., None])
    np.testing.assert_array_equal(load_image(path, spec(channels=3)), np.repeat(GREY[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_rgb_comes_as_it_was_written_and_grey_is_rec_601_luma(save, suffix):
    path = save(Image.fromarray(COLOUR), f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(load_image(path, spec(channels=3)), COLOUR)
    luma = COLOUR.astype(float) @ (0.299, 0.587, 0.114)
    assert np.abs(load_image(path, spec())[..., 0] - luma).max() <= 0.51


def test_jpeg_is_close(save):
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    path = save(Image.fromarray(smooth), "x.jpg", quality=95)
    assert np.abs(load_image(path, spec(40, 60))[..., 0].astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_transparent_regions_become_black(save, suffix):
    path = save(Image.fromarray(np.dstack([COLOUR, ALPHA])), f"x.{suffix}")
    expected = COLOUR * (ALPHA / 255.0)[..., None]
    assert np.abs(load_image(path, spec(channels=3)) - expected).max() <= 1


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["L", "RGB"])
def test_a_transparent_colour_becomes_black(save, pixels):
    colour = pixels[4, 5].tolist()
    path = save(Image.fromarray(pixels), "x.png", transparency=tuple(colour) if isinstance(colour, list) else colour)
    transparent = (pixels == pixels[4, 5]).reshape(11, 17, -1).all(axis=-1)
    expected = pixels.copy()
    expected[transparent] = 0
    np.testing.assert_array_equal(read_pixels(path), expected)


def test_grey_with_alpha_stays_grey_over_black(save):
    path = save(_la(GREY, ALPHA), "x.png")
    pixels = read_pixels(path)
    assert pixels.ndim == 2
    assert np.abs(pixels - GREY * (ALPHA / 255.0)).max() <= 1


def _la(grey, alpha):
    image = Image.fromarray(grey)
    image.putalpha(Image.fromarray(alpha))
    assert image.mode == "LA"
    return image


def _palette_image():
    image = Image.fromarray(RNG.integers(0, 4, (11, 17), np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 7, 7, 250] + [0] * (252 * 3))
    return image, np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [7, 7, 250]], np.uint8)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
def test_palette_is_looked_up(save, suffix):
    image, colours = _palette_image()
    index = np.asarray(image)
    np.testing.assert_array_equal(load_image(save(image, f"x.{suffix}"), spec(channels=3)), colours[index])


def test_palette_with_a_transparent_entry(save):
    image, colours = _palette_image()
    index = np.asarray(image)
    expected = colours[index].copy()
    expected[index == 1] = 0
    np.testing.assert_array_equal(load_image(save(image, "x.png", transparency=1), spec(channels=3)), expected)


def test_palette_with_alpha_of_each_entry(save):
    image, colours = _palette_image()
    index = np.asarray(image)
    alphas = np.array([255, 128, 0, 64], np.uint8)
    path = save(image, "x.png", transparency=bytes(alphas))
    expected = colours[index] * (alphas[index] / 255.0)[..., None]
    assert np.abs(load_image(path, spec(channels=3)) - expected).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit_is_black_and_white(save, suffix):
    bits = GREY > 127
    np.testing.assert_array_equal(load_image(save(Image.fromarray(bits), f"x.{suffix}"), spec())[..., 0], bits * 255)


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_is_subtractive(save, suffix):
    flat = np.broadcast_to(np.array([200, 40, 10, 60], np.uint8), (16, 16, 4))
    path = save(
        Image.fromarray(np.ascontiguousarray(flat), "CMYK"),
        f"x.{suffix}",
        **({"quality": 100} if suffix == "jpg" else {}),
    )
    expected = (255.0 - flat[..., :3]) * (255.0 - flat[..., 3:]) / 255.0
    assert np.abs(load_image(path, spec(16, 16, 3)) - expected).max() <= (1 if suffix == "tif" else 4)


UPRIGHT = {  # EXIF 2.32, table 6: what must be done to the stored rows and columns.
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("pixels", [GREY, COLOUR, DEEP], ids=["L", "RGB", "I;16"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_rotation_is_undone(save, orientation, pixels, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(pixels), f"x.{suffix}", exif=exif)
    np.testing.assert_array_equal(read_pixels(path), UPRIGHT[orientation](pixels))


def test_exif_rotation_of_a_jpeg(save):
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = np.add.outer(np.arange(40) * 2, np.arange(60)).astype(np.uint8)
    pixels = read_pixels(save(Image.fromarray(smooth), "x.jpg", quality=95, exif=exif))
    assert pixels.shape == (60, 40)
    assert np.abs(pixels.astype(int) - np.rot90(smooth, -1)).max() <= 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_cost_the_image(save):
    path = save(Image.fromarray(GREY), "x.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_pixels(path).shape == GREY.shape


# --- more than 8 bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_keep_their_values(save, suffix):
    np.testing.assert_array_equal(read_pixels(save(Image.fromarray(DEEP), f"x.{suffix}")), DEEP)


def test_16_bit_tiff_of_the_other_byte_order(save, tmp_path):
    path = tmp_path / "big.tif"
    path.write_bytes(_tiff(DEEP.astype(">u2"), order=">"))
    np.testing.assert_array_equal(read_pixels(path), DEEP)


def test_signed_16_and_32_bit_tiff(tmp_path):
    for dtype in ("<i2", "<i4"):
        signed = RNG.integers(-30000, 30000, (5, 6)).astype(dtype)
        path = tmp_path / f"{dtype[1:]}.tif"
        path.write_bytes(_tiff(signed, sample_format=2))
        np.testing.assert_array_equal(read_pixels(path), signed)


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_float_tiff(tmp_path, dtype):
    values = RNG.normal(-500, 400, (5, 6)).astype(dtype)
    path = tmp_path / "float.tif"
    path.write_bytes(_tiff(values, order=dtype[0], sample_format=3))
    np.testing.assert_allclose(read_pixels(path), values.astype(np.float32))
    assert load_image(path, spec(5, 6, window=(-1000, 0))).shape == (5, 6, 1)


def _tiff(pixels, *, order="<", sample_format=1):
    """A one-strip TIFF, written out by hand (TIFF 6.0)."""
    height, width = pixels.shape
    tags = {256: width, 257: height, 258: pixels.dtype.itemsize * 8, 259: 1, 262: 1, 277: 1, 278: height}
    tags |= {279: pixels.nbytes, 339: sample_format}
    count = len(tags) + 1
    tags[273] = 8 + 2 + 12 * count + 4
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", count)
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return header + entries + struct.pack(order + "I", 0) + pixels.tobytes()


@pytest.mark.parametrize("window", [(0, 65535), (1000, 3000.5), (-50, 12)])
def test_window_maps_low_to_0_and_high_to_255(save, window):
    path = save(Image.fromarray(DEEP), "x.png")
    low, high = window
    exact = np.clip((DEEP.astype(np.float64) - low) / (high - low), 0, 1) * 255
    assert np.abs(load_image(path, spec(window=window))[..., 0] - exact).max() <= 0.51
    assert (load_image(DEEP, spec(channels=3, window=window)) == load_image(path, spec(window=window))).all()


def test_8_bit_images_pass_the_window_by():
    np.testing.assert_array_equal(load_image(GREY, spec(window=(100, 110)))[..., 0], GREY)


def test_deep_image_without_a_window_is_an_error_that_says_so(save):
    with pytest.raises(ImageError, match=r"more than 8 bits .* no intensity window"):
        load_image(save(Image.fromarray(DEEP), "x.png"), spec())


def test_deep_colour_array_is_windowed_by_channel():
    deep = RNG.integers(0, 4096, (5, 4, 3), np.uint16)
    np.testing.assert_array_equal(load_image(deep, spec(5, 4, 3, (0, 4095))), np.rint(deep / 4095 * 255))


# --- resize -----------------------------------------------------------------------------------------------------------


def triangle_filter(size, target):
    """Weights (target, size) of a triangle whose support grows with the reduction: antialiased bilinear."""
    scale = size / target
    centres = (np.arange(target)[:, None] + 0.5) * scale
    weights = np.clip(1 - np.abs(np.arange(size)[None] + 0.5 - centres) / max(scale, 1.0), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


sizes = st.integers(1, 60)


@properties
@given(hnp.arrays(np.uint8, st.tuples(sizes, sizes)), sizes, sizes)
def test_resize_is_an_antialiased_triangle_filter(pixels, height, width):
    exact = triangle_filter(pixels.shape[0], height) @ pixels.astype(float) @ triangle_filter(pixels.shape[1], width).T
    # Pillow rounds to 8 bits once after each of its two passes.
    assert np.abs(load_image(pixels, spec(height, width))[..., 0] - exact).max() <= 1.01


def smooth_picture(height, width):
    y, x = np.mgrid[0 : 1 : complex(height), 0 : 1 : complex(width)]
    return np.stack([np.sin(7 * x + c) * np.cos(5 * y) * 100 + 128 for c in range(3)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(640, 480), (641, 487), (1007, 999)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_is_decoded_smaller_but_looks_the_same(save, monkeypatch, height, width, channels):
    path = save(Image.fromarray(smooth_picture(height, width)), "x.jpg", quality=92)
    decoded = []
    real = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda image, *args: decoded.append(image.size) or real(image, *args))
    small = load_image(path, spec(40, 50, channels))
    ((got_width, got_height),) = decoded
    assert got_width < width
    assert got_height < height
    assert got_width >= 150
    assert got_height >= 120
    # An odd size ends in the middle of a pixel of the reduced image, hence the comparison up to the borders.
    whole = load_image(read_pixels(path), spec(40, 50, channels))
    assert np.abs(small.astype(int) - whole).max() <= 2
    np.testing.assert_array_equal(load_image(path, spec(40, 50, channels)), small)


def test_a_jpeg_is_decoded_whole_where_the_margin_would_be_lost(save):
    path = save(Image.fromarray(smooth_picture(200, 299)), "x.jpg")
    for size in ((50, 50), (34, 50), (200, 299)):
        np.testing.assert_array_equal(load_image(path, spec(*size, 3)), load_image(read_pixels(path), spec(*size, 3)))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_large_turned_jpeg_is_decoded_whole(save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(smooth_picture(640, 480)), "x.jpg", exif=exif)
    np.testing.assert_array_equal(load_image(path, spec(40, 50, 3)), load_image(read_pixels(path), spec(40, 50, 3)))


@properties
@given(hnp.arrays(np.uint16, st.tuples(sizes, sizes)), sizes, sizes)
def test_deep_images_are_resized_before_rounding(pixels, height, width):
    window = (100.0, 50000.0)
    levels = np.clip((pixels.astype(float) - window[0]) * 255 / (window[1] - window[0]), 0, 255)
    exact = triangle_filter(pixels.shape[0], height) @ levels @ triangle_filter(pixels.shape[1], width).T
    assert np.abs(load_image(pixels, spec(height, width, window=window))[..., 0] - exact).max() <= 0.51


def test_resize_agrees_with_scikit_image_on_a_smooth_picture():
    transform = pytest.importorskip("skimage.transform")
    y, x = np.mgrid[:200, :300]
    smooth = (127 + 60 * np.sin(y / 30) + 60 * np.cos(x / 40)).astype(np.uint8)
    theirs = transform.resize(smooth.astype(float), (50, 75), order=1, anti_aliasing=True)
    assert np.abs(load_image(smooth, spec(50, 75))[..., 0] - theirs).mean() < 1.0


def test_reduction_does_not_alias():
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.ptp(load_image(checkers, spec(32, 32))[1:-1, 1:-1].astype(int)) <= 1


@properties
@given(st.integers(0, 255), sizes, sizes, sizes, sizes, st.sampled_from([1, 3]))
def test_a_flat_image_stays_flat(level, h, w, height, width, channels):
    out = load_image(np.full((h, w), level, np.uint8), spec(height, width, channels))
    assert out.shape == (height, width, channels)
    assert (out == level).all()


@properties
@given(hnp.arrays(np.uint8, st.tuples(sizes, sizes)), sizes, sizes)
def test_mirrored_in_mirrored_out(pixels, height, width):
    here = load_image(pixels, spec(height, width)).astype(int)
    there = load_image(pixels[:, ::-1], spec(height, width))[:, ::-1].astype(int)
    assert np.abs(here - there).max() <= 1


# --- arrays -----------------------------------------------------------------------------------------------------------

numbers = st.one_of(
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
shapes = st.one_of(st.tuples(sizes, sizes), st.tuples(sizes, sizes, st.sampled_from([1, 3])))


@properties
@given(st.data(), numbers, shapes, st.sampled_from([1, 3]))
def test_every_numeric_array_becomes_uint8_of_the_spec(data, dtype, shape, channels):
    pixels = data.draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype)))
    before = pixels.copy()
    out = load_image(pixels, spec(9, 13, channels, (-100.0, 1000.0)))
    assert out.dtype == np.uint8
    assert out.shape == (9, 13, channels)
    np.testing.assert_array_equal(pixels, before)
    assert not np.shares_memory(out, pixels)


@properties
@given(hnp.arrays(np.float32, st.tuples(sizes, sizes), elements=st.floats(width=32)))
def test_the_window_keeps_the_order_of_levels(pixels):
    out = load_image(pixels, spec(*pixels.shape, window=(-10.0, 10.0)))[..., 0].ravel().astype(int)
    finite = np.isfinite(pixels.ravel())
    order = np.argsort(pixels.ravel()[finite], kind="stable")
    assert (np.diff(out[finite][order]) >= 0).all()
    assert (out[np.isnan(pixels.ravel())] == 0).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4), bool),
        np.zeros((4, 4), complex),
        np.full((4, 4), "x"),
        np.full((4, 4), None),
    ],
    ids=lambda pixels: f"{pixels.dtype}{pixels.shape}",
)
def test_other_arrays_are_refused(pixels):
    with pytest.raises(ImageError, match="an image array must"):
        load_image(pixels, spec(window=(0, 1)))


def test_strided_and_transposed_arrays():
    np.testing.assert_array_equal(load_image(COLOUR[::-2, ::3], spec(6, 6, 3)), COLOUR[::-2, ::3])
    np.testing.assert_array_equal(load_image(GREY.T, spec(17, 11))[..., 0], GREY.T)


def test_array_and_file_give_the_same_pixels(save):
    for pixels, name in ((GREY, "a.png"), (COLOUR, "b.png"), (DEEP, "c.png")):
        one = spec(7, 5, 3, (200, 40000))
        np.testing.assert_array_equal(load_image(save(Image.fromarray(pixels), name), one), load_image(pixels, one))


def test_load_images_is_load_image_row_by_row(save):
    paths = [save(Image.fromarray(RNG.integers(0, 256, (9, 8 + i), np.uint8)), f"{i}.png") for i in range(20)]
    one = spec(6, 7, 3)
    np.testing.assert_array_equal(load_images(paths, one), np.stack([load_image(path, one) for path in paths]))
    assert load_images([], one).shape == (0, 6, 7, 3)


# --- damaged, tiny and huge -------------------------------------------------------------------------------------------


def encoded(suffix, pixels=None):
    stream = io.BytesIO()
    image = Image.fromarray(RNG.integers(0, 256, (64, 64), np.uint8) if pixels is None else pixels)
    image.save(stream, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    return stream.getvalue()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp", "webp", "dcm"])
def test_an_empty_file_is_called_empty(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    path.touch()
    with pytest.raises(ImageError, match="empty"):
        read_pixels(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp", "webp"])
@pytest.mark.filterwarnings("ignore")
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    whole = encoded(suffix)
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageError, match=r"x\.\w+: ") as caught:
        read_pixels(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "x.png").write_text("hello")
    with pytest.raises(ImageError, match="not an image"):
        read_pixels(tmp_path / "x.png")
    with pytest.raises(ImageError, match="no such file"):
        read_pixels(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="no such file"):
        read_pixels(tmp_path / "missing.dcm")
    with pytest.raises(ImageError):
        read_pixels(tmp_path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(["png", "jpg", "tif", "gif", "bmp", "webp"]))
@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_raise_nothing_but_image_errors(tmp_path_factory, data, suffix):
    content = bytearray(encoded(suffix, np.arange(24 * 24, dtype=np.uint16).reshape(24, 24).astype(np.uint8)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"fuzz.{suffix}"
    path.write_bytes(content)
    try:
        out = load_image(path, spec(8, 8, window=(0, 1)))
    except ImageError as error:
        assert "\n" not in str(error)  # noqa: PT017 (not every change does damage)
    else:
        assert out.shape == (8, 8, 1)


@pytest.mark.parametrize("pixels", [np.array([[200]], np.uint8), np.array([[[1, 2, 3]]], np.uint8)])
def test_one_pixel_fills_the_image(save, pixels):
    out = load_image(save(Image.fromarray(pixels), "x.png"), spec(32, 32, 3))
    assert (out == pixels.reshape(1, 1, -1)).all()


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1)])
def test_a_line_of_pixels(save, shape):
    assert (
        load_image(save(Image.fromarray(np.full(shape, 9, np.uint8)), "x.png"), spec(8, 8)).tolist() == [[[9]] * 8] * 8
    )


def huge_png(path, side):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(1)
    row = bytes(1 + side)
    body = b"".join([packer.compress(row * 500) for _ in range(side // 500)] + [packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def huge_tiff(path, side):
    path.write_bytes(_tiff(np.zeros((1, 1), np.uint8)))  # A sparse file: the tags say 20,000 x 20,000.
    content = bytearray(path.read_bytes())
    for at in range(10, 10 + 12 * 10, 12):
        tag = struct.unpack_from("<H", content, at)[0]
        if tag in {256, 257, 278, 279}:
            struct.pack_into("<I", content, at + 8, {279: side * side}.get(tag, side))
    with path.open("wb") as stream:
        stream.write(content)
        stream.truncate(len(content) + side * side)


def huge_dicom(path, side):
    small = DicomDataset()
    small.file_meta = FileMetaDataset()
    small.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    small.file_meta.MediaStorageSOPClassUID = small.SOPClassUID = CTImageStorage
    small.file_meta.MediaStorageSOPInstanceUID = small.SOPInstanceUID = generate_uid()
    small.Rows = small.Columns = side
    small.SamplesPerPixel, small.PhotometricInterpretation = 1, "MONOCHROME2"
    small.BitsAllocated = small.BitsStored = 16
    small.HighBit, small.PixelRepresentation = 15, 0
    small.save_as(path, enforce_file_format=True)
    with path.open("ab") as stream:
        stream.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, side * side * 2))
        stream.truncate(stream.tell() + side * side * 2)


PEAK = """
import resource, sys
from medsynth.errors import ImageError
from medsynth.images import ImageSpec, load_image, is_grey, suggest_window
from medsynth.images.dicom import read_dicom
if sys.argv[1].endswith(".dcm"):
    import pydicom.pixels
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_image(sys.argv[1], ImageSpec(height=64, width=64, channels=1, window=(0, 1)))
except ImageError as error:
    print(error)
suggest_window([sys.argv[1]])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("make", [huge_png, huge_tiff, huge_dicom])
def test_20000_by_20000_is_refused_from_its_header(tmp_path, make):
    path = tmp_path / f"huge.{make.__name__[5:].replace('dicom', 'dcm')}"
    make(path, 20_000)
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", PEAK, path], capture_output=True, text=True, check=True)
    message, grown = ran.stdout.splitlines()
    assert "pixels" in message
    assert "400,000,000" in message or f"{MAX_PIXELS:,}" in message
    assert float(grown) < 40  # MiB


def test_between_pillows_two_limits_there_is_one_clear_error(tmp_path):
    huge_tiff(tmp_path / "huge.tiff", 10_000)
    with pytest.raises(ImageError, match=f"{MAX_PIXELS:,} pixels"):
        read_pixels(tmp_path / "huge.tiff")


# --- DICOM ------------------------------------------------------------------------------------------------------------

STORED = RNG.integers(0, 4096, (11, 17), np.uint16)


def test_dicom_is_rescaled_to_hounsfield_units(dicom):
    path = dicom(STORED, RescaleSlope="2", RescaleIntercept="-1024", WindowCenter="40", WindowWidth="400")
    pixels, window = read_dicom(path)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, STORED * 2.0 - 1024)
    assert window == (-160, 240)
    exact = np.clip((STORED * 2.0 - 1024 + 160) / 400, 0, 1) * 255
    assert np.abs(load_image(path, spec(window=window))[..., 0] - exact).max() <= 0.51


def test_signed_dicom(dicom):
    signed = RNG.integers(-2000, 2000, (11, 17)).astype(np.int16)
    np.testing.assert_array_equal(read_pixels(dicom(signed)), signed)


@pytest.mark.parametrize(
    ("centre", "width", "window"), [(["40", "500"], ["400", "1500"], (-160, 240)), ("40", "0", None)]
)
def test_the_first_of_several_windows_and_no_empty_one(dicom, centre, width, window):
    assert read_dicom(dicom(STORED, WindowCenter=centre, WindowWidth=width))[1] == window


@pytest.mark.parametrize(("bits", "signed"), [(12, False), (16, False), (16, True)])
def test_monochrome1_is_mirrored_within_its_stored_range(dicom, bits, signed):
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    stored = RNG.integers(low, high + 1, (11, 17)).astype(np.int16 if signed else np.uint16)
    scale = {"BitsStored": bits, "HighBit": bits - 1, "RescaleSlope": "2", "RescaleIntercept": "-100"}
    straight, window = read_dicom(dicom(stored, "two.dcm", WindowCenter="500", WindowWidth="300", **scale))
    turned, turned_window = read_dicom(
        dicom(
            stored, "one.dcm", PhotometricInterpretation="MONOCHROME1", WindowCenter="500", WindowWidth="300", **scale
        )
    )
    mirror = (low + high) * 2 - 200
    np.testing.assert_allclose(turned, mirror - straight)
    assert turned_window == (mirror - window[1], mirror - window[0])
    inverted = (low + high - stored.astype(int)).astype(stored.dtype)  # The same picture, stored as MONOCHROME2.
    np.testing.assert_allclose(read_dicom(dicom(inverted, "inverted.dcm", **scale))[0], turned)


def test_colour_dicom(dicom):
    np.testing.assert_array_equal(read_pixels(dicom(COLOUR)), COLOUR)


def test_palette_dicom(dicom):
    index = RNG.integers(0, 4, (11, 17)).astype(np.uint8)
    table = RNG.integers(0, 256, (3, 4)).astype(np.uint16)
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, colours in zip(("Red", "Green", "Blue"), table, strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (colours * 257).tobytes()
    np.testing.assert_array_equal(read_pixels(dicom(index, **tags)), table.T[index])


def test_dicom_without_a_telling_suffix_is_known_by_its_preamble(dicom, tmp_path):
    for name in ("IM0001", "1.2.840.113"):
        path = dicom(STORED, name)
        assert is_dicom(path)
        np.testing.assert_array_equal(read_pixels(path), STORED)
    (tmp_path / "notes.txt").write_text("short")
    assert not is_dicom(tmp_path / "notes.txt")
    assert not is_dicom(tmp_path / "absent.txt")


def test_dicom_that_cannot_be_used(dicom, tmp_path):
    with pytest.raises(ImageError, match="one frame"):
        read_pixels(dicom(np.zeros((3, 4, 5), np.uint16), "frames.dcm", NumberOfFrames=3))
    (tmp_path / "text.dcm").write_text("hello")
    with pytest.raises(ImageError, match="cannot be read as DICOM"):
        read_pixels(tmp_path / "text.dcm")
    no_pixels = pydicom.dcmread(dicom(STORED))
    del no_pixels.PixelData
    no_pixels.save_as(tmp_path / "bare.dcm")
    with pytest.raises(ImageError, match="cannot be read as DICOM"):
        read_pixels(tmp_path / "bare.dcm")


def test_dicom_without_pydicom_says_which_extra_to_install(dicom, monkeypatch):
    path = dicom(STORED)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"medsynth-core\[dicom\]"):
        load_image(path, spec(window=(0, 1)))


@pytest.mark.filterwarnings("ignore")
def test_damaged_dicom_raises_nothing_but_image_errors(dicom, tmp_path):
    whole = dicom(STORED, WindowCenter="40", WindowWidth="400").read_bytes()
    path = tmp_path / "damaged.dcm"
    for share in np.linspace(0, 0.99, 40):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ImageError):
            read_pixels(path)
    rng = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(128, len(whole) - STORED.nbytes, 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            read_pixels(path)
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017 (not every change does damage)


# --- what a data set says ---------------------------------------------------------------------------------------------


def test_is_grey(save, dicom):
    same = np.repeat(GREY[..., None], 3, axis=2)
    assert is_grey(save(Image.fromarray(GREY), "a.png"))
    assert is_grey(save(Image.fromarray(same), "b.png"))
    assert is_grey(save(Image.fromarray(DEEP), "c.png"))
    assert is_grey(save(_la(GREY, ALPHA), "d.png"))
    assert is_grey(dicom(STORED))
    assert is_grey(GREY)
    assert is_grey(same)
    assert not is_grey(COLOUR)
    assert not is_grey(save(Image.fromarray(COLOUR), "e.png"))
    assert not is_grey(save(_palette_image()[0], "f.png"))
    assert not is_grey(dicom(COLOUR, "colour.dcm"))


def test_window_of_8_bit_images_is_none(save, tmp_path):
    (tmp_path / "broken.png").touch()
    assert suggest_window([save(Image.fromarray(GREY), "a.png"), GREY, tmp_path / "broken.png"]) is None
    assert suggest_window([]) is None


def test_window_is_between_the_percentiles_of_the_training_part(save):
    low, high = suggest_window([save(Image.fromarray(DEEP), "a.png"), GREY])
    assert (low, high) == tuple(np.percentile(DEEP.astype(float), (0.5, 99.5)))


def test_window_of_dicom_is_the_files_own(dicom):
    plain = dicom(STORED, "a.dcm")
    assert suggest_window([plain, dicom(STORED, "b.dcm", WindowCenter="40", WindowWidth="400")]) == (-160, 240)
    assert suggest_window([plain]) == tuple(np.percentile(STORED.astype(float), (0.5, 99.5)))


def test_window_of_floats_with_holes_and_of_flat_images():
    holes = np.array([[np.nan, np.inf], [3.0, 5.0]], np.float32)
    low, high = suggest_window([holes])
    assert 3 <= low < high <= 5
    assert suggest_window([np.full((3, 3), 7, np.uint16)]) == (7, 8)
    assert suggest_window([np.full((3, 3), np.nan, np.float32)]) is None


@properties
@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
)
def test_spec_survives_json(height, width, channels, deep, low, extent):
    one = spec(height, width, channels, (low, low + extent) if deep else None)
    assert ImageSpec.from_dict(one.to_dict()) == one
    assert one.shape == (height, width, channels)


@pytest.mark.parametrize(
    "wrong", [{"height": 0}, {"width": -1}, {"channels": 2}, {"window": (2, 2)}, {"window": (0, float("nan"))}]
)
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be"):
        spec(**wrong)


@pytest.mark.parametrize("suffix", [".tif", ".gif"])
def test_several_pages_or_frames_are_refused(tmp_path, suffix):
    pages = [Image.effect_noise((8, 8), sigma) for sigma in (10, 50, 90)]
    one, three = tmp_path / f"one{suffix}", tmp_path / f"three{suffix}"
    pages[0].save(one)
    pages[0].save(three, save_all=True, append_images=pages[1:])
    assert read_pixels(one).shape[:2] == (8, 8)
    with pytest.raises(ImageError, match=r"must hold one image\. Got 3\. Save its pages or frames as single files"):
        read_pixels(three)


def test_a_photo_with_a_preview_is_one_image(tmp_path):
    path = tmp_path / "photo.jpg"
    grey = Image.new("RGB", (16, 8), (90, 90, 90))
    grey.save(path, format="MPO", save_all=True, append_images=[grey.resize((4, 2))])
    assert read_pixels(path).shape == (8, 16, 3)

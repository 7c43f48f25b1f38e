from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from medsynth.evaluate.report.blocks import chart, photo


def opened(picture):
    head, _, data = picture.source.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_through_unchanged(channels):
    image = np.random.default_rng(0).integers(0, 256, (5, 9, channels), dtype=np.uint8)
    shown = np.asarray(opened(photo(image, alt="a", caption="c")))
    np.testing.assert_array_equal(shown.reshape(image.shape), image)


def test_wide_pictures_are_reduced_and_files_are_read(tmp_path):
    Image.new("L", (3000, 600), 128).save(tmp_path / "wide.png")
    shown = opened(photo(tmp_path / "wide.png", alt="a", caption="c"))
    assert shown.size == (1024, 205)
    assert shown.mode == "L"


def test_charts_are_data_addresses():
    picture = chart("<svg/>", alt="a", caption="c")
    assert base64.b64decode(picture.source.removeprefix("data:image/svg+xml;base64,")) == b"<svg/>"

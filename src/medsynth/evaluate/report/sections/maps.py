"""Where the classifier looked: images of the test part with what spoke for the class decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medsynth.evaluate.report.blocks import Block, Pictures, photo, text
from medsynth.evaluate.report.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from medsynth.evaluate.class_maps import ClassMap

__all__ = ["map_blocks", "overlay"]

_WHY = {
    "sure-and-right": "surest of the right decisions",
    "sure-and-wrong": "surest of the wrong decisions",
    "undecided": "near the threshold",
}
_HOW = {
    "grad-cam": (
        "Grad-CAM: each channel of the file\u2019s activations, weighed by how much the score of the class decided "
        "rises with it."
    ),
    "occlusion": (
        "Occlusion, because Grad-CAM needs activations of at least 4 by 4 cells, which this file does not have: how "
        "much the score of the class decided falls when a square of the image is hidden."
    ),
}
_HEIGHT = 224


def map_blocks(maps: Sequence[ClassMap]) -> list[Block]:
    """The images, each beside itself under its map."""
    if not maps:
        return []
    height, width = maps[0].values.shape
    said = (
        f"Where the classifier looked, in {height} x {width} cells. {_HOW[maps[0].method]} Such a map shows where, not "
        "why: it does not say what was seen there or that it is the finding, and earlier layers may have looked "
        "elsewhere. Each is scaled to its own largest value, so strengths cannot be compared between images."
    )
    pictures = tuple(
        photo(
            overlay(each.image, each.values),
            alt=(
                f"{each.name} beside itself with a heat map that is strongest in the {_place(each.values)}; "
                f"true class {each.true}, decided {each.decided}."
            ),
            caption=(
                f"{_WHY[each.why].capitalize()}: {each.name}, true {each.true}, decided {each.decided} with "
                f"{percent(each.probability)}."
            ),
        )
        for each in maps
    )
    return [text(said), Pictures(pictures, columns=2)]


def overlay(image: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """An image beside itself under a map.

    Args:
        image: uint8 (height, width, 1 or 3).
        values: (h, w), 0 or above; scaled to its largest value.

    Returns:
        uint8 (224, w, 3).
    """
    import matplotlib as mpl

    height, width = image.shape[:2]
    size = (max(1, round(width * _HEIGHT / height)), _HEIGHT)
    plain = np.asarray(
        Image.fromarray(np.broadcast_to(image, (height, width, 3)).copy()).resize(size, Image.Resampling.BILINEAR)
    )
    top = float(values.max())
    level = Image.fromarray((values / top if top > 0 else values).astype(np.float32))
    heat = np.clip(np.asarray(level.resize(size, Image.Resampling.BICUBIC), np.float64), 0.0, 1.0)
    colour = mpl.colormaps["inferno"](heat)[..., :3] * 255
    share = (0.65 * np.sqrt(heat))[..., None]
    mixed = np.rint(plain * (1 - share) + colour * share).astype(np.uint8)
    return np.concatenate([plain, np.full((_HEIGHT, 4, 3), 255, np.uint8), mixed], axis=1)


def _place(values: NDArray[np.float64]) -> str:
    """``upper left`` and so on: the ninth of the image where the map has most; ``none`` where it is empty."""
    if not values.any():
        return "no part"
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    down = ("upper", "middle", "lower")[int(row) * 3 // values.shape[0]]
    across = ("left", "centre", "right")[int(column) * 3 // values.shape[1]]
    return f"{down} {across}"

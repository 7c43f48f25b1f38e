"""How a generator's images form: grids from fixed noise while it trains, a strip of them for each class at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medsynth.outputs import atomic_write, file_stem

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Filmstrip"]

_FRAMES, _GIF_FRAMES = 10, 60
_GIF_MILLISECONDS = 400


class Filmstrip:
    """Grids in ``samples/step-NNNNNN.png``, one row for each class; from them the strips, which so survive a resume.

    Args:
        folder: Of the run.
        classes: Class names, one row each.
        columns: Images of each class.
    """

    def __init__(self, folder: Path, classes: Sequence[str], columns: int = 8) -> None:
        self.folder, self.classes, self.columns = folder, tuple(classes), columns

    def add(self, step: int, images: NDArray[np.uint8]) -> Path:
        """Save the grid of a step and say where.

        Args:
            step: Steps trained.
            images: uint8 (classes * columns, height, width, channels), ordered by class.
        """
        count, height, width, channels = images.shape
        rows = images.reshape(count // self.columns, self.columns, height, width, channels)
        path = self.folder / "samples" / f"step-{step:06d}.png"
        _save(_tile(rows), path)
        return path

    def compose(self) -> None:
        """From the grids: ``filmstrip-<class>.png``, time from left to right, and ``filmstrip.gif`` of whole grids."""
        grids = sorted((self.folder / "samples").glob("step-*.png"))
        chosen = [grids[round(at)] for at in np.linspace(0, len(grids) - 1, min(_FRAMES, len(grids)))]
        frames = [_read(path) for path in chosen]
        height, width = frames[0].shape[0] // len(self.classes), frames[0].shape[1] // self.columns
        shown = min(4, self.columns)
        for row, name in enumerate(self.classes):
            strips = [
                np.concatenate(
                    [frame[row * height : (row + 1) * height, k * width : (k + 1) * width] for frame in frames], 1
                )
                for k in range(shown)
            ]
            _save(np.concatenate(strips), self.folder / f"filmstrip-{file_stem(name)}.png")
        film = [grids[round(at)] for at in np.linspace(0, len(grids) - 1, min(_GIF_FRAMES, len(grids)))]
        pictures = [Image.fromarray(_read(path)) for path in film]
        with atomic_write(self.folder / "filmstrip.gif") as temporary:
            pictures[0].save(
                temporary, save_all=True, append_images=pictures[1:], duration=_GIF_MILLISECONDS, loop=0, optimize=False
            )


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def _tile(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns, h, w, c) to one picture (rows * h, columns * w) or (..., 3)."""
    count, columns, height, width, channels = rows.shape
    picture = rows.transpose(0, 2, 1, 3, 4).reshape(count * height, columns * width, channels)
    return picture[..., 0] if channels == 1 else picture


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary)

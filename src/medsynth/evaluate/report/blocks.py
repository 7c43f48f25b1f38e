"""What a report page is made of. Sections are lists of these blocks; ``templates/report.html.j2`` knows each kind."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Block",
    "Cell",
    "Lamp",
    "Lights",
    "Picture",
    "Pictures",
    "Points",
    "Section",
    "Table",
    "Text",
    "Tile",
    "Tiles",
    "chart",
    "photo",
    "text",
]

_WIDEST = 1024
"""Pixels; wider pictures are reduced, so that a page stays small."""


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs."""

    kind: ClassVar[str] = "text"
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """A list; each point may be marked as a warning."""

    kind: ClassVar[str] = "points"
    points: tuple[str, ...]
    warns: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """One number to see first."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tiles:
    """Numbers to see first."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Lamp:
    """A question with its light (green, yellow, red or none), and what made it so."""

    question: str
    light: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Lights:
    """Questions and verdicts; the colour is also said in words."""

    kind: ClassVar[str] = "lights"
    lamps: tuple[Lamp, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: text, a smaller line below it, and how dark it is shaded (0 to 1; ``None``: not)."""

    text: str
    small: str = ""
    shade: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row is its header.

    Attributes:
        caption: What it shows.
        head: Column headers, (k,).
        rows: Rows of k cells.
        notes: Lines below.
        folded: Closed until a reader opens it.
        style: What the cells hold; sets alignment and letters.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    folded: bool = False
    style: Literal["numbers", "matrix", "facts", "prose"] = "numbers"


@dataclass(frozen=True, slots=True)
class Picture:
    """An embedded picture; ``style`` says whether it is a chart or made of pixels."""

    source: str
    alt: str
    caption: str
    style: Literal["chart", "photo"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures beside each other where there is room."""

    kind: ClassVar[str] = "pictures"
    pictures: tuple[Picture, ...]
    columns: int = 1


Block: TypeAlias = Text | Points | Tiles | Lights | Table | Pictures


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading of its own; ``key`` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


def text(*paragraphs: str) -> Text:
    """Paragraphs as a block."""
    return Text(paragraphs)


def chart(svg: str, *, alt: str, caption: str) -> Picture:
    """Embed a drawing."""
    data = base64.b64encode(svg.encode()).decode()
    return Picture(f"data:image/svg+xml;base64,{data}", alt, caption, "chart")


def photo(image: NDArray[np.uint8] | Path, *, alt: str, caption: str) -> Picture:
    """Embed pixels, or a picture file, as PNG.

    Args:
        image: uint8 (h, w, 1) or (h, w, 3), or a file.
        alt: What it shows, for those who cannot see it.
        caption: Line below.
    """
    if isinstance(image, Path):
        with Image.open(image) as opened:
            picture = opened.convert("L" if opened.mode == "L" else "RGB")
    else:
        picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))
    if picture.width > _WIDEST:
        height = max(1, round(picture.height * _WIDEST / picture.width))
        picture = picture.resize((_WIDEST, height), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return Picture(f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}", alt, caption, "photo")

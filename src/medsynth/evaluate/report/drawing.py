"""How the report's charts are drawn.

On matplotlib's ``Figure`` objects, without pyplot and its global state. Colours are those of Okabe and Ito (Color
Universal Design, 2008), which the colour-blind tell apart; lines also differ in their dashes, for print in grey.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "MOST_CURVES", "canvas", "plain", "styles", "svg"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)))
_INK, _GRID = "#333333", "#dddddd"

MOST_CURVES = len(COLOURS)
"""Curves that one figure can show apart."""


def styles() -> Iterator[tuple[str, Any]]:
    """Colour and dashes of one line after another."""
    return zip(cycle(COLOURS), cycle(_DASHES), strict=False)


def canvas(*, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of that size in inches, with axes in the report's style."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Faint grid, no frame."""
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)


def svg(figure: Figure) -> str:
    """The figure as SVG text; the same numbers make the same bytes."""
    FigureCanvasSVG(figure)
    stream = io.StringIO()
    # The salt and the missing date make the same numbers the same bytes.
    with mpl.rc_context({"svg.hashsalt": "medsynth", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return stream.getvalue()

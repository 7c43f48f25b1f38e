"""The map of real and generated images as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from medsynth.evaluate.report.drawing import COLOURS, MOST_CURVES, canvas, svg

if TYPE_CHECKING:
    from medsynth.evaluate.embedding import Embedding

__all__ = ["map_figure"]


def map_figure(embedding: Embedding, classes: Sequence[str]) -> str:
    """Real images as dots, generated ones as crosses, classes by colour; the first seven classes."""
    figure, axes = canvas(width=6.4, height=5.0)
    for index, (name, colour) in enumerate(zip(classes[:MOST_CURVES], cycle(COLOURS), strict=False)):
        for generated, marker, said in ((False, "o", "real"), (True, "x", "generated")):
            rows = (embedding.labels == index) & (embedding.generated == generated)
            style: dict[str, Any] = {"s": 14, "marker": marker, "color": colour, "alpha": 0.65, "linewidths": 0.9}
            axes.scatter(embedding.points[rows, 0], embedding.points[rows, 1], label=f"{name}, {said}", **style)
    axes.set(xticks=[], yticks=[])
    axes.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return svg(figure)

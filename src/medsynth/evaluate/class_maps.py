"""Where a classifier looks: maps for a few telling images of the test part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from medsynth.errors import ArtifactError
from medsynth.evaluate.gradcam import GradCam

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset import Dataset
    from medsynth.infer import Classifier, Predictions

__all__ = ["ClassMap", "Why", "map_decisions", "occlusion", "telling_images"]

Why: TypeAlias = Literal["sure-and-right", "sure-and-wrong", "undecided"]
Method: TypeAlias = Literal["grad-cam", "occlusion"]

_CELLS = 8

# With fewer cells on a side, activations of a small image, the map says no more than left or right.
_FEWEST_CELLS = 4


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ClassMap:
    """One image with a map of what speaks for the class decided.

    Attributes:
        name: Of the image.
        why: Why it was chosen.
        true: Its class.
        decided: The class decided.
        probability: Of the class decided.
        method: ``grad-cam``, or ``occlusion`` where the file has no usable ``activations``, or fewer than 4 by 4 cells.
        image: uint8 (height, width, channels), as the model saw it.
        values: float64 (h, w), 0 or above.
    """

    name: str
    why: Why
    true: str
    decided: str
    probability: float
    method: Method
    image: NDArray[np.uint8]
    values: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, no pixels."""
        return {name: getattr(self, name) for name in ("name", "why", "true", "decided", "probability", "method")}


def map_decisions(
    model: Classifier, test: Dataset, labels: NDArray[np.int64], predictions: Predictions, count: int
) -> tuple[ClassMap, ...]:
    """Maps of the surest right and wrong decisions and of the most undecided images.

    Args:
        model: The classifier.
        test: The images of ``predictions``, in its order.
        labels: True class index of each, in the model's order of classes.
        predictions: What the model said.
        count: Images of each kind; 0 for none.
    """
    chosen = telling_images(labels, predictions, count)
    if not chosen:
        return ()
    method, explain = _explainer(model)
    images = test.take([row for row, _ in chosen]).decode(model.image).images
    maps = []
    for (row, why), image in zip(chosen, images, strict=True):
        decided = model.classes.index(predictions.predicted[row])
        maps.append(
            ClassMap(
                name=predictions.names[row],
                why=why,
                true=model.classes[labels[row]],
                decided=model.classes[decided],
                probability=float(predictions.probabilities[row, decided]),
                method=method,
                image=image,
                values=explain(image, decided),
            )
        )
    return tuple(maps)


def telling_images(labels: NDArray[np.int64], predictions: Predictions, count: int) -> tuple[tuple[int, Why], ...]:
    """Rows to show, each class decided once before one comes again.

    How sure a decision is, is the distance of the probability from the threshold, or else of the two largest
    probabilities from each other.

    Args:
        labels: True class index of each row, (n,).
        predictions: Of the same rows.
        count: Rows of each kind; fewer where there are not as many.
    """
    table, classes = predictions.probabilities.astype(np.float64), predictions.classes
    if predictions.threshold is not None and len(classes) == 2:
        sure = np.abs(table[:, classes.index(predictions.positive)] - predictions.threshold)
    else:
        top = np.sort(table, axis=1)
        sure = top[:, -1] - top[:, -2]
    decided = np.array([classes.index(name) for name in predictions.predicted], np.int64)
    right = decided == labels
    kinds: tuple[tuple[Why, NDArray[np.bool_], NDArray[np.float64]], ...] = (
        ("sure-and-right", right, -sure),
        ("sure-and-wrong", ~right, -sure),
        ("undecided", np.ones_like(right), sure),
    )
    found: dict[int, Why] = {}
    for why, among, rank in kinds:
        rows = [row for row in np.argsort(rank, kind="stable").tolist() if among[row] and row not in found]
        found |= dict.fromkeys(list(_in_turns(rows, decided))[:count], why)
    return tuple(found.items())


def occlusion(run: Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]], image: NDArray[np.uint8]) -> NDArray[Any]:
    """How much a class's score falls where a part of the image is hidden (Zeiler and Fergus 2014, arXiv 1311.2901).

    Args:
        run: From images (n, height, width, channels) to the class's score, (n,).
        image: uint8 (height, width, channels).

    Returns:
        float64 (8, 8): the fall when a square of two cells by two about each is set to the image's mean, 0 or above.
    """
    height, width = image.shape[:2]
    hidden = np.repeat(image[None], _CELLS * _CELLS, axis=0)
    mean = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    for cell in range(_CELLS * _CELLS):
        (top, bottom), (left, right) = (
            (max(0, (2 * at - 1) * size // (2 * _CELLS)), max(1, (2 * at + 3) * size // (2 * _CELLS)))
            for at, size in zip(divmod(cell, _CELLS), (height, width), strict=True)
        )
        hidden[cell, top:bottom, left:right] = mean
    falls = float(run(image[None])[0]) - run(hidden).astype(np.float64)
    return np.maximum(falls, 0.0).reshape(_CELLS, _CELLS)


def _explainer(model: Classifier) -> tuple[Method, Callable[[NDArray[np.uint8], int], NDArray[np.float64]]]:
    def hide(image: NDArray[np.uint8], index: int) -> NDArray[np.float64]:
        return occlusion(lambda images: model.run(images)["logits"][:, index], image)

    try:
        maps = GradCam(model.path)
        cells = maps(np.zeros(model.image.shape, np.uint8), 0).shape
    except ArtifactError:
        return "occlusion", hide
    return ("occlusion", hide) if min(cells) < _FEWEST_CELLS else ("grad-cam", maps)


def _in_turns(rows: list[int], decided: NDArray[np.int64]) -> Iterator[int]:
    """Rows in their order, but the first of each class decided before the second of any."""
    turns: dict[int, int] = {}
    ranked = []
    for row in rows:
        turn = turns.setdefault(int(decided[row]), 0)
        turns[int(decided[row])] += 1
        ranked.append((turn, row))
    for _, row in sorted(ranked, key=lambda each: each[0]):
        yield row

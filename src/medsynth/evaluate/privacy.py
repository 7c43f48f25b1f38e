"""Do generated images give a training image away? In pixels and in features, beside what other patients' images get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError
from medsynth.evaluate.sides import HeldOut, Side, halves, thumbnails
from medsynth.metrics import Estimate, authenticity, copying_test, find_copies, membership_auc, ranking_auc
from medsynth.metrics.intervals import Z, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics import Copies

__all__ = ["PIXELS", "Lookalike", "PrivacyReport", "PrivacyRow", "classifier_row", "examine_privacy"]

PIXELS = "pixels"
"""Name of the space of grey levels at 32 x 32."""

_SHOWN = 8
_NO_NUMBER = Estimate(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRow:
    """One number on privacy, or its failure.

    Attributes:
        name: ``distance``, ``copies``, ``authenticity``, ``copying-test``, ``membership`` or ``classifier-membership``.
        space: ``pixels`` or the name of the features; ``None`` where no distance is measured.
        estimate: Of the generated images.
        control: The same number with other rows in the place of the generated ones. For ``membership`` the mean of the
            training rows; for the others real images of other patients (half of the held-out part; the other half is
            then held out).
        error: What went wrong, in one line.
    """

    name: str
    space: str | None
    estimate: Estimate = _NO_NUMBER
    control: float | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = asdict(self)
        return {"name": fields.pop("name"), **fields.pop("estimate"), **fields}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Lookalike:
    """A generated image and the training image that is nearest to it.

    Attributes:
        index: Of the generated image, as :meth:`medsynth.infer.Sampler.sample` counts.
        name: Of the training image.
        space: In which they are near.
        nearness: Their distance divided by the limit; at most 1 for a copy. ``None``: the limit is 0.
        copy: Whether it was flagged.
        made: uint8 (height, width, channels).
        real: Likewise.
    """

    index: int
    name: str
    space: str
    nearness: float | None
    copy: bool
    made: NDArray[np.uint8]
    real: NDArray[np.uint8]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no pixels."""
        return {name: getattr(self, name) for name in ("index", "name", "space", "nearness", "copy")}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PrivacyReport:
    """What was found.

    Attributes:
        rows: Numbers, those that failed too.
        lookalikes: The nearest pairs, copies first.
        copies: Generated images that were flagged in either space.
        duplicates: Held-out images that equal a training image in either space; limits were measured without them.
        part: Which part was held out.
        train: Training images.
        held_out: Images of that part.
    """

    rows: tuple[PrivacyRow, ...]
    lookalikes: tuple[Lookalike, ...]
    copies: int
    duplicates: int
    part: HeldOut
    train: int
    held_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "part": self.part,
            "train": self.train,
            "held_out": self.held_out,
            "copies": self.copies,
            "duplicates": self.duplicates,
            "rows": [row.to_dict() for row in self.rows],
            "lookalikes": [each.to_dict() for each in self.lookalikes],
        }


def examine_privacy(train: Side, held_out: Side, made: Side, *, space: str, part: HeldOut) -> PrivacyReport:
    """Every privacy number in pixels and in features; what cannot be computed is a row with its error.

    Args:
        train: All images that the generator learned from.
        held_out: Real images that it did not.
        made: Generated images.
        space: Name of the features.
        part: Name of the held-out part.
    """
    rows: list[PrivacyRow] = []
    pairs: list[Lookalike] = []
    flagged, doubled = np.zeros(len(made), bool), np.zeros(len(held_out), bool)
    first, second = halves(held_out)
    views: dict[str, Callable[[Side], NDArray[np.float32]]] = {
        PIXELS: lambda side: thumbnails(side.images),
        space: lambda side: side.features,
    }
    for name, view in views.items():
        learned = view(train)
        whole = _Rows(learned, view(held_out), view(made), held_out.labels, made.labels)
        control = _Rows(learned, view(first), view(second), first.labels, second.labels)
        try:
            copies = find_copies(*whole.sets)
        except Exception as error:  # The report must still be written.
            rows.append(PrivacyRow(name="distance", space=name, error=_line(error)))
        else:
            flagged |= copies.flagged
            doubled |= copies.duplicates
            apart = float(np.median(copies.held_out))
            rows.append(PrivacyRow(name="distance", space=name, estimate=_median(copies.distances), control=apart))
            pairs += _lookalikes(copies, name, train, made)
        for test, (function, other) in _TESTS.items():
            rows.append(_row(test, name, partial(function, whole), partial(other, whole, control)))
    chosen = _nearest(pairs)
    return PrivacyReport(
        rows=tuple(rows),
        lookalikes=tuple(chosen),
        copies=int(flagged.sum()),
        duplicates=int(doubled.sum()),
        part=part,
        train=len(train),
        held_out=len(held_out),
    )


def classifier_row(losses: NDArray[np.float64], held_out_losses: NDArray[np.float64]) -> PrivacyRow:
    """Can one tell by its loss whether the classifier has learned from an image? Says nothing about the generator."""
    try:
        return PrivacyRow(name="classifier-membership", space=None, estimate=ranking_auc(losses, held_out_losses))
    except Exception as error:  # As above.
        return PrivacyRow(name="classifier-membership", space=None, error=_line(error))


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Three sets in one space, with the classes as cells."""

    train: NDArray[np.float32]
    held_out: NDArray[np.float32]
    made: NDArray[np.float32]
    held_out_cells: NDArray[np.int64]
    made_cells: NDArray[np.int64]

    def forgetful(self) -> _Rows:
        """The same with the mean of the training rows, which remembers none of them, as the one generated row.

        What the attack gains from it, it gains because training and held-out images differ, for example as the patients
        of two hospitals do.
        """
        return replace(self, made=self.train.mean(axis=0, keepdims=True), made_cells=self.made_cells[:1])

    @property
    def sets(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        return self.train, self.held_out, self.made


def _copied(rows: _Rows) -> Estimate:
    return wilson(find_copies(*rows.sets).flagged)


def _authentic(rows: _Rows) -> Estimate:
    return authenticity(rows.train, rows.made)


def _copying(rows: _Rows) -> Estimate:
    return Estimate(copying_test(*rows.sets, held_out_cells=rows.held_out_cells, made_cells=rows.made_cells))


def _membership(rows: _Rows) -> Estimate:
    return membership_auc(*rows.sets)


_TESTS: dict[str, tuple[Callable[[_Rows], Estimate], Callable[[_Rows, _Rows], Estimate]]] = {
    "copies": (_copied, lambda _, control: _copied(control)),
    "authenticity": (_authentic, lambda _, control: _authentic(control)),
    "copying-test": (_copying, lambda _, control: _copying(control)),
    "membership": (_membership, lambda whole, _: _membership(whole.forgetful())),
}
"""Of the generated images; and the control, from these rows and those with real images in their place."""


def _row(name: str, space: str, test: Callable[[], Estimate], control: Callable[[], Estimate]) -> PrivacyRow:
    try:
        estimate = test()
    except Exception as error:  # As above.
        return PrivacyRow(name=name, space=space, error=_line(error))
    try:
        beside = control().value
    except DataError:  # Too few held-out images for two halves: the number stands alone.
        beside = None
    return PrivacyRow(name=name, space=space, estimate=estimate, control=beside)


def _median(values: NDArray[np.float64]) -> Estimate:
    """With the interval of order statistics (Conover 1999, Practical Nonparametric Statistics, section 3.2)."""
    ranked, half = np.sort(values), Z * len(values) ** 0.5 / 2
    low, high = max(0, int(len(values) / 2 - half)), min(len(values) - 1, int(np.ceil(len(values) / 2 + half)))
    return Estimate(float(np.median(ranked)), float(ranked[low]), float(ranked[high]))


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _lookalikes(copies: Copies, space: str, train: Side, made: Side) -> Iterator[Lookalike]:
    for index in np.argsort(copies.distances, kind="stable")[:_SHOWN].tolist():
        nearest = int(copies.nearest[index])
        distance = float(copies.distances[index])
        yield Lookalike(
            index=index,
            name=train.names[nearest] if train.names else str(nearest),
            space=space,
            nearness=distance / copies.limit if copies.limit else None if distance else 0.0,
            copy=bool(copies.flagged[index]),
            made=made.images[index],
            real=train.images[nearest],
        )


def _nearest(pairs: list[Lookalike]) -> list[Lookalike]:
    """The nearest of both spaces in turns, copies first, each generated image once."""
    ranked = sorted(pairs, key=lambda pair: (not pair.copy, np.inf if pair.nearness is None else pair.nearness))
    first: dict[int, Lookalike] = {}
    for pair in ranked:
        first.setdefault(pair.index, pair)
    return list(first.values())[:_SHOWN]

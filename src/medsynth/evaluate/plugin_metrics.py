"""Every registered metric plugin on the arrays that it takes; one that fails is a row with its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics import Estimate
from medsynth.plugins import Result, registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.plugins import Metric, MetricInput, PluginRecord

__all__ = ["MetricRow", "match", "measure"]

_OURS = "medsynth-core"
"""Our own probability metrics are not run as plugins: their numbers are in :class:`medsynth.metrics.Scores` already."""

_LEADS = "kid"

_NO_NUMBER = Estimate(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric plugin's result, or its failure.

    Attributes:
        name: Of the plugin.
        summary: What the plugin says of itself.
        distribution: The package that brought it.
        version: Of the package.
        estimate: The number and its interval; without a value where the metric failed.
        per_class: By class index.
        real: For images and features, the same metric with other real images in the candidate's place, as many and of
            the same classes: the floor of a distance, see :func:`match`.
        higher_is_better: ``None`` where neither side is better, or the metric could not be made.
        size: For images and features, images on each side.
        space: Name of the features, for a metric of features.
        notes: What the plugin says of this number.
        error: What went wrong, in one line.
    """

    name: str
    summary: str
    distribution: str
    version: str
    estimate: Estimate = _NO_NUMBER
    per_class: Mapping[int, float] = field(default_factory=dict)
    real: float | None = None
    higher_is_better: bool | None = None
    size: int | None = None
    space: str | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; class indices become text."""
        fields = asdict(self)
        fields["per_class"] = {str(index): value for index, value in self.per_class.items()}
        return {"name": fields.pop("name"), **fields.pop("estimate"), **fields}


def measure(
    inputs: MetricInput,
    reference: NDArray[Any],
    candidate: NDArray[Any],
    *,
    reference_labels: NDArray[np.int64],
    candidate_labels: NDArray[np.int64] | None = None,
    space: str | None = None,
) -> tuple[MetricRow, ...]:
    """Run every registered metric that takes ``inputs``, with its default options.

    Images and features are matched first (:func:`match`), so that a number and that of real images beside it come from
    as many images of the same classes.

    Args:
        inputs: What the arrays are; see :class:`medsynth.plugins.Metric`.
        reference: Rows of the reference.
        candidate: Rows of the candidate.
        reference_labels: Class index of each reference row; for probabilities, the true classes.
        candidate_labels: Class index of each candidate row; not for probabilities.
        space: Name of the features.

    Returns:
        A row for each metric, sorted by name behind ``kid``, which means something on small sets too. Metrics of other
        inputs are left out, those that fail are not.
    """
    sets: list[tuple[Any, ...]] = [(reference, candidate, reference_labels, candidate_labels)]
    facts: dict[str, Any] = {}
    if candidate_labels is not None:
        first, second, made = match(reference_labels, candidate_labels)
        labels = reference_labels[first]
        sets = [(reference[first], rows, labels, labels) for rows in (candidate[made], reference[second])]
        facts = {"size": len(first), "space": space}
    records = [each for each in registry().records() if each.kind == "metric" and _takes(each, inputs)]
    return tuple(_row(record, sets, facts) for record in sorted(records, key=lambda each: each.name != _LEADS))


def match(
    real: NDArray[np.int64], made: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a reference, of other real images and of generated ones: equally many, with the same classes.

    Each class is halved at random, so that both halves have one distribution and the same patients, as the generated
    rows do, whose generator learned from all of them. Rows that are too many are left out.

    Args:
        real: Class index of each real row.
        made: Class index of each generated row.

    Returns:
        Indices of real rows, of further real rows, and of generated rows; the labels are the same line by line.
    """
    sides: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for label in np.unique(real):
        rows, own = np.flatnonzero(real == label), np.flatnonzero(made == label)
        size = min(len(rows) // 2, len(own))
        # numpy promises these words, not its permutations.
        rows = rows[np.argsort(np.random.Philox(key=0).random_raw(len(rows)), kind="stable")]
        for side, chosen in zip(sides, (rows[:size], rows[size : 2 * size], own[:size]), strict=True):
            side.append(chosen)
    first, second, generated = (np.concatenate([np.empty(0, np.int64), *side]) for side in sides)
    return first, second, generated


def _takes(record: PluginRecord, inputs: MetricInput) -> bool:
    """Whether a metric wants these inputs; one that cannot be imported is listed among those of images and scores."""
    if inputs == "probabilities" and record.distribution == _OURS:
        return False
    try:
        wanted: MetricInput = registry().get("metric", record.name).inputs
    except Exception:  # A stranger's code may raise anything.
        return inputs != "features"
    return wanted == inputs


def _row(record: PluginRecord, sets: list[tuple[Any, ...]], facts: Mapping[str, Any]) -> MetricRow:
    row = MetricRow(
        name=record.name, summary=record.summary, distribution=record.distribution, version=record.version, **facts
    )
    try:
        metric = registry().create("metric", record.name)
        better = None if metric.higher_is_better is None else bool(metric.higher_is_better)
        row = replace(row, higher_is_better=better)
        results = [_run(metric, *rows) for rows in sets]
        return replace(
            row,
            estimate=Estimate(results[0].value, results[0].low, results[0].high),
            per_class=results[0].per_class,
            notes=results[0].notes,
            real=results[1].value if len(results) > 1 else None,
        )
    except Exception as error:  # As above, and the report must still be written.
        return replace(row, error=" ".join(f"{type(error).__name__}: {error}".split()))


def _run(
    metric: Metric,
    reference: NDArray[Any],
    candidate: NDArray[Any],
    reference_labels: NDArray[np.int64],
    candidate_labels: NDArray[np.int64] | None,
) -> Result:
    """What a metric gives, in plain and finite numbers, as JSON needs them."""
    metric.reset()
    metric.update(reference, candidate, reference_labels=reference_labels, candidate_labels=candidate_labels)
    given = metric.compute()
    result = Result(
        value=float(given.value),
        low=None if given.low is None else float(given.low),
        high=None if given.high is None else float(given.high),
        per_class={int(index): float(value) for index, value in given.per_class.items()},
        notes=tuple(map(str, given.notes)),
    )
    ends = [end for end in (result.low, result.high) if end is not None]
    if not np.isfinite([result.value, *ends, *result.per_class.values()]).all():
        raise ValueError(
            f"the metric gave a number that is not finite: {result.value}, from {result.low} to {result.high}, "
            f"by class {result.per_class}"
        )
    return result

"""Every registered metric plugin on the arrays that it takes; one that fails is a row with its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics import Estimate
from medsynth.plugins import Result, registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.plugins import Metric, MetricInput

__all__ = ["MetricRow", "measure"]

_OURS = "medsynth-core"
"""Our own probability metrics are not run as plugins: their numbers are in :class:`medsynth.metrics.Scores` already."""

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
        real: For images, the same metric with one half of the real images as reference and the other half as
            candidate: what real images get.
        higher_is_better: ``None`` where neither side is better, or the metric could not be made.
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
) -> tuple[MetricRow, ...]:
    """Run every registered metric that takes ``inputs``, with its default options.

    Args:
        inputs: What the arrays are; see :class:`medsynth.plugins.Metric`.
        reference: Rows of the reference.
        candidate: Rows of the candidate.
        reference_labels: Class index of each reference row; for probabilities, the true classes.
        candidate_labels: Class index of each candidate row.

    Returns:
        A row for each metric, sorted by name. Metrics of other inputs are left out, those that fail are not.
    """
    rows = []
    for record in registry().records():
        if record.kind != "metric" or (inputs == "probabilities" and record.distribution == _OURS):
            continue
        facts: dict[str, Any] = {
            "name": record.name,
            "summary": record.summary,
            "distribution": record.distribution,
            "version": record.version,
        }
        try:
            metric = registry().create("metric", record.name)
            if metric.inputs != inputs:
                continue
            facts["higher_is_better"] = None if metric.higher_is_better is None else bool(metric.higher_is_better)
            result = _run(metric, reference, candidate, reference_labels, candidate_labels)
            facts["estimate"] = Estimate(result.value, result.low, result.high)
            facts["per_class"] = result.per_class
            if inputs == "images":
                first = _first_half(reference_labels)
                halves = (reference[first], reference[~first], reference_labels[first], reference_labels[~first])
                facts["real"] = _run(metric, *halves).value
        except Exception as error:  # A stranger's code may raise anything, and the report must still be written.
            facts["error"] = " ".join(f"{type(error).__name__}: {error}".split())
        rows.append(MetricRow(**facts))
    return tuple(rows)


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
    )
    ends = [end for end in (result.low, result.high) if end is not None]
    if not np.isfinite([result.value, *ends, *result.per_class.values()]).all():
        raise ValueError(
            f"the metric gave a number that is not finite: {result.value}, from {result.low} to {result.high}, "
            f"by class {result.per_class}"
        )
    return result


def _first_half(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The first half of each class: in natural order neighbours are often of one patient, who should not be in both."""
    first = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        first[rows[: len(rows) // 2]] = True
    return first

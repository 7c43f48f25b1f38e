"""Checks of metrics; they need neither Keras nor TensorFlow, and one proves that the metric does not either."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError
from medsynth.testing.subject import require, run_without_keras
from medsynth.testing.toys import Rows, sound_rows, spoiled_rows

if TYPE_CHECKING:
    from medsynth.plugins import Metric, Result
    from medsynth.testing.subject import Check, Subject

__all__ = ["CHECKS", "evaluate"]

_EVALUATE = """
import importlib, json
from medsynth.testing.metric import evaluate
from medsynth.testing.toys import sound_rows
module, names, options = arguments
cls = importlib.import_module(module)
for name in names.split("."):
    cls = getattr(cls, name)
evaluate(cls(**json.loads(options)), sound_rows(cls.inputs))
"""


def evaluate(metric: Metric, *chunks: Rows) -> Result:
    """The value of a metric over chunks of rows."""
    for rows in chunks:
        metric.update(
            rows.reference,
            rows.candidate,
            reference_labels=rows.reference_labels,
            candidate_labels=rows.candidate_labels,
        )
    return metric.compute()


def check_result(subject: Subject) -> None:
    """A finite value, both ends of its interval or none, per-class values by class index."""
    metric = subject.create()
    result = evaluate(metric, sound_rows(metric.inputs))
    numbers = [result.value, *result.per_class.values()]
    require(all(np.isfinite(numbers)), f"the values must be finite. Got {result}.")
    require((result.low is None) == (result.high is None), f"low and high come together. Got {result}.")
    if result.low is not None and result.high is not None:
        require(result.low <= result.high, f"low must not be above high. Got {result}.")
    require(set(result.per_class) <= {0, 1}, f"per_class must be keyed by class index, here 0 and 1. Got {result}.")


def check_chunks_equal_the_whole(subject: Subject) -> None:
    """Rows in chunks, also with one side empty, give what the whole gives."""
    metric = subject.create()
    rows = sound_rows(metric.inputs)
    whole = evaluate(metric, rows)
    _assert_same(evaluate(subject.create(), *rows.chunks(7)), whole)
    if len(rows.reference):
        nothing = rows.take(np.arange(0))
        _assert_same(
            evaluate(subject.create(), rows.with_candidate_of(nothing), nothing.with_candidate_of(rows)), whole
        )


def check_reset_forgets(subject: Subject) -> None:
    """After ``reset`` nothing of earlier updates is left."""
    metric = subject.create()
    expected = evaluate(metric, sound_rows(metric.inputs))
    metric.reset()
    evaluate(metric, sound_rows(metric.inputs, seed=1))
    metric.reset()
    _assert_same(evaluate(metric, sound_rows(metric.inputs)), expected)


def check_order_of_rows_does_not_matter(subject: Subject) -> None:
    """Permuted rows give the same value, also where the metric samples at random."""
    metric = subject.create()
    rows = sound_rows(metric.inputs)
    _assert_same(evaluate(subject.create(), rows.permuted(seed=3)), evaluate(metric, rows))


def check_calls_the_defect_worse(subject: Subject) -> None:
    """What the metric ``punishes`` scores worse than a sound candidate, in the sense of ``higher_is_better``."""
    metric = subject.create()
    if metric.higher_is_better is None:
        return
    sound = evaluate(metric, sound_rows(metric.inputs)).value
    spoiled = evaluate(subject.create(), spoiled_rows(metric.inputs, metric.punishes)).value
    require(
        spoiled < sound if metric.higher_is_better else spoiled > sound,
        f"'{metric.punishes}' must score worse than a sound candidate (higher_is_better={metric.higher_is_better}). "
        f"Got {spoiled:.6g} against {sound:.6g}.",
    )


def check_empty_input_is_explained(subject: Subject) -> None:
    """``compute`` without rows raises ``DataError``: fresh, after an empty update, and after ``reset``."""
    used = subject.create()
    evaluate(used, sound_rows(used.inputs))
    used.reset()
    for metric, chunks in ((subject.create(), ()), (subject.create(), (0,)), (used, ())):
        nothing = [sound_rows(metric.inputs).take(np.arange(count)) for count in chunks]
        try:
            result = evaluate(metric, *nothing)
        except DataError as error:
            require(bool(str(error).strip()), "the DataError of an empty input must say what is missing")
        else:
            raise AssertionError(f"compute must raise medsynth.errors.DataError without rows. Got {result}.")


def check_needs_no_tensorflow(subject: Subject) -> None:
    """The metric computes where TensorFlow and Keras cannot be imported."""
    cls = subject.registry.get(subject.kind, subject.name)
    run_without_keras(_EVALUATE, cls.__module__, cls.__qualname__, json.dumps(subject.effective_options()))


def _assert_same(found: Result, expected: Result) -> None:
    def numbers(result: Result) -> list[Any]:
        bounds = [np.nan if bound is None else bound for bound in (result.low, result.high)]
        return [result.value, *bounds, *(result.per_class[label] for label in sorted(result.per_class))]

    require(set(found.per_class) == set(expected.per_class), f"classes differ: {found} and {expected}")
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-6, atol=1e-9)


CHECKS: tuple[Check, ...] = (
    check_result,
    check_chunks_equal_the_whole,
    check_reset_forgets,
    check_order_of_rows_does_not_matter,
    check_calls_the_defect_worse,
    check_empty_input_is_explained,
    check_needs_no_tensorflow,
)

"""An installed copy proves its metrics: closed forms, invariances and frozen values, of every registered metric.

Closed forms and frozen values (goldens) are known for the built-in metrics; the invariances are the conformance kit's
and hold for everybody's. A metric that fails, or cannot even be imported, is a row with its error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medsynth.artifact.philox import noise
from medsynth.metrics import expected_coverage
from medsynth.plugins import registry
from medsynth.testing import metric as kit
from medsynth.testing.subject import Subject
from medsynth.testing.toys import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.plugins import Metric, Registry

__all__ = ["CLOSED_FORMS", "GOLDENS", "Proof", "golden_rows", "prove_metrics"]

_TOLERANCE = 1e-6
_TRIALS = 20


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that a metric was tried on.

    Attributes:
        metric: Its name, or that of the plugin package that could not be used.
        name: What was tried.
        passed: Whether it held.
        detail: What came out, against what.
    """

    metric: str
    name: str
    passed: bool
    detail: str


Form: TypeAlias = "tuple[str, Callable[[Callable[[], Metric]], float], float, float]"
"""What it is, how to compute it with fresh metrics, the value that it must have, and the absolute tolerance."""


def prove_metrics(among: Registry | None = None) -> Iterator[Proof]:
    """Try every registered metric; the next proof when it is asked for.

    Args:
        among: Where metrics are registered; ``None``: all that are installed.
    """
    plugins = among or registry()
    for failure in plugins.failures:
        yield Proof(failure.plugin, "can be used", passed=False, detail=str(failure))
    for record in plugins.records():
        if record.kind == "metric":
            yield from _prove(Subject(kind="metric", name=record.name, registry=plugins))


def golden_rows(inputs: str) -> Rows:
    """96 rows a side that are the same on every machine and under every numpy: 2 classes, 8 dimensions."""
    labels = np.arange(96) % 2
    if inputs == "probabilities":
        powers = np.exp(noise(2, 0, 96, 2).astype(np.float64) + 1.5 * np.eye(2)[labels])
        return Rows(np.empty((0, 2)), powers / powers.sum(axis=1, keepdims=True), labels, None)
    return Rows(_normal(0, 96, 8) + labels[:, None], 1.2 * _normal(1, 96, 8) + 0.8 * labels[:, None], labels, labels)


def _prove(subject: Subject) -> Iterator[Proof]:
    name = subject.name
    try:
        inputs = subject.create().inputs
    except Exception as error:  # A stranger's code may raise anything.
        yield Proof(name, "can be made", passed=False, detail=f"{type(error).__name__}: {error}")
        return
    forms = CLOSED_FORMS.get(name, ())
    if name in GOLDENS:
        frozen = GOLDENS[name]
        rows = golden_rows(inputs)
        forms += (("frozen value", lambda make: kit.evaluate(make(), rows).value, frozen, _TOLERANCE * abs(frozen)),)
    for title, compute, expected, tolerance in forms:
        yield _compare(name, title, functools.partial(compute, subject.create), expected, tolerance)
    for check in kit.CHECKS:
        if check is not kit.check_needs_no_tensorflow:  # It starts a Python of its own; `plugins check` does that.
            title = check.__name__.removeprefix("check_").replace("_", " ")
            try:
                check(subject)
                yield Proof(name, title, passed=True, detail="holds")
            except Exception as error:  # As above.
                yield Proof(name, title, passed=False, detail=" ".join(f"{type(error).__name__}: {error}".split()))


def _compare(metric: str, title: str, compute: Callable[[], float], expected: float, tolerance: float) -> Proof:
    try:
        found = compute()
    except Exception as error:  # As above.
        return Proof(metric, title, passed=False, detail=" ".join(f"{type(error).__name__}: {error}".split()))
    detail = f"{found:.10g}, must be {expected:.10g} within {tolerance:.1g}"
    return Proof(metric, title, passed=bool(abs(found - expected) <= tolerance), detail=detail)


def _normal(seed: int, count: int, dimensions: int, start: int = 0) -> NDArray[np.float64]:
    return noise(seed, start, count, dimensions).astype(np.float64)


def _value(metric: Metric, reference: Any, candidate: Any, labels: Any = None) -> float:
    real, made = np.asarray(reference, np.float64), np.asarray(candidate, np.float64)
    return kit.evaluate(metric, Rows(real, made, labels, labels)).value


def _shifted(make: Callable[[], Metric]) -> float:
    """Of rows and the same rows, shifted by (3, 4): the distance of the means alone."""
    rows = _normal(0, 80, 2)
    return _value(make(), rows, rows + np.array([3.0, 4.0]))


def _classes_shifted(make: Callable[[], Metric]) -> float:
    rows, labels = _normal(0, 80, 2), np.arange(80) % 2
    return _value(make(), rows, rows + np.array([[1.0, 0.0], [0.0, 2.0]])[labels], labels)


def _two_points(make: Callable[[], Metric]) -> float:
    """Kernel values 1 at and from the origin, 8 at (1, 1, 1): 1 + 8 - 2."""
    return _value(make(), np.zeros((60, 3)), np.ones((60, 3)))


def _turned(make: Callable[[], Metric]) -> float:
    """Difference that a rotation of all rows makes."""
    real, made = _normal(0, 80, 2), _normal(1, 80, 2) * 1.5 + 0.5
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    return _value(make(), real @ turn, made @ turn) - _value(make(), real, made)


def _stretched(make: Callable[[], Metric]) -> float:
    """Difference that doubling all rows makes."""
    real, made = _normal(0, 80, 2), _normal(1, 80, 2) * 1.5 + 0.5
    return _value(make(), 2 * real, 2 * made) - _value(make(), real, made)


def _copies(make: Callable[[], Metric]) -> float:
    rows = _normal(0, 80, 2)
    return _value(make(), rows, rows[::-1])


def _far(make: Callable[[], Metric]) -> float:
    rows = _normal(0, 80, 2)
    return _value(make(), rows, rows + 1000.0)


def _equal_distributions(make: Callable[[], Metric]) -> float:
    """Mean over trials of two samples of 200 rows from one distribution."""
    return float(np.mean([_value(make(), *np.split(_normal(7, 400, 2, 400 * at), 2)) for at in range(_TRIALS)]))


def _orthogonal(make: Callable[[], Metric]) -> float:
    return _value(make(), np.eye(60), np.eye(60))


def _one_direction(make: Callable[[], Metric]) -> float:
    return _value(make(), np.eye(60), np.ones((60, 60)) * np.arange(1, 61)[:, None])


def _decisions(make: Callable[[], Metric]) -> float:
    """Confusion: 3 and 1 of class 0, 2 and 4 of class 1."""
    return _predict(make, [0] * 4 + [1] * 6, [0.1] * 3 + [0.9] + [0.1] * 2 + [0.9] * 4)


def _four_scores(make: Callable[[], Metric]) -> float:
    return _predict(make, [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])


def _halves(make: Callable[[], Metric]) -> float:
    return _predict(make, [0, 1] * 10, [0.5] * 20)


def _overconfident(make: Callable[[], Metric]) -> float:
    return _predict(make, [0, 1] * 10, [0.75] * 20)


def _predict(make: Callable[[], Metric], labels: list[int], scores: list[float]) -> float:
    table = np.column_stack([1 - np.array(scores), scores])
    return kit.evaluate(make(), Rows(np.empty((0, 2)), table, np.array(labels), None)).value


_TOY = "3 rows of 2 dimensions, 4/9"
_FID: tuple[Form, ...] = (
    (_TOY, lambda make: _value(_few(make), [[1, 2]] * 3, [[2, 2], [1, 2], [1, 2]]), 4 / 9, 1e-12),
    ("shift by (3, 4)", _shifted, 25.0, 1e-9),
    ("rotation changes nothing", _turned, 0.0, 1e-9),
)
_BALLS: tuple[Form, ...] = (
    ("copies in another order", _copies, 1.0, 0.0),
    ("far away", _far, 0.0, 0.0),
    ("scale changes nothing", _stretched, 0.0, 0.0),
    ("rotation changes nothing", _turned, 0.0, 1e-9),
)


def _few(make: Callable[[], Metric]) -> Metric:
    """The metric without its refusal of few rows, for examples that are small enough for paper."""
    metric: Any = make()
    metric.least = 2
    if hasattr(metric, "groups"):
        metric.groups = 0
    return metric  # type: ignore[no-any-return]


CLOSED_FORMS: Mapping[str, tuple[Form, ...]] = MappingProxyType(
    {
        "fid": _FID,
        "fid-infinity": (("equal distributions, 20 trials", _equal_distributions, 0.0, 0.01),),
        "intra-class-fid": (("shifts by 1 and 2", _classes_shifted, 2.5, 1e-9),),
        "kid": (("two points, 7", _two_points, 7.0, 1e-9), ("rotation changes nothing", _turned, 0.0, 1e-9)),
        "knn-precision": _BALLS,
        "knn-recall": _BALLS,
        "density": (*_BALLS[1:], ("equal distributions, 20 trials", _equal_distributions, 1.0, 0.05)),
        "coverage": (
            *_BALLS,
            ("equal distributions, 20 trials", _equal_distributions, expected_coverage(200, 200, 5), 0.01),
        ),
        "vendi": (("orthogonal rows", _orthogonal, 60.0, 1e-9), ("one direction", _one_direction, 1.0, 1e-9)),
        "accuracy": (("confusion 3 1 2 4", _decisions, 0.7, 1e-12),),
        "balanced-accuracy": (("confusion 3 1 2 4", _decisions, 17 / 24, 1e-12),),
        "precision": (("confusion 3 1 2 4", _decisions, 0.8, 1e-12),),
        "recall": (("confusion 3 1 2 4", _decisions, 2 / 3, 1e-12),),
        "f1": (("confusion 3 1 2 4", _decisions, 8 / 11, 1e-12),),
        "mcc": (("confusion 3 1 2 4", _decisions, 10 / 600**0.5, 1e-12),),
        "auc": (("four scores", _four_scores, 0.75, 1e-12),),
        "average-precision": (("four scores", _four_scores, 5 / 6, 1e-12),),
        "log-loss": (("a half for everything", _halves, float(np.log(2)), 1e-12),),
        "brier": (("a half for everything", _halves, 0.25, 1e-12),),
        "calibration-error": (("three quarters for a half", _overconfident, 0.25, 1e-12),),
    }
)
"""What each built-in metric must give where the answer is known."""

GOLDENS: Mapping[str, float] = MappingProxyType(
    {
        "accuracy": 0.8333333333333334,
        "auc": 0.9388020833333333,
        "average-precision": 0.9301947790230948,
        "balanced-accuracy": 0.8333333333333334,
        "brier": 0.10216631763995798,
        "calibration-error": 0.12012857452717397,
        "coverage": 0.8541666666666666,
        "density": 0.5958333333333333,
        "f1": 0.8222222222222222,
        "fid": 1.7202379431084829,
        "fid-infinity": 1.207891378014961,
        "intra-class-fid": 2.3077989793890676,
        "kid": 0.36268417286287313,
        "knn-precision": 0.7708333333333334,
        "knn-recall": 0.9583333333333334,
        "log-loss": 0.3371321663866549,
        "mcc": 0.6719368409052928,
        "precision": 0.8809523809523809,
        "recall": 0.7708333333333334,
        "vendi": 7.294868843122166,
    }
)
"""Values of the built-in metrics on :func:`golden_rows`, frozen when they had been compared with other libraries."""

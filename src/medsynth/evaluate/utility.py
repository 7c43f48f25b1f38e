"""Do generated images help to train? Answered by a probe: logistic regression on features, tested on held-out images.

Each seed draws real training units (patients where known) with replacement, the same for every arm, and which generated
images are added. All arms have the same total weight for each class and the same penalty, so an arm with more images
does not take larger steps. The gain over real images alone is paired (one training draw, one test draw, two arms); its
interval and its p-value come from one bootstrap over test units and seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medsynth.errors import DataError
from medsynth.metrics import Estimate, Rows, auc, balanced_accuracy
from medsynth.metrics.bootstrap import RESAMPLING, Resampling, percentiles, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.sides import HeldOut, Side

    Labelled: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]
    """Features (n, d) and class indices (n,)."""

__all__ = ["SEEDS", "Arm", "UtilityReport", "probe_utility"]

SEEDS = 5

_SHARES = (0.25, 0.5, 1.0)
_PENALTY = 0.01
_WEIGHT = 1000.0
"""Of all images of an arm together."""

_NO_NUMBER = Estimate(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to train the probe.

    Attributes:
        name: What it learned from: ``real``, ``generated``, ``real + generated`` or ``real + augmented``.
        tested_on: ``real`` (held-out images) or ``generated``.
        real: Real images that it learned from, in each seed.
        added: Generated or augmented images.
        auc: Mean over the seeds; with more than two classes the mean over classes.
        balanced_accuracy: Likewise.
        gain: In AUC over real images alone, paired; without a value for real images alone, and for an arm that is
            tested on other images.
        p: Two-sided, of no gain.
        error: What went wrong, in one line.
    """

    name: str
    tested_on: str
    real: int
    added: int
    auc: Estimate = _NO_NUMBER
    balanced_accuracy: Estimate = _NO_NUMBER
    gain: Estimate = _NO_NUMBER
    p: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityReport:
    """What the probe gained.

    Attributes:
        arms: Real images alone first.
        part: The part of the real images that the probe was tested on.
        seeds: Training draws.
        space: Name of the features.
    """

    arms: tuple[Arm, ...]
    part: HeldOut
    seeds: int
    space: str

    @property
    def leading(self) -> Arm | None:
        """The arm that the verdict is about, fixed beforehand: all real and all generated images."""
        return max(
            (arm for arm in self.arms if arm.name == "real + generated"), key=lambda arm: arm.added, default=None
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def probe_utility(
    train: Side,
    held_out: Side,
    made: Side,
    *,
    space: str,
    part: HeldOut,
    augmented: Side | None = None,
    seeds: int = SEEDS,
    resampling: Resampling = RESAMPLING,
) -> UtilityReport:
    """Train on real, on generated and on both; an arm that fails is a row with its error.

    Args:
        train: Real training images.
        held_out: Real images that the generator has not seen.
        made: Generated images.
        space: Name of the features.
        part: Name of the held-out part.
        augmented: Classically augmented training images; as many as are generated make a fair arm.
        seeds: Training draws.
        resampling: Of the intervals.
    """
    real = [_drawn(train, seed) for seed in range(seeds)]
    fake = [_shuffled(made, seed) for seed in range(seeds)]
    tests = {"real": ((held_out.features, held_out.labels), held_out.groups), "generated": (fake[0], None)}
    plans: list[tuple[Arm, list[Labelled]]] = [
        (Arm(name="real", tested_on="real", real=len(train), added=0), real),
        (Arm(name="generated", tested_on="real", real=0, added=len(made)), fake),
    ]
    for share in _SHARES:
        added = round(share * len(made))
        arm = Arm(name="real + generated", tested_on="real", real=len(train), added=added)
        plans.append((arm, [_joined(one, _first(other, added)) for one, other in zip(real, fake, strict=True)]))
    if augmented is not None:
        more = [_shuffled(augmented, seed) for seed in range(seeds)]
        arm = Arm(name="real + augmented", tested_on="real", real=len(train), added=len(augmented))
        plans.append((arm, [_joined(one, other) for one, other in zip(real, more, strict=True)]))
    plans.append((Arm(name="real", tested_on="generated", real=len(train), added=0), real))

    arms: list[Arm] = []
    alone: list[Rows] | None = None
    for arm, sets in plans:
        try:
            rows = [_tested(each, *tests[arm.tested_on]) for each in sets]
            compared = alone if arm.tested_on == "real" else None
            arms.append(_scored(arm, rows, compared, resampling))
            alone = rows if len(arms) == 1 else alone
        except Exception as error:  # The report must still be written.
            arms.append(replace(arm, error=" ".join(f"{type(error).__name__}: {error}".split())))
    return UtilityReport(arms=tuple(arms), part=part, seeds=seeds, space=space)


def _tested(learned: Labelled, test: Labelled, groups: Sequence[str] | None) -> Rows:
    """Fit the probe on one set and let it name another."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    features, labels = learned
    classes = int(max(labels.max(initial=-1), test[1].max(initial=-1))) + 1
    counts = np.bincount(labels, minlength=classes)
    if len(test[1]) == 0 or not counts.all():
        raise DataError(
            f"the probe needs images of every class to learn from, and some to be tested on. Got {counts.tolist()} and "
            f"{len(test[1])}."
        )
    # The same for each class, and in sum the same for every arm.
    weights = _WEIGHT / (classes * counts[labels])
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALTY, max_iter=300))
    with threadpool_limits(1):  # Steps are small, and threads that wait for each other spin.
        probe.fit(features.astype(np.float64), labels, logisticregression__sample_weight=weights)
    return Rows.of(test[1], probe.predict_proba(test[0].astype(np.float64)), groups=groups)


def _scored(arm: Arm, rows: list[Rows], alone: list[Rows] | None, resampling: Resampling) -> Arm:
    statistics = {"auc": auc, "balanced_accuracy": balanced_accuracy}
    draws: dict[str, list[NDArray[np.float64]]] = {"auc": [], "balanced_accuracy": [], "gain": []}

    def measure(statistic: Any, which: list[Rows], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([statistic(each, _reordered(weights, rows[0], each))[:, 0] for each in which])

    def collect(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found = {name: measure(statistic, rows, weights) for name, statistic in statistics.items()}
        if alone is not None:
            found["gain"] = found["auc"] - measure(auc, alone, weights)
        return found

    point = {name: float(values.mean()) for name, values in collect(np.ones((1, len(rows[0])))).items()}
    stream = np.random.Philox(key=np.array([resampling.seed, 2**63], np.uint64))
    for weights in resample(rows[0], resampling):
        chosen = (stream.random_raw(len(weights) * len(rows)) % len(rows)).astype(np.int64)
        chosen = chosen.reshape(len(rows), len(weights))
        for name, values in collect(weights).items():
            draws[name].append(np.take_along_axis(values, chosen, axis=0).mean(axis=0))
    found = {name: _estimate(value, draws[name]) for name, value in point.items()}
    return replace(
        arm,
        auc=found["auc"],
        balanced_accuracy=found["balanced_accuracy"],
        gain=found.get("gain", _NO_NUMBER),
        p=_p_value(draws["gain"]),
    )


def _reordered(weights: NDArray[np.float64], base: Rows, other: Rows) -> NDArray[np.float64]:
    """Weights of one model's rows in the order of another's, which has the same images."""
    given = np.empty_like(weights)
    given[:, base.order] = weights
    return given[:, other.order]


def _estimate(value: float, draws: list[NDArray[np.float64]]) -> Estimate:
    if not draws:
        return Estimate(value)
    low, high = percentiles(np.concatenate(draws)[:, None])
    return Estimate(value, float(low[0]), float(high[0])) if np.isfinite([low[0], high[0]]).all() else Estimate(value)


def _p_value(draws: list[NDArray[np.float64]]) -> float | None:
    """Twice the smaller share of draws on one side of 0 (Efron and Tibshirani 1993, section 15.4), never 0."""
    if not draws:
        return None
    gains = np.concatenate(draws)
    gains = gains[np.isfinite(gains)]
    sides = [(1 + int((gains <= 0).sum())) / (1 + len(gains)), (1 + int((gains >= 0).sum())) / (1 + len(gains))]
    return min(1.0, 2 * min(sides))


def _drawn(side: Side, seed: int) -> Labelled:
    """Units of each class with replacement; every class keeps at least one image."""
    rows = np.concatenate([np.empty(0, np.int64), *_drawn_rows(side, seed)])
    return side.features[rows], side.labels[rows]


def _drawn_rows(side: Side, seed: int) -> Iterator[NDArray[np.int64]]:
    for label in np.unique(side.labels):
        own = np.flatnonzero(side.labels == label)
        units = own if side.groups is None else np.unique([side.groups[row] for row in own], return_inverse=True)[1]
        members = [own[units == unit] for unit in np.unique(units)]
        words = np.random.Philox(key=np.array([seed, label], np.uint64)).random_raw(len(members))
        yield np.concatenate([members[word % len(members)] for word in words.tolist()])


def _shuffled(side: Side, seed: int) -> Labelled:
    order = np.argsort(np.random.Philox(key=seed).random_raw(len(side)), kind="stable")
    return side.features[order], side.labels[order]


def _first(rows: Labelled, count: int) -> Labelled:
    return rows[0][:count], rows[1][:count]


def _joined(one: Labelled, other: Labelled) -> Labelled:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])

"""How much a random split would flatter a model on these data."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.dataset.audit.findings import Finding
from medsynth.dataset.audit.probes import linear_probe, nearest_probe, probe_features
from medsynth.dataset.folds import block_names, deal_folds, name_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.audit.look_alikes import LookAlikes
    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = ["split_optimism"]

_FOLDS = 5
_REPEATS = 2
_MOST = 20_000
_RUN = 100
_LEAST_BLOCKS = 10
_MARGIN = 0.03
_TESTS = 4  # Two probes, two ways of keeping together.
_ADVICE = (
    "Believe no random split of these data, nor a published one. Split by patient: give a group column, or let "
    "'medsynth dataset split' make groups (--by regex, patient, duplicates or blocks)."
)
_ADVICE_ON_GROUPS = (
    "The groups seem finer than what belongs together. Give the patient as group, or keep more together: "
    "'medsynth dataset split DATA --by blocks --out split.csv'."
)


def split_optimism(readable: Dataset, survey: Survey, alike: LookAlikes) -> Iterator[Finding]:
    """Whether two cheap probes do better when single images (or groups) are dealt at random than when they are not.

    Kept together are blocks of consecutive names, or the proposed groups of look-alikes. The score is balanced
    accuracy; its difference has an interval from the spread between blocks (linearised ratio estimate, Cochran 1977,
    chapter 6), widened for four comparisons (Bonferroni).
    """
    rows = _sample(readable)
    data = readable.take(rows)
    blocks = block_names(data)
    counts = data.counts()
    if len(set(blocks)) < _LEAST_BLOCKS or min(counts.values()) < _FOLDS:
        return
    features = probe_features(survey.thumbs[rows])
    dealt = {
        "random": data.groups or data.names,
        "blocks": blocks,
        "look-alikes": tuple(f"{cluster}" for cluster in alike.cluster[rows].tolist()),
    }
    dealings = {
        how: [deal_folds(data.labels, units, _FOLDS, seed=seed) for seed in range(_REPEATS)]
        for how, units in dealt.items()
    }
    weights = 1.0 / (len(counts) * np.bincount(data.labels)[data.labels])
    found = []
    for probe, right in (("nearest neighbour", _nearest), ("linear", _linear)):
        hits = right(features, data.labels, dealings)
        scores = {how: float(weights @ hit) for how, hit in hits.items()}
        for how in ("blocks", "look-alikes"):
            change = _clustered(weights * (hits["random"] - hits[how]), blocks)
            found.append({"probe": probe, "kept together": how, **scores, **change})
    worst = max(found, key=lambda entry: float(entry["low"]))
    if worst["low"] > _MARGIN:
        units = "groups" if readable.groups is not None else "images"
        kept = "blocks of names" if worst["kept together"] == "blocks" else "look-alikes"
        yield Finding(
            code="split-optimism",
            severity="warning",
            message=f"A random split of the {units} flatters: a {worst['probe']} probe on 16x16 pixels gets "
            f"{worst['random']:.2f} balanced accuracy with it and {worst[worst['kept together']]:.2f} where {kept} "
            f"stay together, a difference of {worst['difference']:.2f} ({worst['low']:.2f} to {worst['high']:.2f}).",
            evidence={
                "images": len(rows),
                "folds": _FOLDS,
                "repeats": _REPEATS,
                "chance": 1.0 / len(counts),
                "probes": found,
            },
            advice=_ADVICE if readable.groups is None else _ADVICE_ON_GROUPS,
        )


def _sample(readable: Dataset) -> NDArray[np.int64]:
    """All rows, or 20,000 of them in runs of 100 consecutive names, so that neighbours stay neighbours; ascending."""
    order = name_order(readable.names)
    if len(order) <= _MOST:
        return np.sort(order)
    starts = np.linspace(0, len(order) - _RUN, _MOST // _RUN).astype(np.int64)
    return np.unique(order[(starts[:, None] + np.arange(_RUN)).ravel()])


def _nearest(
    features: NDArray[np.float32], labels: NDArray[np.int64], dealings: dict[str, list[NDArray[np.int64]]]
) -> dict[str, NDArray[np.float64]]:
    """Share of the repetitions in which each image was named rightly, (n,) for each way to deal."""
    found = iter(nearest_probe(features, labels, [folds for each in dealings.values() for folds in each]))
    return {how: np.mean([next(found) == labels for _ in each], axis=0) for how, each in dealings.items()}


def _linear(
    features: NDArray[np.float32], labels: NDArray[np.int64], dealings: dict[str, list[NDArray[np.int64]]]
) -> dict[str, NDArray[np.float64]]:
    return {
        how: np.mean([linear_probe(features, labels, folds) == labels for folds in each], axis=0)
        for how, each in dealings.items()
    }


def _clustered(parts: NDArray[np.float64], blocks: tuple[str, ...]) -> dict[str, Any]:
    """A sum over images and its interval when blocks, not images, are the units that were drawn."""
    member = np.unique(blocks, return_inverse=True)[1]
    count = int(member.max()) + 1
    total = float(parts.sum())
    off = np.bincount(member, parts) - total * np.bincount(member) / len(parts)
    error = float(np.sqrt(count / (count - 1) * np.square(off).sum()))
    reach = NormalDist().inv_cdf(1 - 0.025 / _TESTS) * error
    return {"difference": total, "low": total - reach, "high": total + reach}

"""The four questions about generated images, each with a light and a sentence, by rules that are written down.

Every rule compares with what real images get at the same size, so that it does not depend on the network of features:

* **Fidelity**, do they look real? By ``knn-precision`` as a share of the real images' value (green from 0.8, yellow
  from 0.5, else red), and by ``kid`` less the real images' value, in units of the kernel distance between the real
  classes (green to 0.25, yellow to 1, else red: farther from real images than the classes are from each other). The
  worse of the two counts.
* **Diversity**, is everything real reached? By ``coverage`` and ``knn-recall``, each as a share of the real images'
  value (green from 0.8, yellow from 0.4, else red). The worse of the two counts.
* **Utility**, do they help? By the gain in AUC of the probe (or of a retrained network) with all real and all
  generated images over real ones alone: green where its interval is above 0 and p below 0.05, red where its interval
  is below 0 or where what learned from generated images alone is not better than guessing, else yellow. Where patients
  are not known a gain or a loss is yellow: images of one patient are alike, and the interval takes them for many.
* **Privacy**, do they give a patient away? Red: an image is flagged as a copy, C_T is below -3 while its control is
  not, or the low end of the membership AUC is above 0.6 and above its control by 0.1. Yellow: that low end is above 0.5
  and above its control, or fewer images are authentic than of the control, by more than chance (95 %) allows, or
  held-out images equal training images, so that the distance of a copy was measured without them. Else green.

A question whose numbers could not be computed has no light, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from medsynth.metrics import kernel_distance
from medsynth.metrics.intervals import Z

if TYPE_CHECKING:
    from medsynth.evaluate.plugin_metrics import MetricRow
    from medsynth.evaluate.privacy import PrivacyReport, PrivacyRow
    from medsynth.evaluate.sides import Side
    from medsynth.evaluate.utility import UtilityReport

__all__ = ["LIGHTS", "Answer", "Light", "answer_all", "class_distance"]

Light: TypeAlias = Literal["green", "yellow", "red", "none"]

LIGHTS: tuple[Light, ...] = ("green", "yellow", "red", "none")
"""From the best to no answer."""

_ALARM = -3.0

_VAGUE = 0.5
"""Width of an interval from which nothing follows, as that of a share among a handful of different images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the numbers say to one question.

    Attributes:
        question: ``fidelity``, ``diversity``, ``utility`` or ``privacy``.
        light: ``green``, ``yellow``, ``red``, or ``none`` where there is no number to judge by.
        sentence: The verdict, with the numbers that made it.
    """

    question: str
    light: Light
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def class_distance(train: Side) -> float | None:
    """Mean kernel distance between the real classes, the unit of the fidelity rule; ``None`` where they are small."""
    sets = [train.features[train.labels == label] for label in np.unique(train.labels)]
    sets = [rows for rows in sets if len(rows) >= 10]
    pairs = [kernel_distance(one, other).value for at, one in enumerate(sets) for other in sets[at + 1 :]]
    values = [value for value in pairs if value is not None]
    return float(np.mean(values)) if values else None


def answer_all(
    metrics: tuple[MetricRow, ...], apart: float | None, utility: UtilityReport, privacy: PrivacyReport
) -> tuple[Answer, ...]:
    """The four answers.

    Args:
        metrics: Rows of :func:`medsynth.evaluate.plugin_metrics.measure`.
        apart: From :func:`class_distance`.
        utility: What training on them gains.
        privacy: Of the privacy tests.
    """
    rows = {row.name: row for row in metrics}
    return (
        _worst("fidelity", _fidelity(rows, apart)),
        _worst("diversity", _diversity(rows)),
        _utility(utility),
        _privacy(privacy),
    )


Verdict: TypeAlias = "tuple[Light, str]"


def _worst(question: str, verdicts: Iterator[Verdict]) -> Answer:
    found = list(verdicts)
    judged = [light for light, _ in found if light != "none"]
    light = max(judged, key=LIGHTS.index) if judged else "none"
    return Answer(question=question, light=light, sentence=" ".join(said for _, said in found))


def _fidelity(rows: dict[str, MetricRow], apart: float | None) -> Iterator[Verdict]:
    yield _share(rows, "knn-precision", (0.8, 0.5), "generated images lie among real ones")
    kid = rows.get("kid")
    if kid is None or kid.estimate.value is None or kid.real is None:
        yield "none", f"Their distance to real images: {_why(kid)}"
    elif apart is None or apart <= 0:
        yield "none", "The real classes are too small, or too alike, to serve as the unit of a distance."
    else:
        far = (kid.estimate.value - kid.real) / apart
        light: Light = "green" if far <= 0.25 else "yellow" if far <= 1 else "red"
        yield light, f"They are {max(0.0, far):.2f} times as far from real images as the real classes from each other."


def _diversity(rows: dict[str, MetricRow]) -> Iterator[Verdict]:
    yield _share(rows, "coverage", (0.8, 0.4), "neighbourhoods of real images hold a generated one")
    yield _share(rows, "knn-recall", (0.8, 0.4), "real images lie among generated ones")


def _share(rows: dict[str, MetricRow], name: str, limits: tuple[float, float], what: str) -> Verdict:
    row = rows.get(name)
    if row is None or row.estimate.value is None or not row.real:
        return "none", f"How many {what}: {_why(row)}"
    share = row.estimate.value / row.real
    light: Light = "green" if share >= limits[0] else "yellow" if share >= limits[1] else "red"
    return light, f"{100 * row.estimate.value:.0f} % of {what} (real images in their place: {100 * row.real:.0f} %)."


def _why(row: MetricRow | None) -> str:
    return "no number; the metric is not installed." if row is None else f"no number ({row.error or 'none for real'})."


def _utility(report: UtilityReport) -> Answer:
    def answer(light: Light, sentence: str) -> Answer:
        return Answer(question="utility", light=light, sentence=sentence)

    lead = report.leading
    if lead is None or lead.gain.value is None or lead.gain.low is None or lead.gain.high is None:
        why = None if lead is None else lead.error
        return answer("none", f"The {report.learner} gave no gain with an interval{f': {why}' if why else ''}.")
    alone = next((arm for arm in report.arms if arm.name == "generated"), None)
    numbers = (
        f"AUC of a {report.learner} on the {report.part} part {lead.gain.value:+.3f} (95 % interval "
        f"{lead.gain.low:+.3f} to {lead.gain.high:+.3f}, p = {lead.p:.3f}) with {lead.added:,} generated images added "
        f"to {lead.real:,} real ones"
    )
    decided = lead.gain.high < 0 or (lead.gain.low > 0 and lead.p is not None and lead.p < 0.05)
    guessing = alone is not None and alone.auc.low is not None and alone.auc.low <= 0.5
    if decided and not guessing and not report.grouped:
        return answer("yellow", f"Patients are not known, so the interval is too narrow to tell: {numbers}.")
    if lead.gain.high < 0:
        return answer("red", f"Adding them harms: {numbers}.")
    if guessing:
        return answer("red", f"A {report.learner} that learned from them alone is not better than guessing. {numbers}.")
    if decided:
        return answer("green", f"Adding them helps: {numbers}.")
    return answer("yellow", f"It was not shown that adding them helps: {numbers}.")


def _privacy(report: PrivacyReport) -> Answer:
    found: list[Verdict] = []
    if report.copies:
        found.append(("red", f"{report.copies:,} generated images are copies of training images."))
    judges: dict[str, Callable[[PrivacyRow, int], Verdict | None]] = {
        "copying-test": _judge_copying,
        "membership": _judge_membership,
        "authenticity": _judge_authenticity,
    }
    computed = [row for row in report.rows if row.error is None]
    found += [
        verdict
        for row in computed
        if row.name in judges and row.space and (verdict := judges[row.name](row, report.held_out)) is not None
    ]
    if not any(row.name == "copies" for row in computed):
        errors = [row.error for row in report.rows if row.error]
        found.append(("none", f"Copies could not be looked for: {errors[0] if errors else 'no images'}."))
        if all(light == "none" for light, _ in found):
            return _worst("privacy", iter(found))
    if not found:
        quiet = (
            f"No sign of copying: no generated image is nearer to one of {report.train:,} training images than images "
            f"of the {report.part} part allow. That is no proof of anonymity."
        )
        found.append(("green", quiet))
    if report.duplicates:
        found.append(("yellow", _doubled(report)))
    # "none" is no verdict, though it is the last of the lights.
    found.sort(key=lambda verdict: -1 if verdict[0] == "none" else LIGHTS.index(verdict[0]), reverse=True)
    return _worst("privacy", iter(found))


def _doubled(report: PrivacyReport) -> str:
    without = (
        "how near a copy is was measured without them"
        if report.duplicates < report.held_out
        else "none is left to measure by how near a copy is, and only exact copies were looked for"
    )
    return (
        f"{report.duplicates:,} of {report.held_out:,} images of the {report.part} part are training images too (or "
        f"cannot be told from one), so {without}. Mend the split; medsynth dataset audit names them."
    )


def _judge_copying(row: PrivacyRow, _: int) -> Verdict | None:
    score = row.estimate.value
    if score is None or score >= _ALARM or (row.control is not None and row.control < _ALARM):
        return None
    return "red", f"They are nearer to training images than other real ones are (C_T {score:.1f}, {row.space})."


def _judge_membership(row: PrivacyRow, _: int) -> Verdict | None:
    forgetful = row.control if row.control is not None else 0.5
    if row.estimate.low is None or row.estimate.low <= max(0.5, forgetful):
        return None
    said = f"Nearness to them tells training images from others (AUC {row.estimate.value:.2f}, {row.space})."
    return ("red" if row.estimate.low > max(0.6, forgetful + 0.1) else "yellow"), said


def _judge_authenticity(row: PrivacyRow, held_out: int) -> Verdict | None:
    value, low, high, other = row.estimate.value, row.estimate.low, row.estimate.high, row.control
    if value is None or low is None or high is None or other is None or high - low > _VAGUE:
        return None
    error = (((high - low) / (2 * Z)) ** 2 + other * (1 - other) / max(1, held_out // 2)) ** 0.5
    if value >= other - Z * error:
        return None
    return "yellow", (
        f"{100 * value:.0f} % are authentic; of other patients' images {100 * other:.0f} % ({row.space})."
    )

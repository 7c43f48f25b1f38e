"""Numbers and metrics in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medsynth.evaluate.report.blocks import Cell

if TYPE_CHECKING:
    from medsynth.evaluate.subjects import ModelSummary
    from medsynth.metrics import Estimate, Scores

__all__ = [
    "chosen_by_validation",
    "count",
    "estimate_cell",
    "explain",
    "interval",
    "join",
    "number",
    "percent",
    "title",
    "unit",
]

_TITLES = {
    "loss": "Loss (log-loss)",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "auc": "AUC",
    "average_precision": "Average precision",
    "mcc": "MCC",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}


def title(metric: str) -> str:
    """Name of a metric for people."""
    return _TITLES.get(metric, metric.replace("_", " "))


def explain(metric: str, positive: str | None) -> str:
    """What a metric means, in one line.

    Args:
        metric: A key of :data:`medsynth.metrics.STATISTICS`, or ``specificity``.
        positive: The positive class; ``None`` for a task of more than two classes.
    """
    if positive is None:
        mean = "mean over the classes"
        texts = {
            "f1": f"harmonic mean of precision and recall; {mean}",
            "precision": f"share of the calls for a class that are right; {mean}",
            "recall": f"share of the images of a class that are found; {mean}",
            "auc": f"how well scores separate a class from the rest (0.5 guessing); {mean}",
            "average_precision": f"mean precision over recall (the class's share is guessing); {mean}",
            "brier": "squared error of the probabilities, summed over classes; lower is better",
            "calibration_error": f"how far probabilities are from frequencies; lower is better; {mean}",
        }
    else:
        texts = {
            "f1": f"harmonic mean of precision and recall for {positive}",
            "precision": f"share of the calls of {positive} that are right (positive predictive value)",
            "recall": f"share of the images of {positive} that are found (sensitivity)",
            "specificity": f"share of the other images that are not called {positive}",
            "auc": f"chance that an image of {positive} scores higher than another (0.5 guessing)",
            "average_precision": f"mean precision over recall of {positive} (its share is guessing)",
            "brier": f"squared error of the probability of {positive}; lower is better",
            "calibration_error": f"how far the probability of {positive} is from its frequency; lower is better",
        }
    texts |= {
        "loss": "mean surprise at the true class; lower is better",
        "accuracy": "share of correct decisions",
        "mcc": "correlation of truth and decision (Matthews; 0 guessing, 1 perfect)",
        "balanced_accuracy": "accuracy as if every class were equally frequent",
    }
    return texts[metric]


def chosen_by_validation(model: ModelSummary) -> str:
    """What validation images decided of a classifier. Its file does not say whether the epoch was among it."""
    given = {"the calibration": model.temperature, "the threshold": model.threshold}
    chosen = join([name for name, value in given.items() if value is not None])
    return f"{chosen} (and the epoch, where one was chosen)" if chosen else "the epoch, where one was chosen"


def number(value: float | None, digits: int = 3) -> str:
    """``0.938``; a dash where there is no number."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """``93.8 %``, with the space that does not break."""
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def interval(estimate: Estimate, *, as_percent: bool = False) -> str:
    """``0.902 to 0.967``; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    if as_percent:
        return f"{100 * estimate.low:.1f} to {percent(estimate.high)}"
    return f"{number(estimate.low)} to {number(estimate.high)}"


def estimate_cell(estimate: Estimate) -> Cell:
    """A number with its interval below."""
    return Cell(number(estimate.value), interval(estimate))


def unit(scores: Scores) -> str:
    """``72 images of 18 groups``, or ``72 images``."""
    images = count(scores.images, "image")
    return f"{images} of {count(scores.units, 'group')}" if scores.grouped else images


def count(amount: int, noun: str) -> str:
    """``1 image``, ``1,200 images``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def join(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)

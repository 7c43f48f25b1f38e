"""Every check of metrics passes a sound one and finds the fault that it is there for."""

import numpy as np
import pytest

from medsynth.errors import DataError
from medsynth.plugins import Metric, Result
from medsynth.testing import metric
from medsynth.testing.toys import sound_rows, spoiled_rows


class Sound(Metric):
    """Distance of the means of two sets of features; the others change one thing each."""

    name = "mean-distance"
    inputs = "features"
    higher_is_better = False

    def __init__(self):
        self.reset()

    def reset(self):
        self.reference, self.candidate, self.labels = [], [], []

    def update(self, reference, candidate, *, reference_labels=None, candidate_labels=None):
        self.reference.extend(reference.astype(np.float64))
        self.candidate.extend(candidate.astype(np.float64))
        self.labels.extend(candidate_labels)

    def compute(self):
        if not (self.reference and self.candidate):
            raise DataError("metric 'mean-distance' needs rows on both sides. Got none.")
        return self.result(np.array(self.reference), np.array(self.candidate), np.array(self.labels))

    def result(self, reference, candidate, labels):
        per_class = {int(k): float(candidate[labels == k].mean()) for k in np.unique(labels)}
        return Result(value=float(np.linalg.norm(reference.mean(0) - candidate.mean(0))), per_class=per_class)


class NotANumber(Sound):
    def result(self, *rows):
        return Result(value=float("nan"))


class HalfAnInterval(Sound):
    def result(self, *rows):
        return Result(value=0.5, low=0.1)


class UpsideDown(Sound):
    def result(self, *rows):
        return Result(value=0.5, low=0.9, high=0.1)


class StrangeClass(Sound):
    def result(self, *rows):
        return Result(value=0.5, per_class={7: 0.1})


class LastChunkOnly(Sound):
    def update(self, reference, candidate, **labels):
        self.reset()
        super().update(reference, candidate, **labels)


class SumOfChunks(Sound):
    def __init__(self):
        self.updates = 0
        super().__init__()

    def update(self, reference, candidate, **labels):
        self.updates += 1
        super().update(reference, candidate, **labels)

    def result(self, *rows):
        return Result(value=self.updates * super().result(*rows).value)


class Paired(Sound):
    """Fails where one side of a chunk is empty."""

    def update(self, reference, candidate, **labels):
        if len(reference) == len(candidate):
            super().update(reference, candidate, **labels)


class NeverForgets(Sound):
    def __init__(self):
        super().reset()

    def reset(self): ...


class FirstRow(Sound):
    def result(self, reference, candidate, labels):
        return Result(value=float(np.linalg.norm(reference[0] - candidate[0])))


class WrongWay(Sound):
    higher_is_better = True


class Indifferent(Sound):
    def result(self, *rows):
        return Result(value=1.0)


class SilentOnEmpty(Sound):
    def compute(self):
        return super().compute() if self.reference else Result(value=0.0)


class OtherErrorOnEmpty(Sound):
    def compute(self):
        return Result(value=sum(self.labels) / len(self.labels))


FAULTS = [
    (NotANumber, "result", "must be finite"),
    (HalfAnInterval, "result", "come together"),
    (UpsideDown, "result", "low must not be above high"),
    (StrangeClass, "result", "keyed by class index"),
    (LastChunkOnly, "chunks_equal_the_whole", "classes differ"),
    (SumOfChunks, "chunks_equal_the_whole", "Not equal to tolerance"),
    (Paired, "chunks_equal_the_whole", "needs rows on both sides"),
    (NeverForgets, "reset_forgets", "Not equal to tolerance"),
    (FirstRow, "order_of_rows_does_not_matter", "Not equal to tolerance"),
    (WrongWay, "calls_the_defect_worse", "'noise' must score worse"),
    (Indifferent, "calls_the_defect_worse", "Got 1 against 1"),
    (SilentOnEmpty, "empty_input_is_explained", "must raise medsynth.errors.DataError"),
    (OtherErrorOnEmpty, "empty_input_is_explained", "division by zero"),
]


@pytest.mark.parametrize(("cls", "name", "message"), FAULTS, ids=lambda each: getattr(each, "__name__", None))
def test_a_fault_is_found(subject_of, cls, name, message):
    with pytest.raises((AssertionError, DataError, ArithmeticError), match=message):
        getattr(metric, f"check_{name}")(subject_of("metric", cls))


# A class of this file cannot be imported in another process.
HERE = [check for check in metric.CHECKS if check is not metric.check_needs_no_tensorflow]


@pytest.mark.parametrize("check", HERE, ids=lambda check: check.__name__)
def test_a_sound_metric_passes(subject_of, check):
    check(subject_of("metric", Sound))


def test_a_metric_that_imports_keras_is_found(subject_of, tmp_path, monkeypatch):
    source = (
        "from medsynth.plugins import Metric\n"
        "class Heavy(Metric):\n"
        "    name, inputs, higher_is_better = 'heavy', 'features', None\n"
        "    def reset(self): ...\n"
        "    def update(self, reference, candidate, *, reference_labels=None, candidate_labels=None): ...\n"
        "    def compute(self):\n"
        "        import keras\n"
    )
    (tmp_path / "a_heavy_metric.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import a_heavy_metric

    with pytest.raises(AssertionError, match=r"without TensorFlow and Keras: ModuleNotFoundError.*keras"):
        metric.check_needs_no_tensorflow(subject_of("metric", a_heavy_metric.Heavy))


def test_every_check_finds_a_fault():
    named = {f"check_{name}" for _, name, _ in FAULTS} | {"check_needs_no_tensorflow"}
    assert named == {check.__name__ for check in metric.CHECKS}


def test_a_metric_without_a_better_side_is_not_ordered(subject_of):
    class Neutral(Indifferent):
        higher_is_better = None

    metric.check_calls_the_defect_worse(subject_of("metric", Neutral))


@pytest.mark.parametrize("inputs", ["features", "images"])
def test_spoiled_rows_have_the_defect_that_they_name(inputs):
    sound = sound_rows(inputs)
    assert len(np.unique(sound.candidate, axis=0)) == len(sound.candidate)
    assert len(np.unique(spoiled_rows(inputs, "collapse").candidate, axis=0)) == 2
    np.testing.assert_array_equal(spoiled_rows(inputs, "copies").candidate, sound.reference)
    noise = spoiled_rows(inputs, "noise").candidate
    assert noise.shape == sound.candidate.shape
    assert noise.dtype == sound.candidate.dtype
    assert noise.std() > 1.3 * sound.candidate.std()


def test_spoiled_predictions_have_the_defect_that_they_name():
    truth = sound_rows("probabilities").reference_labels
    accuracy = {
        name: (rows.candidate.argmax(axis=1) == truth).mean()
        for name, rows in {
            "sound": sound_rows("probabilities"),
            "noise": spoiled_rows("probabilities", "noise"),
            "collapse": spoiled_rows("probabilities", "collapse"),
        }.items()
    }
    assert accuracy["sound"] > 0.8
    assert 0.3 < accuracy["noise"] < 0.7
    assert accuracy["collapse"] == 0.5

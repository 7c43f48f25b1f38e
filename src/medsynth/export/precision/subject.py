"""What is calibrated and judged: a classifier on images of the data set, a generator on noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact import noise
from medsynth.artifact.contract import infos_from_onnx, latent_length
from medsynth.errors import ArtifactError
from medsynth.export.precision.gate import Budget, Verdict, judge_images, judge_probabilities
from medsynth.export.precision.graph import open_session
from medsynth.metrics import Rows, decide

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from medsynth.artifact import Metadata
    from medsynth.dataset import Decoded
    from medsynth.infer import Classifier

__all__ = ["ClassifierSubject", "GeneratorSubject", "Subject"]

_BATCH = 8
_SAMPLES = 256
_CALIBRATION_SEED, _JUDGING_SEED = 1, 2

Feeds = dict[str, "NDArray[Any]"]


class Subject(ABC):
    """A float32 model with the inputs that calibrate and judge what is made of it.

    Attributes:
        output: Name of the output that is compared.
        advice: What helps where the gate refuses.
    """

    output: str
    advice: str

    def __init__(self, reference: onnx.ModelProto, calibration: Feeds, judging: Feeds, budget: Budget) -> None:
        self.budget = budget
        self._calibration = calibration
        self._judging = judging
        self._wanted = self._run(reference, calibration)
        self._reference = self._run(reference, judging)

    def batches(self) -> Iterator[Feeds]:
        """Inputs to calibrate on."""
        return _batches(self._calibration)

    def error(self, model: onnx.ModelProto) -> float:
        """Mean absolute difference from the float32 model on the calibration inputs."""
        got = self._run(model, self._calibration).astype(np.float64)
        return float(np.abs(got - self._wanted).mean())

    def judge(self, model: onnx.ModelProto) -> Verdict:
        """Ask the gate."""
        return self._judge(self._run(model, self._judging))

    @abstractmethod
    def _judge(self, outputs: NDArray[Any]) -> Verdict: ...

    def _run(self, model: onnx.ModelProto, inputs: Feeds) -> NDArray[Any]:
        session = open_session(model)
        return np.concatenate([session.run([self.output], batch)[0] for batch in _batches(inputs)])


class ClassifierSubject(Subject):
    """A classifier, calibrated on training images and judged on the validation images.

    Args:
        reference: The float32 model.
        metadata: Its metadata.
        calibration: uint8 training images (n, height, width, channels).
        validation: The validation part, labels as the model's class indices.
        budget: What the gate lets pass.
    """

    output = "probabilities"
    advice = "Widen the budget (--max-flips, --max-auc-change), calibrate on more images"

    def __init__(
        self,
        reference: onnx.ModelProto,
        metadata: Metadata,
        calibration: NDArray[np.uint8],
        validation: Decoded,
        budget: Budget,
    ) -> None:
        super().__init__(reference, {"images": calibration}, {"images": validation.images}, budget)
        self._rows = Rows.of(
            validation.labels,
            self._reference,
            positive=metadata.classes.index(metadata.positive),
            threshold=metadata.threshold,
            groups=validation.groups,
        )

    def _judge(self, outputs: NDArray[Any]) -> Verdict:
        return judge_probabilities(self._rows, outputs, self.budget)


class GeneratorSubject(Subject):
    """A generator; noise is its real input, and judging takes other noise than calibration.

    Args:
        reference: The float32 model.
        metadata: Its metadata.
        calibration: How many samples to calibrate on.
        budget: What the gate lets pass.
        classifier: Names the class of each image, if given.
    """

    output = "images"
    advice = "Widen the budget (--max-grey-change, --max-worst-grey, with --classifier --max-flips)"

    def __init__(
        self,
        reference: onnx.ModelProto,
        metadata: Metadata,
        calibration: int,
        budget: Budget,
        classifier: Classifier | None = None,
    ) -> None:
        latent, classes = latent_length(infos_from_onnx(reference.graph.input)), len(metadata.classes)
        calibrating, judging = (_noise(seed, count, latent, classes) for seed, count in
                 ((_CALIBRATION_SEED, calibration), (_JUDGING_SEED, _SAMPLES)))  # fmt: skip
        super().__init__(reference, calibrating, judging, budget)
        self._classifier = classifier
        self._named = None if classifier is None else self._name(classifier, self._reference)

    def _judge(self, outputs: NDArray[Any]) -> Verdict:
        if self._classifier is None or self._named is None:
            return judge_images(self._reference, outputs, self.budget)
        return judge_images(self._reference, outputs, self.budget, (self._named, self._name(self._classifier, outputs)))

    @staticmethod
    def _name(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        metadata = classifier.metadata
        predictions = classifier.predict(list(images))
        if predictions.skipped:
            raise ArtifactError(
                f"{classifier.path}: must answer every image of the generator, but of {len(predictions.skipped)} "
                f"{predictions.skipped[0].reason} Give another --classifier."
            )
        return decide(
            predictions.probabilities,
            positive=metadata.classes.index(metadata.positive),
            threshold=metadata.threshold,
        )


def _noise(seed: int, count: int, latent: int, classes: int) -> Feeds:
    return {"noise": noise(seed, 0, count, latent), "label": np.arange(count, dtype=np.int64) % classes}


def _batches(inputs: Feeds) -> Iterator[Feeds]:
    count = len(next(iter(inputs.values())))
    for start in range(0, count, _BATCH):
        yield {name: values[start : start + _BATCH] for name, values in inputs.items()}

"""The classifier as a scikit-learn estimator: trained by Keras, kept as ONNX, served by onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from medsynth.config import ClassifierConfig
from medsynth.dataset import Dataset
from medsynth.dataset.rows import natural_key
from medsynth.dataset.split import VALIDATION_FRACTION, split_rows
from medsynth.errors import ConfigError, DataError
from medsynth.images import load_images
from medsynth.metrics import decide

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from medsynth.images import ImageSource
    from medsynth.infer import Classifier

__all__ = ["MedsynthClassifier"]

_CHUNK = 512


class MedsynthClassifier(ClassifierMixin, BaseEstimator):
    """A backbone plugin that is fitted, cloned, searched over and cross-validated like any classifier of scikit-learn.

    ``X`` is an array of images, (n, h, w) or (n, h, w, 1 or 3), or a sequence of arrays or of paths. What was fitted is
    an ONNX file in memory: a pickled estimator predicts where there is no TensorFlow. Fitting needs the extra
    ``train``.

    Args:
        backbone: Name of a backbone plugin.
        image_size: Height and width of the network's input, pixels.
        epochs: Most passes over the training images.
        batch_size: Images a step.
        learning_rate: At its highest; ``None``: as :class:`medsynth.config.ClassifierConfig` chooses it.
        augmentation: Whether training images are changed at random; ``None``: as the configuration says.
        class_weight: ``"balanced"`` or ``"none"``.
        settings: Further fields of :class:`medsynth.config.ClassifierConfig`, and options of the backbone.
        validation_fraction: Share of the images, above 0 and below 1, that choose the epoch, the temperature and the
            threshold: whole groups where :meth:`fit` gets them, else the last images of each class.
        positive: Positive class of a binary task; by default the last one of ``classes_``.
        out: Folder in which training run and ``classifier.onnx`` stay; ``None``: a temporary one. It must not hold a
            run already, so it does not go with cross-validation.
        device: Where it predicts: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
        random_state: Of weights, batch order and augmentation; a whole number from 0.

    Attributes:
        classes_: Labels as they came, sorted, (c,).
        onnx_: The exported model, bytes.
        outcome_: Result of the training run: epochs, validation metrics, threshold, temperature, seconds.
    """

    def __init__(
        self,
        *,
        backbone: str = ClassifierConfig.backbone,
        image_size: int = ClassifierConfig.image_size,
        epochs: int = ClassifierConfig.epochs,
        batch_size: int = ClassifierConfig.batch_size,
        learning_rate: float | None = ClassifierConfig.learning_rate,
        augmentation: bool | None = ClassifierConfig.augmentation,
        class_weight: str = ClassifierConfig.class_weight,
        settings: Mapping[str, Any] | None = None,
        validation_fraction: float = VALIDATION_FRACTION,
        positive: Any = None,
        out: str | Path | None = None,
        device: str = "auto",
        random_state: int = ClassifierConfig.seed,
    ) -> None:
        self.backbone = backbone
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.augmentation = augmentation
        self.class_weight = class_weight
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.positive = positive
        self.out = out
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        X: Sequence[ImageSource] | NDArray[Any],
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: Sequence[Any] | None = None,
    ) -> Self:
        """Train, export, and keep the ONNX model.

        Args:
            X: Images, n of them.
            y: Label of each, (n,): text or whole numbers.
            sample_weight: Weight of each image in the loss, (n,), not negative.
            groups: Patient of each image; no patient is both trained and validated on.

        Raises:
            ConfigError: A parameter does not exist or has a value that it cannot have.
            DataError: Lengths differ, fewer than two classes, or images that cannot be read.
        """
        from medsynth.export import export
        from medsynth.train import train_classifier

        images, labels = _images(X), np.asarray(y)
        check_classification_targets(labels)
        for name, column in (("y", labels), ("sample_weight", sample_weight), ("groups", groups)):
            if column is not None and len(np.asarray(column)) != len(images):
                raise DataError(f"{name} must have one entry per image, {len(images)}. Got {len(np.asarray(column))}.")
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"validation_fraction must be above 0 and below 1. Got {self.validation_fraction}.")
        config = self._config()
        self.classes_ = np.unique(labels)
        data = self._dataset(images, labels, groups)
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        with tempfile.TemporaryDirectory() if self.out is None else nullcontext(self.out) as folder:
            run = train_classifier(data, out=Path(folder) / "run", config=config, sample_weight=weights)
            self.onnx_ = Path(export(run, Path(folder) / "classifier.onnx")).read_bytes()
        self.outcome_ = dict(run.outcome)
        self._model: Classifier | None = None
        return self

    def predict_proba(self, X: Sequence[ImageSource] | NDArray[Any]) -> NDArray[np.float32]:
        """Class probabilities, float32 (n, c), columns as ``classes_``.

        Raises:
            sklearn.exceptions.NotFittedError: :meth:`fit` was not called.
            ImageError: An image cannot be read.
        """
        model, images = self._served(), _images(X)
        chunks = [np.empty((0, len(model.classes)), np.float32)]
        for at in range(0, len(images), _CHUNK):
            pixels = load_images(images[at : at + _CHUNK], model.image)
            chunks.append(model.run(pixels)["probabilities"].astype(np.float32))
        return np.concatenate(chunks)[:, self._columns(model.classes)]

    def predict(self, X: Sequence[ImageSource] | NDArray[Any]) -> NDArray[Any]:
        """Labels, (n,): for two classes by the operating threshold of the model, else the most probable.

        Raises:
            sklearn.exceptions.NotFittedError: :meth:`fit` was not called.
            ImageError: An image cannot be read.
        """
        facts = self._served().metadata
        positive = self._columns(facts.classes).index(facts.classes.index(facts.positive))
        chosen = decide(self.predict_proba(X), positive=positive, threshold=facts.threshold)
        labels: NDArray[Any] = self.classes_[chosen]
        return labels

    def _config(self) -> ClassifierConfig:
        named = {
            "backbone": self.backbone,
            "image_size": self.image_size,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "augmentation": self.augmentation,
            "class_weight": self.class_weight,
            "seed": self.random_state,
        }
        if twice := sorted(named.keys() & (self.settings or {}).keys()):
            raise ConfigError(f"settings must not repeat parameters of the estimator. Got {', '.join(twice)}.")
        return ClassifierConfig.from_settings({**named, **(self.settings or {})})

    def _dataset(self, images: list[ImageSource], labels: NDArray[Any], groups: Sequence[Any] | None) -> Dataset:
        """The images in their order, with a training and a validation part."""
        named = [str(label) for label in self.classes_.tolist()]
        if len(named) < 2:
            raise DataError(f"y must hold at least 2 classes. Got {len(named)}.")
        classes = tuple(sorted(named, key=natural_key))
        number = {label: classes.index(name) for label, name in zip(self.classes_.tolist(), named, strict=True)}
        rows = np.array([number[label] for label in labels.tolist()], np.int64)
        patients = None if groups is None else tuple(str(group) for group in groups)
        fractions = {"train": 1 - self.validation_fraction, "validation": self.validation_fraction}
        return Dataset(
            images=tuple(images),
            names=tuple(f"image/{index}" for index in range(len(images))),
            labels=rows,
            classes=classes,
            groups=patients,
            split=tuple(split_rows(rows, patients, fractions, seed=self.random_state)),
            positive=named[-1] if self.positive is None else str(self.positive),
            source="arrays",
        )

    def _columns(self, classes: tuple[str, ...]) -> list[int]:
        """Where each of ``classes_`` stands among the classes of the model."""
        return [classes.index(str(label)) for label in self.classes_.tolist()]

    def _served(self) -> Classifier:
        check_is_fitted(self, "onnx_")
        if getattr(self, "_model", None) is None:
            from medsynth.infer.load import load_classifier

            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "classifier.onnx"
                path.write_bytes(self.onnx_)
                self._model = load_classifier(path, device=self.device)
        assert self._model is not None
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_model": None}  # A session of onnxruntime cannot be pickled.

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _images(X: Sequence[ImageSource] | NDArray[Any]) -> list[ImageSource]:
    """A list of paths and arrays."""
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUS":
        if X.ndim not in {3, 4}:
            raise DataError(f"X must be images, (n, h, w) or (n, h, w, channels), or paths. Got shape {X.shape}.")
        return list(X)
    return [image if isinstance(image, np.ndarray) else Path(image) for image in X]

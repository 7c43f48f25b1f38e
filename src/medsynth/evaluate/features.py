"""From images to features: the space in which distances between real and generated images are measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ArtifactError, ConfigError, DataError
from medsynth.images import ImageSpec, load_images
from medsynth.infer.batching import BatchRunner
from medsynth.infer.model import OpenModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.artifact.contract import TensorInfo
    from medsynth.infer import Classifier

__all__ = ["FEATURES_KEY", "FeatureNetwork", "FeatureSpace", "Pixels", "load_features"]

FEATURES_KEY = "medsynth-features"
"""Where a file that is no classifier says what its features are called: JSON with ``name``."""

_FLOATS = {"float32": np.float32, "float16": np.float16}
_BLOCK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpace:
    """Which network's features a distance was measured in. Numbers of two spaces cannot be compared.

    Attributes:
        name: For people, for example ``"features of classifier.onnx"`` or ``"Keras Inception"``.
        file: Name of the ONNX file.
        content_hash: SHA-256 that names the network: the artefact's own, else that of the file.
        dimensions: Length of a feature vector.
        image_size: Height and width that images are resized to for it, with antialiasing.
    """

    name: str
    file: str
    content_hash: str
    dimensions: int
    image_size: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """What a network of others wants of pixels: (pixel - mean) * scale, one number or one for each channel."""

    scale: tuple[float, ...] = ()
    mean: tuple[float, ...] = (0.0,)


class FeatureNetwork:
    """A network that turns images into features; made by :meth:`of` or :func:`load_features`.

    Attributes:
        space: What its features are called.
    """

    def __init__(
        self, space: FeatureSpace, image: ImageSpec, run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    ) -> None:
        self.space, self._image, self._run = space, image, run

    @classmethod
    def of(cls, classifier: Classifier) -> FeatureNetwork:
        """The ``features`` of a classifier.

        Raises:
            ArtifactError: It has no such output.
        """
        sizes = {info.name: info.shape[-1] for info in classifier.session.outputs}
        if "features" not in sizes:
            raise ArtifactError(
                f"{classifier.path.name}: has no output 'features' to measure distances in. "
                "Name a network that has with --features FILE.onnx."
            )
        space = FeatureSpace(
            name=f"features of {classifier.path.name}",
            file=classifier.path.name,
            content_hash=classifier.metadata.content_hash,
            dimensions=_dimensions(classifier.path, sizes["features"]),
            image_size=classifier.image.shape[:2],
        )
        return cls(space, classifier.image, lambda images: classifier.run(images)["features"])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of images of any size.

        Args:
            images: uint8 (n, height, width, channels); resized through :func:`medsynth.images.load_images`.

        Returns:
            float32 (n, dimensions).

        Raises:
            DataError: The network gives values that are not finite.
        """
        blocks = [
            self._run(load_images(list(images[at : at + _BLOCK]), self._image)) for at in range(0, len(images), _BLOCK)
        ]
        features = np.concatenate([np.empty((0, self.space.dimensions), np.float32), *blocks]).astype(np.float32)
        if not np.isfinite(features).all():
            raise DataError(
                f"{self.space.file}: must give finite features. Got NaN or infinity. Are the scale and mean of its "
                "pixels right?"
            )
        return features


def load_features(path: str | Path, *, pixels: Pixels | None = None, device: str = "auto") -> FeatureNetwork:
    """Open a network for its features: a classifier of ours, or any ONNX file that turns one image into one vector.

    Args:
        path: One input [batch, height, width, channels] or [batch, channels, height, width] of fixed size with 1 or 3
            channels (RGB), uint8, float32 or float16. The output called ``features``, or the only one with two axes.
        pixels: What to do with pixels from 0 to 255 before a float network; not for one that takes uint8.
        device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.

    Raises:
        ArtifactError: The file is missing, corrupt, or has other inputs and outputs.
        ConfigError: ``pixels`` is missing for a float network, given for another, or does not fit the channels.
    """
    model = OpenModel(path, device)
    if model.metadata_text is not None:
        from medsynth.infer import load_classifier

        return FeatureNetwork.of(load_classifier(path, device=device))
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ArtifactError(f"{path}: must have one input, a batch of images. Got {_list(model.inputs)}.")
    image, channels_first = _image(model.path, model.inputs[0])
    prepare = _preparation(model.path, model.inputs[0], image.channels, channels_first, pixels)
    output = _output(model.path, model.outputs)
    runner = BatchRunner(model.run, model.fixed_batch)
    space = FeatureSpace(
        name=_name(model),
        file=model.path.name,
        content_hash=hashlib.sha256(model.path.read_bytes()).hexdigest(),
        dimensions=_dimensions(model.path, output.shape[1]),
        image_size=image.shape[:2],
    )

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(runner.run({model.inputs[0].name: prepare(images)}, 32).outputs[output.name], np.float32)

    return FeatureNetwork(space, image, run)


def _image(path: Path, info: TensorInfo) -> tuple[ImageSpec, bool]:
    axes = tuple(axis if isinstance(axis, int) else None for axis in info.shape)
    first, last = axes[1] in {1, 3}, axes[3] in {1, 3}
    height, width = axes[2:] if first else axes[1:3]
    channels = axes[1] if first else axes[3]
    if first == last or height is None or width is None or channels is None:
        raise ArtifactError(
            f"{path}: the input must be [batch, channels, height, width] or [batch, height, width, channels] with a "
            f"fixed height and width and 1 or 3 channels. Got {info.name} {info}."
        )
    return ImageSpec(height=height, width=width, channels=channels), first


def _preparation(
    path: Path, info: TensorInfo, channels: int, channels_first: bool, pixels: Pixels | None
) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """From uint8 (n, h, w, c) to what the network takes."""

    def laid_out(images: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if channels_first else images

    if info.dtype == "uint8":
        if pixels is not None:
            raise ConfigError(f"{path}: takes pixels as they are; omit --features-scale and --features-mean.")
        return laid_out
    if info.dtype not in _FLOATS:
        raise ArtifactError(f"{path}: the input must be float32, float16 or uint8. Got {info.name} {info}.")
    if pixels is None or not pixels.scale:
        raise ConfigError(
            f"{path}: takes {info.dtype}, so say what it wants of pixels from 0 to 255: --features-scale NUMBER "
            "(0.003921568627 for 0 to 1), and --features-mean where something is subtracted before."
        )
    for option, values in (("--features-scale", pixels.scale), ("--features-mean", pixels.mean)):
        if len(values) not in {1, channels}:
            raise ConfigError(f"{path}: {option} must be 1 number or {channels}. Got {len(values)}.")
    mean, scale = (np.asarray(values, np.float32) for values in (pixels.mean, pixels.scale))
    return lambda images: laid_out(((images.astype(np.float32) - mean) * scale).astype(_FLOATS[info.dtype]))


def _output(path: Path, outputs: tuple[TensorInfo, ...]) -> TensorInfo:
    flat = [info for info in outputs if len(info.shape) == 2 and info.dtype in _FLOATS]
    named = [info for info in flat if info.name == "features"] or flat
    if len(named) != 1:
        raise ArtifactError(
            f"{path}: must have an output 'features', or only one, of one vector for each image. Got {_list(outputs)}."
        )
    return named[0]


def _dimensions(path: Path, axis: Any) -> int:
    if not isinstance(axis, int):
        raise ArtifactError(f"{path}: the length of its features must be fixed. Got {axis}.")
    return axis


def _name(model: OpenModel) -> str:
    """What the file calls its features, else the file's name."""
    text = model.custom_metadata.get(FEATURES_KEY)
    return str(json.loads(text)["name"]) if text else f"features of {model.path.name}"


def _list(infos: tuple[TensorInfo, ...]) -> str:
    return ", ".join(f"{info.name} {info}" for info in infos) or "none"

"""Golden inputs and outputs: a file that travels with the proof of what it computes.

Inputs are remade from a seed, never stored and never a user's image. Outputs are compared within a tolerance, because
their last bits differ between processors.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.contract import infos_from_session, latent_length
from medsynth.artifact.metadata import Golden
from medsynth.artifact.philox import noise
from medsynth.artifact.runtime import import_onnxruntime, session_options
from medsynth.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medsynth.artifact.metadata import Metadata

__all__ = [
    "CpuRunner",
    "golden_inputs",
    "golden_values",
    "largest_difference",
    "make_golden",
    "runtime_says",
    "remake_inputs",
]

_SEED = 20_260_101
_COUNT = 4

TOLERANCE = {"fp32": (1e-4, 1.0), "fp16": (5e-3, 4.0), "int8": (2e-2, 8.0)}
"""By precision: largest difference of a probability, and of a grey level.

Measured on the CT classifier (VGG16 at 96x96) and AC-GAN: onnxruntime's integer kernels differ from the same graph in
emulated arithmetic, which is what another processor may run, by up to 0.0115 over 300 images and by 3 grey levels; with
fp16 by 0.0005 (fp16 from fp32: 0.0012) and 1 grey level.
"""


def make_golden(model: bytes, metadata: Metadata) -> Golden:
    """Run a serialised model on golden inputs (CPU).

    Raises:
        ArtifactError: onnxruntime refuses the model.
        ConfigError: The precision has no tolerance.
    """
    precision = str(metadata.precision["name"])
    if precision not in TOLERANCE:
        raise ConfigError(f"precision must be one of {', '.join(TOLERANCE)}. Got {precision!r}.")
    runner = CpuRunner(model)
    recipe, output = ("noise", "images") if metadata.task == "generator" else ("phantom", "probabilities")
    inputs = golden_inputs(recipe, _SEED, _COUNT, metadata, latent=runner.latent)
    values = runner.run(inputs)[output]
    return Golden(
        recipe=recipe,
        seed=_SEED,
        count=_COUNT,
        inputs_sha256=_digest(inputs),
        output=output,
        values=_pack(values),
        tolerance=TOLERANCE[precision][output == "images"],
    )


def golden_inputs(recipe: str, seed: int, count: int, metadata: Metadata, *, latent: int) -> dict[str, NDArray[Any]]:
    """Inputs of a recipe: phantom images, or noise rows with the labels 0, 1, ... in turn.

    Args:
        recipe: ``phantom`` or ``noise``.
        seed: Seed of the recipe.
        count: How many rows.
        metadata: Says the image and the number of classes.
        latent: Length of a noise row (not used by ``phantom``).
    """
    if recipe == "noise":
        labels = np.arange(count, dtype=np.int64) % len(metadata.classes)
        return {"noise": noise(seed, 0, count, latent), "label": labels}
    if recipe == "phantom":
        from medsynth.dataset.phantom import phantom_images

        return {"images": phantom_images(count, metadata.image, seed)}
    raise ArtifactError(f"golden inputs must be made by the recipe phantom or noise. Got {recipe!r}.")


def remake_inputs(metadata: Metadata, *, latent: int) -> dict[str, NDArray[Any]]:
    """The inputs that an artefact's golden outputs were computed from.

    Raises:
        ArtifactError: The artefact has none, or this version's recipe gives others.
    """
    golden = metadata.golden
    if golden is None:
        raise ArtifactError("the metadata has no golden inputs. Write the file again with medsynth export.")
    inputs = golden_inputs(golden.recipe, golden.seed, golden.count, metadata, latent=latent)
    if _digest(inputs) != golden.inputs_sha256:
        raise ArtifactError(
            f"the golden inputs cannot be remade: the {golden.recipe} recipe of this medsynth differs from that of "
            f"medsynth-core {metadata.versions.get('medsynth-core', 'unknown')}, which wrote the file."
        )
    return inputs


def golden_values(metadata: Metadata) -> NDArray[np.float64]:
    """The recorded outputs: probabilities (count, classes), or images (count, height, width, channels).

    Raises:
        ArtifactError: It has none, or they cannot be read.
    """
    golden = metadata.golden
    if golden is None:
        raise ArtifactError("the metadata has no golden outputs. Write the file again with medsynth export.")
    row = metadata.image.shape if metadata.task == "generator" else (len(metadata.classes),)
    try:
        if isinstance(golden.values, str):
            # No more than is wanted and a byte that tells of more: a few bytes can unpack to gigabytes.
            limit = golden.count * math.prod(row) + 1
            raw = zlib.decompressobj().decompress(base64.b64decode(golden.values, validate=True), limit)
            return np.frombuffer(raw, np.uint8).reshape(golden.count, *row).astype(np.float64)
        return np.asarray(golden.values, np.float64).reshape(golden.count, *row)
    except (binascii.Error, zlib.error, ValueError, TypeError, OverflowError) as error:
        raise ArtifactError(f"the golden outputs in the metadata cannot be read ({error}).") from error


def largest_difference(got: NDArray[Any], wanted: NDArray[np.float64]) -> float:
    """Largest absolute difference; infinite where a value is not a number or the shapes differ."""
    if got.shape != wanted.shape:
        return float("inf")
    difference = np.abs(got.astype(np.float64) - wanted)
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))


class CpuRunner:
    """The reference: plain onnxruntime on the CPU, from a serialised model or the path of a file.

    Raises:
        ArtifactError: onnxruntime cannot load the model.
    """

    def __init__(self, model: bytes | str) -> None:
        onnxruntime = import_onnxruntime()
        try:
            self._session = onnxruntime.InferenceSession(
                model, session_options(), providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # onnxruntime's exceptions have no common class but this.
            raise ArtifactError(f"onnxruntime cannot load the model ({runtime_says(error)}).") from error
        self._inputs = infos_from_session(self._session.get_inputs())

    @property
    def latent(self) -> int:
        """Length of a noise row; 0 for a model without noise."""
        return latent_length(self._inputs) if any(info.name == "noise" for info in self._inputs) else 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name.

        Raises:
            ArtifactError: The model cannot run on these inputs.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:
            raise ArtifactError(f"onnxruntime cannot run the model ({runtime_says(error)}).") from error


def runtime_says(error: BaseException) -> str:
    """An exception's text without line breaks and without onnxruntime's prefix."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rsplit("[ONNXRuntimeError] : ", maxsplit=1)[-1]


def _digest(inputs: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(inputs.items()):
        little = values.astype(values.dtype.newbyteorder("<"))
        digest.update(f"{name}:{little.dtype.str}:{values.shape};".encode())
        digest.update(np.ascontiguousarray(little).tobytes())
    return digest.hexdigest()


def _pack(values: NDArray[Any]) -> Any:
    if values.dtype == np.uint8:
        return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), level=9)).decode("ascii")
    return values.tolist()

"""Export a run: rebuild the network, convert it, compare it with Keras, write the artefact."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth import artifact
from medsynth.artifact import Metadata, noise
from medsynth.artifact.golden import CpuRunner
from medsynth.dataset.phantom import phantom_images
from medsynth.errors import ArtifactError
from medsynth.export.parity import GREY_TOLERANCE, PROBABILITY_TOLERANCE, check_parity
from medsynth.train.backend import require_tensorflow
from medsynth.train.run import Run, open_run

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["export"]

_INTENDED_USE = {
    "classifier": (
        "Research on images like the training data. Not a medical device: no decision about a patient may rest on it."
    ),
    "generator": (
        "Synthetic images for research and teaching, to be marked as synthetic wherever they go. They may resemble "
        "training images and show no patient; no clinical conclusion may rest on them."
    ),
}


def export(run: Run | str | Path, out: str | Path) -> Path:
    """Write the trained network of a run as one ONNX file.

    The network is rebuilt in float32, converted by tf2onnx and compared with Keras at batch 1, 3 and the batch of
    training: probabilities may differ by 1e-4, images by one grey level.

    Args:
        run: A finished run, or its folder.
        out: The ``.onnx`` file to write; it appears whole or not at all.

    Returns:
        The path written.

    Raises:
        ArtifactError: The run is not finished, its weights are damaged, or onnxruntime disagrees with Keras.
        MissingExtraError: TensorFlow is not installed.
        OutputError: The file cannot be written.
    """
    require_tensorflow("Exporting a run")
    run = run if isinstance(run, Run) else open_run(run)
    if not run.finished:
        raise ArtifactError(f"{run.folder}: training has not finished. Continue it with --resume, then export it.")
    import keras

    keras.config.set_dtype_policy("float32")
    model, parity = _classifier(run) if run.task == "classifier" else _generator(run)
    path = Path(out)
    artifact.write(model, _metadata(run, parity), path)
    return path


def _classifier(run: Run) -> tuple[onnx.ModelProto, dict[str, float]]:
    # Here, because they import TensorFlow, whose absence export() explains.
    from medsynth.export.keras_onnx import classifier_to_onnx
    from medsynth.train.rebuild import rebuild_classifier

    network = rebuild_classifier(run)
    model = classifier_to_onnx(network)
    batch = int(run.config["batch_size"])
    inputs = {"images": phantom_images(max(3, batch), run.image)}

    def keras_run(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        return np.asarray(network(rows["images"], training=False)["probabilities"])

    return model, check_parity(keras_run, _runner(model, "probabilities"), inputs, (1, 3, batch), PROBABILITY_TOLERANCE)


def _generator(run: Run) -> tuple[onnx.ModelProto, dict[str, float]]:
    from medsynth.export.keras_onnx import sampler_to_onnx
    from medsynth.train.rebuild import rebuild_sampler

    sampler = rebuild_sampler(run)
    model = sampler_to_onnx(sampler)
    batch = int(run.config["batch_size"])
    count = max(3, batch)
    inputs: dict[str, NDArray[Any]] = {
        "noise": noise(0, 0, count, sampler.inputs[0].shape[1]),
        "label": np.arange(count, dtype=np.int64) % len(run.classes),
    }

    def keras_run(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        return np.asarray(sampler([rows["noise"], rows["label"]], training=False))

    return model, check_parity(keras_run, _runner(model, "images"), inputs, (1, 3, batch), GREY_TOLERANCE)


def _runner(model: onnx.ModelProto, output: str) -> Any:
    runner = CpuRunner(model.SerializeToString())
    return lambda rows: runner.run(dict(rows))[output]


def _metadata(run: Run, parity: Mapping[str, float]) -> Metadata:
    options = dict(run.config["options"])
    if options.get("weights") not in {None, "imagenet", "none"}:
        options["weights"] = Path(options["weights"]).name  # A file's place says where a person works.
    versions = dict(run.versions) | {name: distributions.version(name) for name in ("onnx", "tf2onnx")}
    return Metadata(
        task=run.task,
        classes=run.classes,
        positive=run.positive,
        image=run.image,
        plugin={**run.plugin, "options": options},
        data={key: run.data[key] for key in ("source", "fingerprint", "counts")},
        training={**run.config, "options": options},
        validation=dict(run.outcome.get("validation", {})),
        intended_use=_INTENDED_USE[run.task],
        versions=versions,
        precision={"name": "fp32", "parity": dict(parity)},
        threshold=run.outcome.get("threshold"),
    )

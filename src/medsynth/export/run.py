"""Export a run: rebuild the network, convert it, compare it with Keras, write the artefact; lower its precision."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth import artifact
from medsynth.artifact import Metadata, noise
from medsynth.artifact.files import serialise
from medsynth.artifact.golden import CpuRunner
from medsynth.dataset import load_dataset
from medsynth.dataset.phantom import phantom_images
from medsynth.errors import ArtifactError, ConfigError
from medsynth.export.parity import GREY_TOLERANCE, PROBABILITY_TOLERANCE, check_parity
from medsynth.export.precision import PRECISIONS, Budget, Precision, convert
from medsynth.export.precision.data import remembered_data
from medsynth.export.views import check_views, export_views
from medsynth.infer import load_classifier
from medsynth.outputs import ensure_file
from medsynth.train.backend import require_tensorflow
from medsynth.train.run import Run, open_run

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from medsynth.dataset import Dataset
    from medsynth.infer import Classifier

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


def _say_nothing(_: str) -> None: ...


def export(
    source: Run | str | Path,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    tta: int = 1,
    calibration: Dataset | str | Path | None = None,
    classifier: Classifier | str | Path | None = None,
    budget: Budget | None = None,
    fallback: bool = True,
    tell: Callable[[str], None] = _say_nothing,
) -> Path:
    """Write a trained network as one ONNX file, or an fp32 one in another precision.

    A run's network is rebuilt in float32, converted by tf2onnx and compared with Keras at batch 1, 3 and the batch of
    training: probabilities may differ by 1e-4, images by one grey level. Another precision is made from the fp32 graph
    and judged by a gate; from an ONNX file that needs no TensorFlow.

    Args:
        source: A finished run, its folder, or an fp32 ``.onnx`` file that medsynth wrote.
        out: The ``.onnx`` file to write; it appears whole or not at all.
        precision: ``fp32``, ``fp16`` or ``int8``; a file keeps its own with ``fp32``.
        tta: Views of each image whose logits a classifier averages in its graph, 1 to 9
            (:mod:`medsynth.export.views`); calibration and threshold are fitted again, on the validation part.
        calibration: For a classifier in another precision or with views: its data set, or what
            :func:`medsynth.load_dataset` takes. Training images calibrate a precision, validation images judge it and
            fit what views need, test images are not read. By default the data that the run was trained on.
        classifier: For a generator in another precision: must name the images as it does those of the fp32 file.
        budget: What the gate lets pass; by default 0.5 % of decisions flipped, 0.005 of AUC, and for a generator a
            mean of 1 grey level.
        fallback: Whether single layers may stay in float32 where the gate would refuse else.
        tell: Takes one line about each step.

    Returns:
        The path written.

    Raises:
        ArtifactError: The run is not finished, its weights are damaged, onnxruntime disagrees with Keras, or the file
            is not an fp32 artefact.
        CheckFailedError: The gate refuses.
        ConfigError: No such precision, fp32 from a file, or a classifier's file without ``calibration``.
        DataError: The data do not fit the model, lack a class in the validation part, or are not there any more.
        MissingExtraError: TensorFlow is not installed (a run only).
        OutputError: The file cannot be written; told before the work where the place says so.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}. Got '{precision}'.")
    check_views(tta)
    ensure_file(out)
    file = None if isinstance(source, Run) or Path(source).is_dir() or Path(source).suffix != ".onnx" else Path(source)
    if tta > 1:
        seen = _data(source, file, calibration)
        with tempfile.TemporaryDirectory() as folder:
            single = Path(folder) / "one-view.onnx"
            if file is not None and precision == "fp32":
                single = file
            else:
                needed = None if precision == "fp32" else seen
                export(
                    source, single, precision=precision, calibration=needed, budget=budget, fallback=fallback, tell=tell
                )
            export_views(single, out, tta, data=seen, tell=tell)
        return Path(out)
    if precision == "fp32":
        if file is not None:
            raise ConfigError(f"{file}: is an ONNX file already. Choose --precision fp16 or int8, or give a run.")
        return _export_run(source, out)
    data = None if calibration is None else load_dataset(calibration)
    if isinstance(classifier, (str, Path)):
        classifier = load_classifier(classifier, device="cpu")
    judged = partial(
        convert,
        precision=precision,
        classifier=classifier,
        budget=budget or Budget(),
        fallback=fallback,
        tell=tell,
    )
    if file is not None:
        judged(file, out, data=data)
        return Path(out)
    run = source if isinstance(source, Run) else open_run(source)
    if data is None and run.task == "classifier":
        data = remembered_data(run)
    with tempfile.TemporaryDirectory() as folder:
        judged(_export_run(run, Path(folder) / "fp32.onnx"), out, data=data)
    return Path(out)


def _data(source: Run | str | Path, file: Path | None, given: Dataset | str | Path | None) -> Dataset:
    """The data set that views are fitted on."""
    if given is not None:
        return load_dataset(given)
    if file is not None:
        raise ConfigError(
            f"{file}: the calibration of averaged views is fitted on validation images. Give the data set that it was "
            "trained on with --calibration."
        )
    run = source if isinstance(source, Run) else open_run(source)
    if run.task != "classifier":
        raise ConfigError(f"{run.folder}: only a classifier can average views. This is a run of a {run.task}.")
    return remembered_data(run)


def _export_run(source: Run | str | Path, out: str | Path) -> Path:
    require_tensorflow("Exporting a run")
    run = source if isinstance(source, Run) else open_run(source)
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
    from medsynth.train.calibrate import Calibration, softmax
    from medsynth.train.rebuild import rebuild_classifier

    network = rebuild_classifier(run)
    temperature, bias = run.outcome.get("temperature"), _bias(run)
    calibration = None if temperature is None or bias is None else Calibration(temperature, bias)
    model = classifier_to_onnx(network, calibration)
    batch = int(run.config["batch_size"])
    inputs = {"images": phantom_images(max(3, batch), run.image)}

    def keras_run(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        logits = np.asarray(network(rows["images"], training=False)["logits"])
        return softmax(logits) if calibration is None else calibration.probabilities(logits)

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
    runner = CpuRunner(serialise(model))
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
        # Where features were kept says where a person works, too.
        training={key: value for key, value in run.config.items() if key != "cache"} | {"options": options},
        validation=dict(run.outcome.get("validation", {})),
        intended_use=_INTENDED_USE[run.task],
        versions=versions,
        precision={"name": "fp32", "parity": dict(parity)},
        threshold=run.outcome.get("threshold"),
        temperature=run.outcome.get("temperature"),
        bias=_bias(run),
    )


def _bias(run: Run) -> tuple[float, ...] | None:
    """Of the calibration; runs of before it had one have a temperature alone."""
    if "temperature" not in run.outcome:
        return None
    return tuple(run.outcome.get("bias", [0.0] * len(run.classes)))

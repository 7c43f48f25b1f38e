"""Test-time augmentation inside the graph: an artefact that looks at several shifted views of each image.

The views are the image itself and copies of it moved by a whole number of pixels, so that they need no resampling and
every runtime makes the same ones; the border is repeated into what moves in. Nothing is mirrored: left stays left. What
is averaged are the logits, so that ``probabilities`` still is softmax(logits / T + b), now of the mean, and one
calibration serves both; ``features`` are averaged too, ``activations`` are those of the unmoved image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth import artifact
from medsynth.artifact.files import parse_model, read_bytes, serialise
from medsynth.artifact.golden import TOLERANCE, CpuRunner
from medsynth.dataset.phantom import phantom_images
from medsynth.errors import ArtifactError, ConfigError
from medsynth.export.parity import check_parity
from medsynth.export.precision.data import decode_images
from medsynth.export.precision.graph import constant, copy_model, drop_unused
from medsynth.metrics import STATISTICS, Rows
from medsynth.train.calibrate import Calibration, fit_calibration, operating_threshold

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from medsynth.artifact import Metadata
    from medsynth.dataset import Dataset, Decoded

__all__ = ["MOST_VIEWS", "average_views", "check_views", "export_views", "moved", "moves"]

_COMPASS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))

MOST_VIEWS = len(_COMPASS)

_SHARE = 0.05
"""Of the shorter side; the largest shift of the augmentation in training."""

_BATCH = 8


def check_views(views: int) -> None:
    """Refuse a number of views that there is not.

    Raises:
        ConfigError: It is not from 1 to 9.
    """
    if not 1 <= views <= MOST_VIEWS:
        raise ConfigError(f"tta must be from 1 (no further view) to {MOST_VIEWS} views. Got {views}.")


def moves(views: int, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """How far each view moves the image, (down, right) in pixels: the sides first, then the corners."""
    step = max(1, round(_SHARE * min(height, width)))
    return tuple((step * down, step * right) for down, right in _COMPASS[:views])


def moved(images: NDArray[np.uint8], move: tuple[int, int]) -> NDArray[np.uint8]:
    """Images (n, height, width, channels) moved (down, right); the border is repeated."""
    (down, right), (height, width) = move, images.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return images[:, rows][:, :, columns]


def export_views(
    source: str | Path, out: str | Path, views: int, *, data: Dataset, tell: Callable[[str], None]
) -> Metadata:
    """Write an artefact that averages views, with calibration and threshold fitted on what it then says.

    Args:
        source: A classifier of any precision.
        out: The file to write.
        views: 2 to 9.
        data: Its validation part is what calibration and threshold are fitted on.
        tell: Takes one line about what the views changed on the validation part.

    Returns:
        The metadata as written; ``tta`` says what the views are and what validation says without them.

    Raises:
        ArtifactError: The file is no classifier of medsynth, or averages views already.
        DataError: The data do not fit the model, or their validation part lacks a class.
    """
    parent = artifact.read(source)
    if parent.task != "classifier":
        raise ArtifactError(f"{source}: only a classifier can average views. This is a {parent.task}.")
    if parent.tta:
        raise ArtifactError(f"{source}: averages {parent.tta['views']} views already. Give the file before that.")
    model = parse_model(read_bytes(source))
    del model.metadata_props[:]
    chosen = moves(views, parent.image.height, parent.image.width)
    images = decode_images(data, parent)
    validation = images.validation
    uncalibrated = average_views(model, chosen, Calibration(1.0, (0.0,) * len(parent.classes)))
    calibration, threshold, now = _fit(_run(uncalibrated, validation.images), validation, parent)
    averaged = average_views(model, chosen, calibration)
    parity = _check(model, averaged, chosen, calibration, parent)
    # Fitted alike, so that the two differ in the views alone.
    without = _fit(_run(model, validation.images), validation, parent)[2]
    tell(
        f"{views} views on {len(validation.images)} validation images: AUC {without['auc']:.4f} to {now['auc']:.4f}, "
        f"accuracy {without['accuracy']:.4f} to {now['accuracy']:.4f}, "
        f"log-loss {without['loss']:.4f} to {now['loss']:.4f}."
    )
    tta = {
        "views": views,
        "moves": [list(move) for move in chosen],
        "average": "logits",
        "parent": parent.content_hash,
        "parity": parity,
        "fitted_on": {**images.facts, "part": "validation", "images": len(validation.images)},
        "validation_without": without,
    }
    fitted = replace(
        parent,
        temperature=calibration.temperature,
        bias=calibration.bias,
        threshold=threshold,
        validation=now,
        tta=tta,
    )
    return artifact.write(averaged, fitted, out)


def average_views(
    model: onnx.ModelProto, chosen: Sequence[tuple[int, int]], calibration: Calibration
) -> onnx.ModelProto:
    """A classifier's graph, run on several views of each image at once, any batch size.

    Args:
        model: Without metadata.
        chosen: From :func:`moves`; the first is (0, 0).
        calibration: From the mean logits to probabilities.

    Raises:
        ArtifactError: It has outputs that cannot be averaged.
    """
    from onnx import helper

    averaged = copy_model(model)
    graph = averaged.graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]]
        for value in (*graph.input, *graph.output)
    }
    if strangers := shapes.keys() - {"images", "logits", "probabilities", "features", "activations"}:
        raise ArtifactError(f"views cannot be averaged for the output {', '.join(sorted(strangers))}.")
    inner = {name: f"view/{name}" for name in shapes}
    for node in graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    views, (height, width, channels) = len(chosen), shapes["images"]
    pixels = np.arange(height * width).reshape(1, height, width, 1)
    table = np.concatenate([moved(pixels, move).reshape(1, -1) for move in chosen]).astype(np.int32)
    constants: dict[str, Any] = {
        "views/pixels": table,
        "views/flat": np.array([-1, height * width, channels]),
        "views/images": np.array([-1, height, width, channels]),
        "views/axis": np.array([1]),
        "views/first": np.array(0),
        "views/sharpness": np.float32(1 / calibration.temperature),
        "views/bias": np.array(calibration.bias, np.float32),
    }
    before = [
        helper.make_node("Reshape", ["images", "views/flat"], ["views/in"], name="views/flatten"),
        helper.make_node("Gather", ["views/in", "views/pixels"], ["views/made"], name="views/make", axis=1),
        helper.make_node("Reshape", ["views/made", "views/images"], [inner["images"]], name="views/shape"),
    ]
    after = []
    for name in ("logits", "features", "activations"):
        if name not in shapes:
            continue
        constants[f"views/{name}"] = np.array([-1, views, *shapes[name]])
        grouped = f"view/{name}/grouped"
        after.append(helper.make_node("Reshape", [inner[name], f"views/{name}"], [grouped], name=f"views/group_{name}"))
        if name == "activations":
            after.append(helper.make_node("Gather", [grouped, "views/first"], [name], name="views/unmoved", axis=1))
        else:
            mean = helper.make_node(
                "ReduceMean", [grouped, "views/axis"], [name], name=f"views/mean_{name}", keepdims=0
            )
            after.append(mean)
    after += [
        helper.make_node("Mul", ["logits", "views/sharpness"], ["views/scaled"], name="views/scale"),
        helper.make_node("Add", ["views/scaled", "views/bias"], ["views/shifted"], name="views/shift"),
        helper.make_node("Softmax", ["views/shifted"], ["probabilities"], name="views/softmax", axis=-1),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constant(name, np.asarray(value)) for name, value in constants.items())
    drop_unused(graph)  # The single view's own end.
    return averaged


def _check(
    model: onnx.ModelProto,
    averaged: onnx.ModelProto,
    chosen: Sequence[tuple[int, int]],
    calibration: Calibration,
    parent: Metadata,
) -> dict[str, float]:
    """The graph against views made by numpy, at batch 1 and 3."""
    single, whole = CpuRunner(serialise(model)), CpuRunner(serialise(averaged))

    def by_hand(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        logits = [single.run({"images": moved(rows["images"], move)})["logits"] for move in chosen]
        return calibration.probabilities(np.mean(logits, axis=0))

    inputs = {"images": phantom_images(3, parent.image)}
    tolerance = TOLERANCE[str(parent.precision["name"])][0]
    return check_parity(
        by_hand, lambda rows: whole.run(rows)["probabilities"], inputs, (1, 3), tolerance, reference="numpy's views"
    )


def _run(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    runner = CpuRunner(serialise(model))
    return np.concatenate([runner.run(batch)["logits"] for batch in _batches(images)])


def _batches(images: NDArray[np.uint8]) -> list[dict[str, NDArray[np.uint8]]]:
    return [{"images": images[start : start + _BATCH]} for start in range(0, len(images), _BATCH)]


def _fit(
    logits: NDArray[np.float32], validation: Decoded, parent: Metadata
) -> tuple[Calibration, float | None, dict[str, float]]:
    """Calibration, threshold and what they give on the images that they were fitted on, as training does it."""
    calibration = fit_calibration(logits, validation.labels)
    probabilities = calibration.probabilities(logits)
    positive, threshold = parent.classes.index(parent.positive), None
    if len(parent.classes) == 2:
        asked = parent.training.get("sensitivity")
        threshold = operating_threshold(validation.labels == positive, probabilities[:, positive], asked)
    rows = Rows.of(validation.labels, probabilities, positive=positive, threshold=threshold)
    once = np.ones((1, len(rows)))
    metrics = {name: float(statistic(rows, once)[0, 0]) for name, statistic in STATISTICS.items()}
    return calibration, threshold, metrics

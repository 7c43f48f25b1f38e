"""The generator: its images beside real ones, how they formed, and what the classifier says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medsynth.errors import DataError
from medsynth.evaluate.report.blocks import Block, Picture, Pictures, Points, Section, chart, photo, text
from medsynth.evaluate.report.figures import generator_curves
from medsynth.evaluate.report.history import filmstrips, read_series
from medsynth.evaluate.report.map_figure import map_figure
from medsynth.evaluate.report.sections.tables import (
    class_table,
    confusion_table,
    plugin_table,
    results_table,
    roc_picture,
    with_specificity,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from medsynth.evaluate.embedding import Embedding
    from medsynth.evaluate.generator import GeneratorReport
    from medsynth.evaluate.report.model import Report

__all__ = ["generator_section"]

_MOST_CLASSES = 12
"""Classes whose pictures are shown, so that a page stays small."""


def generator_section(report: Report, generator: GeneratorReport) -> Section:
    """Pictures, losses, the classifier's verdict and the metric plugins."""
    blocks: list[Block] = [
        text(
            f"The generator ({generator.model.plugin['name']}) makes images of {generator.model.image['height']} by "
            f"{generator.model.image['width']} pixels for a class that it is given. Below are the first images of each "
            f"class from seed {generator.seed}, not the best ones."
        ),
        Pictures(tuple(_grids(generator)), columns=1 if generator.real is None else 2),
    ]
    if len(generator.model.classes) > _MOST_CLASSES:
        blocks.append(Points((f"Pictures show the first {_MOST_CLASSES} of {len(generator.model.classes)} classes.",)))
    if generator.run is not None:
        blocks += _training(generator.run, generator.model.classes[:_MOST_CLASSES])
    blocks += _verdict(report, generator)
    blocks += _distances(generator)
    if generator.embedding is not None:
        blocks.append(Pictures((_map(generator, generator.embedding),)))
    return Section("generator", "Generator", tuple(blocks))


def _distances(generator: GeneratorReport) -> list[Block]:
    """One table for the feature space and one for images, so that no two spaces share a column."""
    space = generator.features
    captions = {
        space.name: f"Distances between generated and real images, in {space.name} ({space.dimensions:,} dimensions)",
        None: "Metrics of generated images",
    }
    tables: list[Block] = []
    for name, caption in captions.items():
        rows = [row for row in generator.metrics if row.space == name]
        if rows:
            tables.append(plugin_table(rows, generator.model.classes, caption=caption))
    return tables


def _map(generator: GeneratorReport, embedding: Embedding) -> Picture:
    return chart(
        map_figure(embedding, generator.model.classes),
        alt=f"Map of {len(embedding.points):,} real and generated images by their features.",
        caption=f"t-SNE of {generator.features.name}: near points are images that the network takes for alike. Where "
        "dots have no crosses among them, something real is not reached. Distances and areas mean nothing.",
    )


def _grids(generator: GeneratorReport) -> list[Picture]:
    pictures = []
    for index, name in enumerate(generator.model.classes[:_MOST_CLASSES]):
        made = _row(generator.generated[index])
        pictures.append(photo(made, alt=f"Generated images of class {name}.", caption=f"{name}, generated"))
        if generator.real is not None:
            real = _row(generator.real[index])
            pictures.append(
                photo(real, alt=f"Real training images of class {name}.", caption=f"{name}, real (training)")
            )
    return pictures


def _row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, h, w, c) to one picture (2h, n/2 w, c): two lines, so that images stay large on a narrow page."""
    half = len(images) // 2
    return np.concatenate([np.concatenate(list(line), axis=1) for line in (images[:half], images[half:])], axis=0)


def _training(run: Path, classes: tuple[str, ...]) -> list[Block]:
    blocks: list[Block] = []
    strips = [
        photo(path, alt=f"Images of class {name} as they form in training.", caption=f"{name}, first to last step")
        for name, path in filmstrips(run, classes).items()
    ]
    if strips:
        blocks += [
            text("How the images formed: each line follows one noise vector from the first training step to the last."),
            Pictures(tuple(strips)),
        ]
    try:
        series = read_series(run)
    except DataError as error:
        return [*blocks, Points((f"The losses cannot be shown: {error}",), warns=True)]
    steps = len(next(iter(series.values())))
    captions = {
        "loss": "Losses per step. They are a contest: neither side's loss says how good the images are.",
        "accuracy": "Accuracies per step, of the network that judges the images.",
    }
    pictures = tuple(
        chart(svg, alt=f"{name} over {steps} training steps.".capitalize(), caption=captions[name])
        for name, svg in generator_curves(series).items()
    )
    return [*blocks, Pictures(pictures, columns=2)]


def _verdict(report: Report, generator: GeneratorReport) -> list[Block]:
    scores, classes = generator.scores, generator.classifier.classes
    columns = [("Real, validation", generator.classifier.validation)]
    real = report.classifier
    if real is not None and real.model.content_hash == generator.classifier.content_hash:
        test = {metric: one.value for metric, one in with_specificity(real.scores) if one.value is not None}
        columns = [("Real, test", test)]
    columns += [(reference.label, reference.generator) for reference in report.references]
    notes = [f"{each.label}: {each.note}" for each in report.references if each.note and each.generator]
    picture = roc_picture(scores, classes, every=True, of="generated images")
    return [
        text(
            f"The classifier ({generator.classifier.file}) named the class of {scores.images:,} generated images; one "
            "counts as right when that is the class it was made for."
        ),
        results_table(
            scores,
            classes,
            columns,
            caption="The classifier's verdict on generated images",
            head="Generated",
            notes=notes,
        ),
        class_table(scores, classes),
        confusion_table(scores, classes, caption="Confusion matrix of generated images", row="Made for"),
        *([] if picture is None else [Pictures((picture,))]),
    ]

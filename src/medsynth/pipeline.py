"""The whole path in one call: train, export, infer, generate, evaluate, and one report.

    OUT/classifier.onnx   OUT/generator.onnx      the artefacts
    OUT/report.html       OUT/metrics.json        what they are worth
    OUT/predictions.csv   OUT/generated/          the test part classified, images made
    OUT/runs/classifier/  OUT/runs/generator/     the training runs
    OUT/config.toml                               the settings, for ``--config`` of another call

Everything after the export runs on onnxruntime alone. A second call with the same settings goes on where the first
was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tomli_w
from PIL import Image

from medsynth.config import ClassifierConfig, GeneratorConfig
from medsynth.dataset import Dataset, audit_dataset, load_dataset
from medsynth.evaluate import DataSummary, Reference, Report, evaluate_classifier, evaluate_generator, write_report
from medsynth.evaluate.generator import COLUMNS
from medsynth.export import export
from medsynth.infer import generate_images, load_classifier, load_sampler
from medsynth.infer.samples import MARK
from medsynth.outputs import atomic_write, ensure_folder
from medsynth.plugins import registry
from medsynth.progress import progress_bar
from medsynth.train.backend import require_tensorflow

__all__ = ["QUICKSTART_CLASSIFIER", "QUICKSTART_GENERATOR", "run_pipeline"]

QUICKSTART_CLASSIFIER = ClassifierConfig(
    backbone="vgg16",
    options={"weights": "none", "width": 0.25, "batch_norm": True, "head": "gap"},
    image_size=32,
    epochs=12,
    learning_rate=1e-3,
    schedule="constant",
    weight_decay=0.0,
    patience=12,
    noise=24.0,
)
"""VGG16 at a quarter of its width, from random weights. Every epoch is run, because the first ones jump about; noise,
because without it the grain of generated images decides what the classifier says of them."""

QUICKSTART_GENERATOR = GeneratorConfig(generator="acgan", image_size=32, steps=800, options={"augment_target": 0.0})
"""The default recipe at 32 pixels, a minute and a half on 2 cores. It is stopped early, when shapes are there and what
tells the classes apart is still forming. Every image is changed before the discriminator, because so few steps leave
the probability no time to adapt."""

_EVALUATED = 512
"""Generated images that are judged; more where the classes are so many that each would have fewer than a row."""


def run_pipeline(
    data: Dataset | str | Path,
    *,
    out: str | Path,
    classifier: ClassifierConfig,
    generator: GeneratorConfig,
    references: tuple[Reference, ...] = (),
    images: int = 64,
    tell: Callable[[str], None] = print,
) -> Report:
    """Run the whole path on a data set.

    Args:
        data: A data set, or what :func:`medsynth.load_dataset` takes.
        out: Folder of the results.
        classifier: How the classifier is trained.
        generator: How the generator is trained.
        references: Other people's numbers, shown beside these.
        images: How many generated images to write to ``OUT/generated``.
        tell: Takes one line about each stage.

    Returns:
        What the report says.

    Raises:
        MedsynthError: As the functions of the stages.
    """
    require_tensorflow("Running the whole path")
    from medsynth.train import train_classifier, train_generator

    # Before the classifier trains for hours: a mistyped option of the generator, too.
    registry().create("backbone", classifier.backbone, classifier.options)
    registry().create("generator", generator.generator, generator.options)
    folder = ensure_folder(out)
    data = load_dataset(data)
    tell(f"Data: {data!r}".replace("<", "").replace(">", ""))
    audit = audit_dataset(data)
    for finding in audit.findings:
        tell(f"  {finding.severity} {finding.code}: {finding.message}")

    trained = train_classifier(data, out=folder / "runs" / "classifier", config=classifier, resume=True)
    validation = trained.outcome["validation"]
    tell(
        f"Classifier: best epoch {trained.outcome['best_epoch'] + 1} of {trained.outcome['epochs']}, "
        f"validation AUC {validation['auc']:.3f}, {trained.outcome['seconds']:.0f} s"
    )
    model = load_classifier(export(trained, folder / "classifier.onnx"))

    made = train_generator(data, out=folder / "runs" / "generator", config=generator, resume=True)
    tell(f"Generator: {made.outcome['steps']} steps, {made.outcome['seconds']:.0f} s")
    # Only now: runs that stand there with other settings have refused these, and the file speaks for them.
    with atomic_write(folder / "config.toml") as temporary:
        temporary.write_text(tomli_w.dumps({"classifier": classifier.to_dict(), "generator": generator.to_dict()}))
    sampler = load_sampler(export(made, folder / "generator.onnx"))

    _forget_images(folder / "generated")
    generate_images(sampler, folder / "generated", images)

    with progress_bar("Classifying the test part", "images") as report:
        tested = evaluate_classifier(model, data, run=trained.folder, on_progress=report)
    tested.predictions.write(folder / "predictions.csv")
    with progress_bar("Judging generated images", "images") as report:
        count = max(_EVALUATED, COLUMNS * len(data.classes))
        judged = evaluate_generator(sampler, data, model, count=count, run=made.folder, on_progress=report)
    result = Report(data=DataSummary.of(data), audit=audit, classifier=tested, generator=judged, references=references)
    write_report(folder, result)
    return result


def _forget_images(folder: Path) -> None:
    """Remove what an earlier call generated, known by its mark; it may be another model's."""
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            ours = MARK in image.info
        if ours:
            path.unlink()
    for path in folder.glob("manifest-*.csv*"):
        path.unlink()

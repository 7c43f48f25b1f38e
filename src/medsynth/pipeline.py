"""The whole path in one call: train, export, infer, generate, evaluate, and one report.

    OUT/classifier.onnx   OUT/generator.onnx      the artefacts
    OUT/report.html       OUT/metrics.json        what they are worth
    OUT/predictions.csv   OUT/generated/          the test part classified, images made
    OUT/runs/classifier/  OUT/runs/generator/     the training runs

Everything after the export runs on onnxruntime alone. A second call with the same settings goes on where the first
was interrupted.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from medsynth.config import ClassifierConfig, GeneratorConfig
from medsynth.dataset import Dataset, audit_dataset, load_dataset
from medsynth.evaluate import DataSummary, Reference, Report, evaluate_classifier, evaluate_generator, write_report
from medsynth.export import export
from medsynth.infer import generate_folder, load_classifier, load_sampler
from medsynth.outputs import ensure_folder
from medsynth.progress import progress_bar
from medsynth.train.backend import require_tensorflow

__all__ = ["QUICKSTART_CLASSIFIER", "QUICKSTART_GENERATOR", "run_pipeline"]

QUICKSTART_CLASSIFIER = ClassifierConfig(
    backbone="vgg16",
    options={"weights": "none", "width": 0.25, "batch_norm": True},
    image_size=64,
    epochs=10,
    learning_rate=1e-3,
    patience=3,
)
"""VGG16 at a quarter of its width, from random weights: two minutes at most on 2 cores."""

QUICKSTART_GENERATOR = GeneratorConfig(generator="acgan", options={"recipe": "classic"}, image_size=64, steps=400)
"""The reports' AC-GAN, for as many steps as three minutes allow on 2 cores."""

_EVALUATED = 512


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
    sampler = load_sampler(export(made, folder / "generator.onnx"))

    model.predict(data.part("test")).write(folder / "predictions.csv")
    _forget_images(folder / "generated")
    generate_folder(sampler, folder / "generated", images)

    with progress_bar("Evaluating", "images") as report:
        result = Report(
            data=DataSummary.of(data),
            audit=audit,
            classifier=evaluate_classifier(model, data, run=trained.folder),
            generator=evaluate_generator(sampler, data, model, count=_EVALUATED, run=made.folder, on_progress=report),
            references=references,
        )
    write_report(folder, result)
    return result


def _forget_images(folder: Path) -> None:
    """Remove what an earlier call generated, by its manifests; they may be another model's."""
    for manifest in folder.glob("manifest-*.csv"):
        with manifest.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                (folder / row["path"]).unlink(missing_ok=True)
        manifest.unlink()

"""Models on data: a classifier on the test part, a generator by its images; results as one report.

Needs neither TensorFlow nor Keras. :func:`evaluate` does it all; :func:`evaluate_classifier` and
:func:`evaluate_generator` compute, :func:`write_report` writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.dataset import audit_dataset, load_dataset
from medsynth.evaluate.classifier import ClassifierReport, evaluate_classifier
from medsynth.evaluate.features import FeatureNetwork, FeatureSpace, Pixels, load_features
from medsynth.evaluate.generator import GeneratorReport, check_generator, evaluate_generator
from medsynth.evaluate.report import Reference, Report, write_report
from medsynth.evaluate.subjects import DataSummary
from medsynth.outputs import ensure_folder

if TYPE_CHECKING:
    from medsynth.dataset import Dataset
    from medsynth.evaluate.learners import Retrain
    from medsynth.evaluate.sides import HeldOut
    from medsynth.infer import Classifier, Sampler

__all__ = [
    "ClassifierReport",
    "DataSummary",
    "FeatureNetwork",
    "FeatureSpace",
    "GeneratorReport",
    "Pixels",
    "Reference",
    "Report",
    "evaluate",
    "evaluate_classifier",
    "evaluate_generator",
    "load_features",
    "write_report",
]


def evaluate(
    model: Classifier,
    data: Dataset | str | Path,
    generator: Sampler | None = None,
    *,
    out: str | Path | None = None,
    count: int = 512,
    seed: int = 0,
    features: FeatureNetwork | None = None,
    held_out: HeldOut = "validation",
    retrain: Retrain | None = None,
    classifier_run: Path | None = None,
    generator_run: Path | None = None,
    references: tuple[Reference, ...] = (),
) -> Report:
    """A classifier on the test part and, where one is given, a generator by that classifier's verdict.

    Args:
        model: A loaded classifier.
        data: The data set, or what :func:`medsynth.load_dataset` takes.
        generator: A loaded generator of the same classes.
        out: Folder for ``report.html`` and ``metrics.json``; ``None``: nothing is written but the record of the test
            part's use beside the model file.
        count: Images to generate.
        seed: Of their noise.
        features: In whose features distances are measured, from :func:`load_features`; ``None``: the classifier's own.
        held_out: Real images that show whether generated ones help and whether they give patients away:
            ``"validation"``, or ``"test"`` for the last look.
        retrain: The network that shows whether they help, from :func:`medsynth.train.retrainer`; ``None``: a probe.
        classifier_run: Folder of the classifier's training run; the report shows its curves.
        generator_run: Folder of the generator's training run; the report shows its losses and filmstrips.
        references: Columns for comparison.

    Returns:
        Everything the report says.

    Raises:
        ArtifactError: The classifier has no features and no other network is given.
        ConfigError: ``count`` is too small.
        DataError: Model, generator and data do not have the same classes, or there is no test part, or no training
            part for a generator.
        OutputError: ``out`` cannot be written to.
    """
    data = load_dataset(data)
    # What can be refused is refused before the test part is used, which is written down.
    if out is not None:
        ensure_folder(out)
    if generator is not None:
        check_generator(generator, data, model, count=count, features=features)
    report = Report(
        data=DataSummary.of(data),
        classifier=evaluate_classifier(model, data, run=classifier_run),
        generator=None
        if generator is None
        else evaluate_generator(
            generator,
            data,
            model,
            count=count,
            seed=seed,
            features=features,
            held_out=held_out,
            retrain=retrain,
            run=generator_run,
        ),
        audit=audit_dataset(data),
        references=references,
    )
    if out is not None:
        write_report(out, report)
    return report

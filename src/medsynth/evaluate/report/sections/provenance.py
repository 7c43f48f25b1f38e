"""What made the numbers, and what they must not be used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from medsynth.evaluate.report.blocks import Block, Cell, Points, Section, Table, Text

if TYPE_CHECKING:
    from medsynth.evaluate.generator import GeneratorReport
    from medsynth.evaluate.report.model import Report
    from medsynth.evaluate.subjects import ModelSummary
    from medsynth.metrics import Scores

__all__ = ["limits_section", "provenance_section"]

_FEW = 30


def provenance_section(report: Report) -> Section:
    """Models, software, machine."""
    models: dict[str, ModelSummary] = {}
    if report.classifier is not None:
        models["Classifier file"] = report.classifier.model
    if report.generator is not None:
        models.setdefault("Classifier file", report.generator.classifier)
        models["Generator file"] = report.generator.model
    blocks: list[Block] = [_model_table(role, model) for role, model in models.items()]
    made = {
        "Written": report.provenance.created,
        **{key.capitalize(): value for key, value in report.provenance.hardware.items()},
        **report.provenance.versions,
    }
    blocks.append(_pairs("This report", made))
    if report.provenance.plugins_left_out:
        blocks.append(Points(report.provenance.plugins_left_out, warns=True))
    return Section("provenance", "Provenance", tuple(blocks))


def limits_section(report: Report) -> Section:
    """Intended use in the words of the models, and what the numbers do not say."""
    models = [report.classifier.model] if report.classifier is not None else []
    models += [report.generator.model] if report.generator is not None else []
    uses = tuple(dict.fromkeys(f"{model.file}: {model.intended_use}" for model in models if model.intended_use))
    return Section("limits", "Model card: intended use and limitations", (Text(uses), Points(tuple(_limits(report)))))


def _limits(report: Report) -> Iterator[str]:
    yield "For research. None of this has been validated for diagnosis or any other clinical decision."
    yield (
        f"All numbers come from one data set ({report.data.source}). Images from another hospital, scanner or "
        "population may give quite different ones."
    )
    if report.data.groups is None:
        yield (
            "Patients are not known in these data. Intervals treat images as independent; where several are of one "
            "patient, the true uncertainty is larger."
        )
    if report.classifier is not None:
        yield from _small_sample(report.classifier.scores, report.classifier.model.classes)
        if report.classifier.maps:
            yield "This page shows real test images. Treat the file as you treat the data."
        if not report.classifier.familiar:
            yield (
                "The model file names another data set, or another split, as the one that it was trained on. If these "
                "test images were among its training images, the numbers are too good."
            )
    if report.generator is not None:
        yield from _generator_limits(report.generator)
        if report.generator.real is not None:
            yield "This page shows real training images. Treat the file as you treat the data."


def _generator_limits(generator: GeneratorReport) -> Iterator[str]:
    yield (
        "The verdict on generated images is one classifier's, trained on the same data as the generator: it says that "
        "the classes can be told apart. Distances are those of one network's features, which see what that network was "
        "trained to see."
    )
    yield (
        f"The four lights follow written rules that compare with real images at the same size; {generator.count:,} "
        f"images of seed {generator.seed} were judged, and other seeds give somewhat other numbers."
    )
    if generator.utility.part == "test":
        yield "The test part was used for utility and privacy: whatever is changed now was chosen by it."
    else:
        yield "Utility and privacy were tested on the validation part, on which the classifier's epoch was chosen."
    if generator.utility.learner == "probe":
        yield "Whether generated images help a whole network, and not a probe on features, was not tested."
    yield (
        "Tests of copying find copies of whole images, also where grey levels or details differ a little. They can "
        "miss copied parts, mirrored or shifted copies. No sign of copying is no proof of anonymity."
    )
    yield "Generated images carry a mark that says so. Do not mix them with clinical images, and do not diagnose them."


def _small_sample(scores: Scores, classes: tuple[str, ...]) -> Iterator[str]:
    if scores.grouped and scores.units < _FEW:
        yield f"The test part has only {scores.units} groups: intervals from so few are rough and tend to be narrow."
    rare = [name for name, counts in zip(classes, scores.confusion, strict=True) if counts.sum() < _FEW]
    if rare:
        yield f"Fewer than {_FEW} test images of {', '.join(rare)}: their numbers are rough."


def _model_table(role: str, model: ModelSummary) -> Table:
    image = model.image
    window = "none (8 bits)" if image["window"] is None else "{} to {}".format(*image["window"])
    facts: dict[str, Any] = {
        "File": model.file,
        "Content hash": model.content_hash,
        "Plugin": f"{model.plugin.get('name')} ({model.plugin.get('distribution')} {model.plugin.get('version')})",
        "Options": _say(model.plugin.get("options", {})),
        "Images": f"{image['height']} x {image['width']} x {image['channels']}, window {window}",
        "Precision": model.precision,
        "Device": model.device,
        "Threshold": "none" if model.threshold is None else f"{model.threshold:.4f}",
        "Temperature": "none" if model.temperature is None else f"{model.temperature:.4f}",
        "Calibration bias": "none" if model.bias is None else ", ".join(f"{value:.4f}" for value in model.bias),
        "Trained on": f"{model.data.get('source')}, fingerprint {model.data.get('fingerprint')}",
        "Training": _say(model.training),
        "Made with": _say(model.versions),
    }
    return _pairs(role, facts)


def _pairs(caption: str, facts: Mapping[str, Any]) -> Table:
    rows = tuple((Cell(key), Cell(str(value))) for key, value in facts.items())
    return Table(caption, ("Fact", "Value"), rows, folded=True, style="facts")


def _say(fields: Mapping[str, Any]) -> str:
    said = (f"{key} {_say(value) if isinstance(value, Mapping) else value}" for key, value in fields.items())
    return ", ".join(said) or "none"

"""The first screen: the numbers that matter, and what they mean in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medsynth.evaluate.report.blocks import Block, Lamp, Lights, Section, Text, Tile, Tiles
from medsynth.evaluate.report.words import chosen_by_validation, count, interval, join, number, percent, unit
from medsynth.metrics import Estimate

if TYPE_CHECKING:
    from medsynth.evaluate.answers import Answer
    from medsynth.evaluate.classifier import ClassifierReport
    from medsynth.evaluate.generator import GeneratorReport
    from medsynth.evaluate.report.model import Report


__all__ = ["summary_section"]


def summary_section(report: Report) -> Section:
    """Tiles and sentences."""
    sentences = [*_classifier_sentences(report.classifier), *_generator_sentences(report)]
    blocks: list[Block] = [Tiles(tuple(_tiles(report))), Text(tuple(sentences))]
    if report.generator is not None:
        blocks.append(Lights(tuple(_lamp(answer) for answer in report.generator.answers)))
    return Section("summary", "Summary", tuple(blocks))


_QUESTIONS = {
    "fidelity": "Do generated images look real?",
    "diversity": "Do they cover what is real?",
    "utility": "Do they help to train?",
    "privacy": "Do they keep patients private?",
}


def _lamp(answer: Answer) -> Lamp:
    return Lamp(_QUESTIONS[answer.question], answer.light, answer.sentence)


def _tiles(report: Report) -> Iterator[Tile]:
    if report.classifier is not None:
        scores = report.classifier.scores
        yield Tile("Test AUC", number(scores.overall["auc"].value), _range(scores.overall["auc"]))
        accuracy = scores.overall["accuracy"]
        yield Tile("Test accuracy", percent(accuracy.value), _range(accuracy, as_percent=True))
        yield Tile("Test part", f"{scores.images:,}", unit(scores).removeprefix(f"{scores.images:,} "))
    if report.generator is not None:
        accuracy = report.generator.scores.overall["accuracy"]
        yield Tile("Generated images recognised", percent(accuracy.value), _range(accuracy, as_percent=True))
        if report.classifier is None:
            yield Tile("Generated images", f"{report.generator.count:,}", f"seed {report.generator.seed}")


def _range(estimate: Estimate, *, as_percent: bool = False) -> str:
    text = interval(estimate, as_percent=as_percent)
    return f"95 % interval {text}" if text else "no interval"


def _bracket(estimate: Estimate) -> str:
    text = interval(estimate, as_percent=True)
    return f" (95 % interval {text})" if text else ""


def _classifier_sentences(report: ClassifierReport | None) -> Iterator[str]:
    if report is None:
        return
    scores, classes = report.scores, report.model.classes
    where = (
        "that took no part in training"
        if report.familiar
        else "of another data set, or another split of it, than the model was trained on"
    )
    area = scores.overall["auc"]
    range_ = f" (95 % interval {interval(area)})" if interval(area) else ""
    accuracy = scores.overall["accuracy"]
    if scores.positive is None:
        yield (
            f"On {unit(scores)} {where}, the classifier tells {join(classes)} apart with a mean one-against-rest AUC "
            f"of {number(area.value)}{range_}; 0.5 is guessing, 1 is perfect. It names the right class for "
            f"{percent(accuracy.value)}{_bracket(accuracy)} of them."
        )
        found = {name: one.value for name, one in zip(classes, scores.per_class["recall"], strict=True)}
        defined = {name: value for name, value in found.items() if value is not None}
        worst = min(defined, key=lambda name: defined[name])
        yield f"The class that it misses most is {worst}: it finds {percent(defined[worst])} of those images."
    else:
        positive, negative = classes[scores.positive], classes[1 - scores.positive]
        hits, missed = scores.confusion[scores.positive, [scores.positive, 1 - scores.positive]]
        calls = scores.confusion[:, scores.positive].sum()
        rule = (
            "Deciding for the more probable class"
            if scores.threshold is None
            else f"Calling {positive} from a probability of {number(scores.threshold)} on"
        )
        yield (
            f"On {unit(scores)} {where}, the classifier tells {positive} from {negative} with an AUC of "
            f"{number(area.value)}{range_}; 0.5 is guessing, 1 is perfect. {rule}, it is right for "
            f"{percent(accuracy.value)}{_bracket(accuracy)} of the images: it finds {hits} of {hits + missed} "
            f"{positive} images, and {hits} of its {count(int(calls), 'call')} of {positive} are right."
        )
    yield from _validation_sentence(report)
    if report.uses > 1:
        yield (
            f"This test part has now been used {report.uses} times with this model file. Numbers that were looked at "
            "before a choice was made are better than the model is."
        )


def _validation_sentence(report: ClassifierReport) -> Iterator[str]:
    before, now = report.model.validation.get("accuracy"), report.scores.overall["accuracy"]
    if not isinstance(before, int | float) or now.low is None or now.high is None:
        return
    said = (
        f"On the validation part the accuracy was {percent(before)} (slightly optimistic, because the same images "
        f"chose {chosen_by_validation(report.model)})"
    )
    if before > now.high:
        yield (
            f"{said}, which is above the test part's interval: the model, or its settings, fit the data it was chosen "
            "on better than new data."
        )
    elif before >= now.low:
        yield f"{said}, in line with the test."


def _generator_sentences(report: Report) -> Iterator[str]:
    generator = report.generator
    if generator is None:
        return
    scores, classes = generator.scores, generator.classifier.classes
    accuracy = scores.overall["accuracy"]
    shares = [f"{percent(one.value)} for {name}" for name, one in zip(classes, scores.per_class["recall"], strict=True)]
    yield (
        f"Of {count(generator.count, 'generated image')}, the classifier recognises {percent(accuracy.value)}"
        f"{_bracket(accuracy)} as the class they were made for ({join(shares)}); chance is {percent(1 / len(classes))}."
    )
    yield from _compare_with_real(generator, report.classifier, accuracy)
    failed = [row.name for row in generator.metrics if row.error is not None]
    if failed:
        yield f"These metrics gave no number, and their rows say why: {join(failed)}."


def _compare_with_real(
    generator: GeneratorReport, classifier: ClassifierReport | None, accuracy: Estimate
) -> Iterator[str]:
    chance = 1 / len(generator.classifier.classes)
    same = classifier is not None and classifier.model.content_hash == generator.classifier.content_hash
    on_real = classifier.scores.overall["accuracy"] if classifier is not None and same else Estimate(None)
    if accuracy.low is not None and accuracy.low <= chance:
        area = generator.scores.overall["auc"]
        if on_real.low is not None and on_real.low <= chance:
            yield "That is not better than chance, but neither is it on real test images: it says nothing of them."
        elif area.low is not None and area.low > 0.5:
            where = "on one side of the threshold" if chance == 0.5 else "mostly highest for one of them"
            yield (
                f"That is not better than chance, yet its probabilities tell the classes apart (AUC {area.value:.3f}): "
                f"they are {where}."
            )
        else:
            yield "That is not better than chance: the generator has not learned what tells the classes apart."
        return
    real = on_real.value
    if real is None or accuracy.value is None:
        return
    if accuracy.value > real:
        yield (
            f"On real test images it is right for {percent(real)}. That generated images are recognised more often "
            "means that they are more typical of their class than real ones, not that they are better."
        )
    else:
        yield f"On real test images it is right for {percent(real)}."

"""Two evaluated generators side by side, from the ``metrics.json`` of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medsynth.errors import DataError
from medsynth.evaluate.answers import Answer
from medsynth.evaluate.comparison import ComparedAnswer, ComparedRow, Comparison, Number, Subject

__all__ = ["compare_evaluations"]

_READABLE = 1

_ORDER = ("verdict", "features", "images", "utility", "privacy")

_Key = tuple[str, str, str | None]
"""Group, name, and the content hash of the network (or ``pixels``): numbers with one key can be compared."""

_Found = tuple[bool | None, str | None, Number]
"""Whether higher is better, the name of the space, and the number."""


def compare_evaluations(first: str | Path, second: str | Path) -> Comparison:
    """Read two folders of :func:`medsynth.evaluate.write_report` and pair their numbers.

    Raises:
        DataError: A folder holds no ``metrics.json`` of a generator with this schema.
    """
    folders = [Path(first), Path(second)]
    sides = [_read(folder) for folder in folders]
    numbers = [dict(_numbers(side["generator"])) for side in sides]
    keys = list(dict.fromkeys([*numbers[0], *numbers[1]]))
    rows = [
        _pair(key, *(side.get(key) for side in numbers)) for key in sorted(keys, key=lambda key: _ORDER.index(key[0]))
    ]
    answers = [{each["question"]: Answer(**each) for each in side["generator"]["answers"]} for side in sides]
    hashes = [side["generator"]["features"]["content_hash"] for side in sides]
    subjects = [_subject(folder, side["generator"]) for folder, side in zip(folders, sides, strict=True)]
    return Comparison(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        first=subjects[0],
        second=subjects[1],
        same_features=hashes[0] == hashes[1],
        answers=tuple(
            ComparedAnswer(question=question, first=answer, second=answers[1][question])
            for question, answer in answers[0].items()
            if question in answers[1]
        ),
        rows=tuple(rows),
        warnings=tuple(_warnings(*sides)),
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        schema, generator = fields["schema"], fields["generator"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: must be what medsynth evaluate generator wrote, but cannot be read ({error}). Name its folder."
        ) from None
    # What reports have had since learners can be retrained; an earlier one has no answers, or a probe without a name.
    if schema != _READABLE or not generator or "learner" not in generator.get("utility", {}):
        raise DataError(
            f"{path}: must hold an evaluated generator, schema {_READABLE}. Got schema {schema} and "
            f"{'none' if not generator else 'one of an earlier version'}. Evaluate the generator again."
        )
    return dict(fields)


def _subject(folder: Path, generator: Mapping[str, Any]) -> Subject:
    model = generator["model"]
    return Subject(
        name=folder.resolve().name,
        model=model["file"],
        content_hash=model["content_hash"],
        count=generator["count"],
        seed=generator["seed"],
    )


def _numbers(generator: Mapping[str, Any]) -> Iterator[tuple[_Key, _Found]]:
    """Every number under what must be the same for it to be compared."""
    network, judge = generator["features"]["content_hash"], generator["classifier"]["content_hash"]
    for name, estimate in generator["overall"].items():
        better = name not in {"loss", "brier", "calibration_error"}
        yield ("verdict", name, judge), (better, generator["classifier"]["file"], Number(**estimate))
    for row in generator["metrics"]:
        key = ("images", row["name"], None) if row["space"] is None else ("features", row["name"], network)
        yield key, (row["higher_is_better"], row["space"], _number(row, real=row["real"]))
    space, taught = generator["utility"]["space"], network
    if generator["utility"]["learner"] != "probe":
        taught = generator["utility"]["description"]
    for arm in generator["utility"]["arms"]:
        name = f"{arm['name']}, tested on {arm['tested_on']}"
        if arm["name"] == "real + generated":
            name = f"{name}, {arm['real']} + {arm['added']}"
        for measure, said in (("auc", "AUC"), ("gain", "gain in AUC")):
            estimate = arm[measure]
            if arm["error"] or estimate["value"] is not None:
                yield (
                    ("utility", f"{said}: {name}", taught),
                    (True, space or taught, Number(**estimate, error=arm["error"])),
                )
    for row in generator["privacy"]["rows"]:
        where = row["space"]
        place = network if where == generator["features"]["name"] else judge if where is None else where
        yield ("privacy", row["name"], place), (None, where, _number(row, real=row["control"]))


def _number(row: Mapping[str, Any], real: float | None) -> Number:
    return Number(value=row["value"], low=row["low"], high=row["high"], real=real, error=row["error"])


def _pair(key: _Key, first: _Found | None, second: _Found | None) -> ComparedRow:
    group, name, network = key
    found = first or second
    assert found is not None
    return ComparedRow(
        group=group,
        name=name,
        space=found[1],
        network=network,
        higher_is_better=found[0],
        first=None if first is None else first[2],
        second=None if second is None else second[2],
    )


def _warnings(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    one, other = first["generator"], second["generator"]
    if one["features"]["content_hash"] != other["features"]["content_hash"]:
        yield (
            f"Distances were measured in two feature spaces ({one['features']['name']}; {other['features']['name']}): "
            "none of them can be compared. Evaluate both with one --features."
        )
    if one["classifier"]["content_hash"] != other["classifier"]["content_hash"]:
        yield "Two classifiers judged: their verdicts cannot be compared. Evaluate both with one --classifier."
    if first["data"]["fingerprint"] != second["data"]["fingerprint"]:
        yield "The real images are two data sets, or two splits of one: no number can be compared."
    if one["utility"]["description"] != other["utility"]["description"]:
        learners = f"{one['utility']['description']}; {other['utility']['description']}"
        yield f"Utility was measured with two learners ({learners}): neither numbers nor lights of it can be compared."
    if one["count"] != other["count"]:
        counts = f"{one['count']:,} and {other['count']:,}"
        yield f"Unequal numbers of images, {counts}: fid, vendi and the gain depend on them."
    if one["privacy"]["part"] != other["privacy"]["part"]:
        yield f"Held-out images are of the {one['privacy']['part']} part and of the {other['privacy']['part']} part."

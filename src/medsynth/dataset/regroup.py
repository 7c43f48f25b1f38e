"""New groups and a new split for a data set, from what it says or shows about patients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from medsynth.dataset.audit.facts import read_facts
from medsynth.dataset.audit.look_alikes import find_look_alikes, number_groups
from medsynth.dataset.audit.survey import survey_dataset
from medsynth.dataset.folds import block_names
from medsynth.dataset.rows import some
from medsynth.dataset.split import FRACTIONS, VALIDATION_FRACTION, split_rows
from medsynth.dataset.table import Skipped
from medsynth.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from medsynth.dataset.table import Dataset

__all__ = ["Grouping", "group_dataset", "split_dataset"]

Grouping: TypeAlias = Literal["group", "regex", "patient", "duplicates", "blocks"]
"""How rows are put together: see :func:`group_dataset`."""


def split_dataset(
    data: Dataset,
    by: Grouping,
    *,
    pattern: str | None = None,
    fractions: Mapping[str, float] | None = None,
    keep_test: bool = False,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Group a data set and deal its groups into train, validation and test, stratified by class.

    The parts that it had are not regarded, unless its test part is kept. :meth:`Dataset.to_csv` writes the result down.

    Args:
        data: The data set.
        by: How to group it; see :func:`group_dataset`.
        pattern: For ``regex``.
        fractions: Share of each part; they sum to 1. By default 0.70, 0.15 and 0.15; with ``keep_test`` 0.85 for
            ``train`` and 0.15 for ``validation`` of the rest.
        keep_test: Keep the test part as it is and deal out only the rest. Images of the rest that belong to a group of
            test images are left out (``skipped`` names them): in training they would give the test part away.
        seed: Decides between equally good ways to deal.
        on_progress: Called with (images done, images in all) where images must be read.

    Raises:
        ConfigError: As :func:`group_dataset`; or the fractions do not sum to 1.
        DataError: As :func:`group_dataset`; or there is no test part to keep, or nothing besides it.
    """
    usual = {"train": 1 - VALIDATION_FRACTION, "validation": VALIDATION_FRACTION} if keep_test else FRACTIONS
    shares = dict(usual if fractions is None else fractions)
    if set(shares) != set(usual) or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ConfigError(f"fractions must be above 0 and sum to 1, for {', '.join(usual)}. Got {shares}.")
    if keep_test and "test" not in data.split:
        raise DataError(f"{data.source}: has no test part to keep. Split it without that.")
    grouped = group_dataset(data, by, pattern=pattern, on_progress=on_progress)
    assert grouped.groups is not None
    if not keep_test:
        return replace(grouped, split=tuple(split_rows(data.labels, grouped.groups, shares, seed=seed)))
    tested = {group for group, part in zip(grouped.groups, data.split, strict=True) if part == "test"}
    rest = [row for row, group in enumerate(grouped.groups) if group not in tested]
    if not rest:
        raise DataError(f"{data.source}: every image belongs with test images, so nothing is left to train on.")
    dealt = split_rows(data.labels[rest], [grouped.groups[row] for row in rest], shares, seed=seed)
    parts = {row: "test" for row, part in enumerate(data.split) if part == "test"}
    parts |= dict(zip(rest, dealt, strict=True))
    left_out = tuple(
        Skipped(data.names[row], f"belongs to the group {grouped.groups[row]} of test images")
        for row in range(len(data))
        if row not in parts
    )
    kept = sorted(parts)
    chosen = grouped.take(kept)
    return replace(chosen, split=tuple(parts[row] for row in kept), skipped=(*chosen.skipped, *left_out))


def group_dataset(
    data: Dataset,
    by: Grouping,
    *,
    pattern: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Put together what must stay in one part.

    Args:
        data: The data set; its own parts become all ``train``, since groups may lie across them.
        by: ``group``: the groups that it has. ``regex``: rows with the same match of ``pattern`` in their name.
            ``patient``: DICOM PatientID, numbered, so that no identifier is written. ``duplicates``: exact and near
            duplicates, and look-alikes among neighbouring names (see the audit). ``blocks``: about 20 runs of
            consecutive names for each class.
        pattern: A regular expression, searched in each name; its first bracket is the group, else the whole match.
        on_progress: Called with (images done, images in all) where images must be read.

    Raises:
        ConfigError: ``pattern`` is missing, superfluous or not a regular expression; or there is no such grouping.
        DataError: The data have no such information for some rows.
    """
    if by not in get_args(Grouping):
        raise ConfigError(f"by must be one of {', '.join(get_args(Grouping))}. Got '{by}'.")
    if (pattern is not None) != (by == "regex"):
        raise ConfigError(
            "grouping by 'regex' needs a pattern, such as '^(\\w+)_'."
            if pattern is None
            else f"a pattern is for grouping by 'regex'. Got it with '{by}'."
        )
    if by == "group":
        if data.groups is None:
            raise DataError(f"{data.source}: has no groups. Give a group column, or group by regex or duplicates.")
        groups = data.groups
    elif by == "regex":
        groups = _by_regex(data, str(pattern))
    elif by == "patient":
        groups = _by_patient(data)
    elif by == "blocks":
        groups = block_names(replace(data, groups=None))
    else:
        groups = _by_likeness(data, on_progress)
    return replace(data, groups=groups, split=("train",) * len(data))


def _by_regex(data: Dataset, pattern: str) -> tuple[str, ...]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"the pattern must be a regular expression. Got '{pattern}': {error}.") from None
    matches = [compiled.search(name) for name in data.names]
    groups = tuple((match[1 if compiled.groups else 0] or "") if match else "" for match in matches)
    # An empty group, as of a bracket that took no part, would join patients that have nothing in common.
    if lost := [name for name, group in zip(data.names, groups, strict=True) if not group]:
        raise DataError(
            f"{data.source}: the pattern '{pattern}' must match every name, and its group not be empty. It misses "
            f"{len(lost)}: {some(lost)}."
        )
    return groups


def _by_patient(data: Dataset) -> tuple[str, ...]:
    patients = [read_facts(image).patient for image in data.images]
    if lost := [name for name, patient in zip(data.names, patients, strict=True) if not patient]:
        raise DataError(
            f"{data.source}: grouping by patient needs DICOM files with a PatientID. {len(lost)} without: "
            f"{some(lost)}. Give a group column, or group by regex or duplicates."
        )
    return number_groups(patients, "patient")


def _by_likeness(data: Dataset, on_progress: Callable[[int, int], None] | None) -> tuple[str, ...]:
    survey = survey_dataset(data, on_progress=on_progress)
    keys: list[object] = [f"unreadable {row}" for row in range(len(data))]
    alike = find_look_alikes(data.take(survey.rows), survey)
    for row, cluster in zip(survey.rows.tolist(), alike.cluster.tolist(), strict=True):
        keys[row] = cluster
    return number_groups(keys, "look-alike")

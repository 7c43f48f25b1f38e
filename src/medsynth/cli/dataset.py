"""``medsynth dataset``: look at a data set before training on it, and split it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsynth.cli.settings import Data, Positive

if TYPE_CHECKING:
    from medsynth.dataset.audit import Audit

__all__ = ["app"]

_EXAMPLES = 3

app = typer.Typer(no_args_is_help=True, help="Look at a data set before training on it, and split it.")


class FailOn(StrEnum):
    """Severities that can make ``audit`` fail."""

    WARNING = "warning"
    ERROR = "error"


class By(StrEnum):
    """What is kept together by ``split``."""

    GROUP = "group"
    REGEX = "regex"
    PATIENT = "patient"
    DUPLICATES = "duplicates"
    BLOCKS = "blocks"


@app.command()
def audit(
    data: Data,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the findings as JSON.")] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 where there is a finding of this severity or worse.")
    ] = None,
) -> None:
    """Find copies across the split, shortcuts, flattering splits, unreadable files and other traps.

    Example: medsynth dataset audit scans/ --json audit.json --fail-on error
    """
    from medsynth.dataset import audit_dataset, load_dataset
    from medsynth.errors import CheckFailedError
    from medsynth.outputs import ensure_file, write_json
    from medsynth.progress import progress_bar

    if json is not None:
        ensure_file(json)  # Told before the work, not after it.
    table = load_dataset(data)
    with progress_bar("audit", "images") as report:
        result = audit_dataset(table, on_progress=lambda done, total: report(done, total, {}))
    if json is not None:
        write_json(json, result.to_dict())
    _show(result)
    if fail_on is not None and (failing := result.at_least(fail_on.value)):
        codes = ", ".join(finding.code for finding in failing)
        raise CheckFailedError(
            f"{result.source}: the audit has findings of severity {fail_on.value} or worse: {codes}. "
            "Mend the data as advised, or choose another --fail-on."
        )


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="The CSV to write; with --folds, a folder of them.")],
    by: Annotated[
        By,
        typer.Option(
            help="What stays together: the group column, a regular expression on the path, the DICOM PatientID, exact "
            "and near duplicates and look-alike neighbours, or blocks of consecutive names."
        ),
    ] = By.GROUP,
    pattern: Annotated[
        str | None, typer.Option(help="For --by regex; its first bracket is the group, else the whole match.")
    ] = None,
    validation: Annotated[
        float | None, typer.Option(min=0.01, max=0.9, help="Share of the validation part; 0.15 unless given.")
    ] = None,
    test: Annotated[
        float | None, typer.Option(min=0.01, max=0.9, help="Share of the test part; 0.15 unless it is kept.")
    ] = None,
    keep_test: Annotated[
        bool, typer.Option("--keep-test", help="Keep the given test part; --validation is a share of the rest.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Write one CSV for each fold of a cross-validation, with 0.15 of the rest as validation part.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of the cross-validation, each dealt anew.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Decides between equally good splits.")] = 0,
    positive: Positive = None,
) -> None:
    """Write a split that keeps patients together, as a CSV that every command takes as DATA.

    Example: medsynth dataset split scans/ --by regex --pattern "(patient[0-9]+)" --out split.csv
    """
    from medsynth.dataset import fold_datasets, group_dataset, load_dataset, split_dataset
    from medsynth.dataset.rows import counted
    from medsynth.errors import ConfigError
    from medsynth.progress import progress_bar

    if keep_test and (test is not None or folds is not None):
        raise ConfigError("--keep-test keeps the test part as it is. Omit --test and --folds, or omit --keep-test.")
    if folds is not None and (validation is not None or test is not None):
        raise ConfigError(
            "with --folds each fold is a test part and 0.15 of the rest the validation part. Omit --validation and "
            "--test, or omit --folds."
        )
    table = load_dataset(data, positive=positive)
    with progress_bar("look-alikes", "images") as report:

        def tell(done: int, total: int) -> None:
            report(done, total, {})

        if folds is None:
            shares = {"validation": validation or 0.15} | ({} if keep_test else {"test": test or 0.15})
            shares["train"] = 1.0 - sum(shares.values())
            dealt = split_dataset(
                table,
                by.value,
                pattern=pattern,
                fractions=shares,
                keep_test=keep_test,
                seed=seed,
                on_progress=tell,
            )
        else:
            dealt = group_dataset(table, by.value, pattern=pattern, on_progress=tell)
    groups = len(set(dealt.groups or ()))
    if folds is None:
        dealt.to_csv(out)
        counts = ", ".join(f"{part} {dealt.split.count(part)}" for part in ("train", "validation", "test"))
        lost = len(table) - len(dealt)
        left_out = f" Left out: {counted(lost, 'image')} of groups in the test part." if lost else ""
        typer.echo(f"{out}: {len(dealt)} images in {groups} groups; {counts}.{left_out}")
        return
    for fold in fold_datasets(dealt, folds=folds, repeats=repeats, seed=seed):
        fold.data.to_csv(out / f"repeat-{fold.repeat}-fold-{fold.index}.csv")
    typer.echo(f"{out}: {folds * repeats} CSV files; {len(dealt)} images in {groups} groups.")


def _show(audit: Audit) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from medsynth.dataset.rows import counted

    console = Console()
    console.print(f"{audit.source}: {counted(audit.images, 'image')}", markup=False, highlight=False)
    for part, counts in audit.parts.items():
        classes = ", ".join(f"{name} {count}" for name, count in counts.items())
        console.print(f"  {part}: {classes}", markup=False, highlight=False)
    if not audit.findings:
        console.print("Nothing found.")
        return
    table = Table("finding", "what was found, where, and what to do", show_lines=True)
    colour = {"info": "blue", "warning": "yellow", "error": "red"}
    for finding in audit.findings:
        title = Text.assemble((finding.severity, colour[finding.severity]), "\n", finding.code)
        title.no_wrap = True
        examples = [f"- {_flat(entry)}" for entry in finding.evidence.get("examples", ())[:_EXAMPLES]]
        table.add_row(title, Text("\n".join([finding.message, *examples, finding.advice])))
    console.print(table)


def _flat(entry: Any) -> str:
    """One example of the evidence in one line: names, reasons and numbers in the order in which they stand."""
    if isinstance(entry, dict):
        return ", ".join(_flat(value) for value in entry.values())
    if isinstance(entry, list | tuple):
        return " x ".join(map(str, entry)) if all(isinstance(value, int) for value in entry) else ", ".join(entry)
    return f"{entry:.3f}" if isinstance(entry, float) else str(entry)

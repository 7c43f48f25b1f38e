"""``medsynth plugins list | show | check``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsynth.cli.settings import Options

if TYPE_CHECKING:
    from medsynth.plugins import PluginRecord, Registry
    from medsynth.testing import CheckOutcome

__all__ = ["app"]

app = typer.Typer(help="Look at the plugins that are installed.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a backbone, generator or metric, as `list` shows it.")]


@app.command("list")
def list_plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a plugin is broken.")] = False,
) -> None:
    """List every plugin, and those that were left out with the reason. Imports none of the networks.

    Example: medsynth plugins list --strict --json
    """
    from medsynth.errors import CheckFailedError
    from medsynth.plugins import registry

    found = registry()
    if as_json:
        typer.echo(json.dumps(_listing(found), indent=2))
    else:
        _show_listing(found)
    if strict and found.failures:
        names = ", ".join(failure.plugin for failure in found.failures)
        raise CheckFailedError(
            f"{len(found.failures)} left out: {names}. Mend or uninstall, or name them in MEDSYNTH_DISABLE_PLUGINS."
        )


@app.command()
def show(name: Name) -> None:
    """Show a plugin's summary, options with defaults, distribution and version.

    Example: medsynth plugins show vgg16
    """
    from medsynth.plugins import registry

    for record in registry().search(name):
        _show_plugin(registry(), record)


@app.command()
def check(name: Name, option: Options = None) -> None:
    """Run the conformance kit over a plugin. Exit 1 if a check fails. Needs no pytest.

    Example: medsynth plugins check vgg16 -O width=0.125
    """
    from medsynth.config import parse_assignments
    from medsynth.errors import CheckFailedError
    from medsynth.plugins import registry
    from medsynth.progress import progress_bar
    from medsynth.testing import Subject, checks, run_checks

    options = parse_assignments(option or ())
    failed = []
    for record in registry().search(name):
        subject = Subject(kind=record.kind, name=name, options=options)
        total = len(checks(record.kind))
        if options:
            subject.create()  # A mistyped option is the caller's fault, not the plugin's.
        outcomes: list[CheckOutcome] = []
        with progress_bar(f"checking {record.kind} {name}", "checks") as report:
            for outcome in run_checks(subject):
                outcomes.append(outcome)
                report(len(outcomes), total, {})
        _show_outcomes(record, outcomes)
        failed += [outcome.name for outcome in outcomes if not outcome.passed]
    if failed:
        raise CheckFailedError(f"'{name}' fails {len(failed)} of its checks: {', '.join(failed)}.")


def _listing(found: Registry) -> dict[str, Any]:
    from medsynth.plugins import PLUGIN_API

    return {
        "schema": 1,
        "api": PLUGIN_API,
        "plugins": [dataclasses.asdict(record) for record in found.records()],
        "failures": [
            {
                "plugin": failure.plugin,
                "distribution": failure.distribution,
                "stage": failure.stage,
                "error": failure.reason,
            }
            for failure in found.failures
        ],
    }


def _show_listing(found: Registry) -> None:
    rows = [
        (record.kind, record.name, record.summary, f"{record.distribution} {record.version}")
        for record in found.records()
    ]
    _print_table("plugins", ("kind", "name", "summary", "distribution"), rows)
    if found.failures:
        broken = [(each.plugin, each.distribution, each.stage, each.reason) for each in found.failures]
        _print_table("left out", ("plugin", "distribution", "failed at", "reason"), broken, style="red")


def _show_plugin(found: Registry, record: PluginRecord) -> None:
    from medsynth.plugins.options import describe_options
    from medsynth.train.backend import require_tensorflow

    typer.echo(f"{record.kind} {record.name}: {record.summary}")
    typer.echo(f"from {record.distribution} {record.version}, plugin API {record.api}, hooks in {record.hooks}")
    if record.kind != "metric":
        require_tensorflow(f"showing the options of {record.kind} '{record.name}'")
    cls: Any = found.get(record.kind, record.name)
    if record.kind == "metric":
        better = {True: "higher is better", False: "lower is better", None: "no better side"}[cls.higher_is_better]
        typer.echo(f"takes {cls.inputs}; {better}; punishes {cls.punishes}")
    options = describe_options(cls)
    if not options:
        typer.echo("no options")
        return
    rows = [(option.name, option.type, repr(option.default), option.doc.replace("``", "")) for option in options]
    _print_table("options (-O option=value)", ("option", "type", "default", "meaning"), rows)


def _show_outcomes(record: PluginRecord, outcomes: list[CheckOutcome]) -> None:
    rows = [("ok" if each.passed else "FAILED", each.name, f"{each.seconds:.1f} s", each.detail) for each in outcomes]
    _print_table(f"{record.kind} {record.name}", ("", "check", "time", "found"), rows)


def _print_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], style: str = "") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", style=style)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, "red" if row[0] == "FAILED" else "") for cell in row))
    Console().print(table)

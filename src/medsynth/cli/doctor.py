"""``medsynth doctor``."""

from __future__ import annotations

import typer

__all__ = ["doctor"]

_COLOURS = {"ok": typer.colors.GREEN, "absent": typer.colors.BRIGHT_BLACK, "problem": typer.colors.RED}


def doctor() -> None:
    """Say what is installed, which devices really work, and the command that mends what does not.

    Exit 1 if something is broken; an optional part or a device that is not there is no failure.

    Example: medsynth doctor
    """
    from medsynth.errors import CheckFailedError
    from medsynth.infer.doctor import examine

    findings = examine()
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        status = typer.style(f"{finding.status:8}", fg=_COLOURS[finding.status])
        typer.echo(f"{status} {finding.subject:{width}}  {finding.detail}")
        if finding.cure:
            # A line of its own, never wrapped: it is there to be copied.
            typer.echo(f"{'':8} {'':{width}}  -> {finding.cure}")
    problems = [finding for finding in findings if finding.status == "problem"]
    if problems:
        raise CheckFailedError(f"{problems[0].subject}: {problems[0].detail}. {problems[0].cure}")

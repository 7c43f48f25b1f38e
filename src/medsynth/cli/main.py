"""Puts the verbs together, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from medsynth import __version__
from medsynth.cli import (
    benchmark,
    compare,
    dataset,
    doctor,
    evaluate,
    export,
    generate,
    infer,
    metrics,
    pipeline,
    plugins,
    train,
    verify,
)
from medsynth.errors import MedsynthError

__all__ = ["app", "run"]

EXIT_BAD_INPUT, EXIT_INTERNAL, EXIT_INTERRUPTED = 2, 3, 130

_FULL = "Free some space or choose another place."
_LOCKED = "Change who may read or write there, or choose another place."
_CURES = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EACCES: _LOCKED, errno.EROFS: _LOCKED}
"""How to mend what the operating system refuses."""

app = typer.Typer(
    name="medsynth",
    help="Honest classifiers and class-conditional generators for small medical image sets, as ONNX files.\n\n"
    "dataset -> train -> export -> infer / generate -> evaluate -> benchmark",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(pipeline.quickstart)
app.command()(pipeline.run)
app.add_typer(dataset.app, name="dataset")
app.add_typer(train.app, name="train")
app.command()(export.export)
app.command()(verify.verify)
app.command()(infer.infer)
app.command()(generate.generate)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(metrics.app, name="metrics")
app.command()(benchmark.benchmark)
app.command()(compare.compare)
app.add_typer(plugins.app, name="plugins")
app.command()(doctor.doctor)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"medsynth-core {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Options of the command itself; ``--debug`` is read in :func:`run`."""


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What follows ``medsynth`` on the command line.

    Returns:
        0 done; 1 a check that failed; 2 bad input; 3 an internal error; 130 interrupted.
    """
    # Accepted anywhere, because it is added at the end of the line that just failed.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    logging.basicConfig(format="medsynth: %(message)s", stream=sys.stderr)
    if not debug:
        # Meant for programmers; what a user must know is an error or a line in the result.
        warnings.simplefilter("ignore")
    try:
        code = int(typer.main.get_command(app).main(list(arguments), prog_name="medsynth", standalone_mode=False) or 0)
        if code == EXIT_INTERRUPTED:  # Typer turns Ctrl-C into this code and says nothing.
            raise KeyboardInterrupt
        return code
    except MedsynthError as error:
        return _fail(str(error), error.exit_code, debug)
    except TyperException as error:
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        return _fail(f"{said} See medsynth --help.", EXIT_BAD_INPUT, debug)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted. What was finished is kept; --resume goes on where there is one.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`medsynth ... | head`); keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno in _CURES:
            where = f"{error.filename}: " if error.filename else ""
            return _fail(f"{where}{error.strerror}. {_CURES[error.errno]}", EXIT_BAD_INPUT, debug)
        return _fail_internally(error, debug)
    except Exception as error:
        return _fail_internally(error, debug)


def _fail_internally(error: Exception, debug: bool) -> int:
    said = " ".join(str(error).split())[:300]
    return _fail(
        f"internal error, please report it with the output of the same command and --debug: "
        f"{type(error).__name__}: {said}",
        EXIT_INTERNAL,
        debug,
    )


def _fail(message: str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    print(f"medsynth: {' '.join(message.split())}", file=sys.stderr)
    return code

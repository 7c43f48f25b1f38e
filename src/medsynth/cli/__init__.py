"""The command line: thin. A verb is one module here and imports its work inside the command."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``medsynth`` command."""
    import sys

    from medsynth.cli.main import run

    sys.exit(run(sys.argv[1:]))

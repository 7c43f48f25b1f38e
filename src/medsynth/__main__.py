"""``python -m medsynth``."""

from __future__ import annotations

from medsynth.cli import main

if __name__ == "__main__":
    main()

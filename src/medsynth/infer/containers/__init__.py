"""What generated images are written to: for each a module with a function of a path, an order and a progress hook."""

from __future__ import annotations

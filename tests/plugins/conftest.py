import sys
from pathlib import Path

import pytest

# Modules that are broken on purpose; the doctest collector would import them.
collect_ignore = ["fixtures"]


@pytest.fixture
def broken_plugins(monkeypatch):
    """Every broken plugin, a rival and a sound stranger, installed together and not imported yet; their folder."""
    folder = Path(__file__).parent / "fixtures"
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(folder)
    return folder

from collections.abc import Callable

from medsynth.testing import parametrize_with_checks


# The whole network is tried in test_net.py; two stages have every kind of layer but attention, three have it.
@parametrize_with_checks("backbone", "efficientnetv2", options={"stages": 2})
def test_conformance(check: Callable[[], None]) -> None:
    check()

from collections.abc import Callable

from medsynth.testing import parametrize_with_checks


@parametrize_with_checks("generator", "cvae")
def test_conformance(check: Callable[[], None]) -> None:
    check()

from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from medsynth.hints import describe, fits

VALUES = [True, 0, 1, 1.5, "a", None, [1], Path("x")]
ACCEPTED = [
    (bool, [True]),
    (int, [0, 1]),
    (float, [0, 1, 1.5]),
    (str, ["a"]),
    (None, [None]),
    (int | None, [0, 1, None]),
    (Optional[int], [0, 1, None]),  # noqa: UP045
    (Union[str, bool], [True, "a"]),  # noqa: UP007
    (Literal["a", 1], [1, "a"]),
    (Literal[True], [True]),
    (Any, VALUES),
    (list[int], VALUES),
    (str | Path, VALUES),
]


@pytest.mark.parametrize(("hint", "accepted"), ACCEPTED)
def test_plain_types_accept_their_own_values_only(hint, accepted):
    # Compared with their types, because True == 1.
    typed = [(type(value), value) for value in VALUES if fits(value, hint)]
    assert typed == [(type(value), value) for value in accepted]


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true or false"),
        (float, "a number"),
        (Optional[str], "text or left out"),  # noqa: UP045
        (Literal["a", 1], "'a' or 1"),
        (Path, "Path"),
        (Any, "anything"),
    ],
)
def test_types_in_words(hint, words):
    assert describe(hint) == words

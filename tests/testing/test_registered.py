"""Every registered plugin, third parties' too, passes the conformance kit."""

import pytest

from medsynth.plugins import registry
from medsynth.testing import Subject, checks

# What makes the heavy ones quick; the checks themselves are the same.
OPTIONS = {"vgg16": {"width": 0.125}, "efficientnetv2": {"stages": 1}}

SUBJECTS = [(record.kind, record.name) for record in registry().records()]


@pytest.mark.parametrize(
    ("kind", "name", "check"),
    [
        pytest.param(kind, name, check, id=f"{kind}-{name}-{check.__name__.removeprefix('check_')}")
        for kind, name in SUBJECTS
        for check in checks(kind)
    ],
)
def test_registered(kind, name, check):
    check(Subject(kind=kind, name=name, options=OPTIONS.get(name, {})))


def test_nothing_is_left_out():
    assert registry().failures == ()

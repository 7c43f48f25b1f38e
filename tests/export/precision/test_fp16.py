"""Half precision with some layers left in float32, whatever the gate of this machine would choose."""

from __future__ import annotations

import itertools

import numpy as np

from medsynth.export.precision.fp16 import to_fp16
from medsynth.export.precision.graph import layers, open_session, simplify


def test_any_layers_may_stay_in_float32(classifier_model, drawn, small):
    simple = simplify(classifier_model)
    names = [node.name for node in layers(simple)]
    images = {"images": drawn.part("train").decode(small.SPEC).images[:8]}
    wanted = open_session(simple).run(["logits"], images)[0]
    for count in range(len(names) + 1):
        for keep in itertools.combinations(names, count):
            half = to_fp16(simple, keep)
            assert len({node.name for node in half.graph.node}) == len(half.graph.node)
            np.testing.assert_allclose(open_session(half).run(["logits"], images)[0], wanted, atol=0.1)

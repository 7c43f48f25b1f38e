from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medsynth.train.batches import epoch_batches, step_batches

counts = st.integers(2, 40)
sizes = st.integers(2, 12)


@given(counts, sizes, st.integers(0, 2**63), st.integers(0, 1000))
def test_an_epoch_shows_every_image_once(count, size, seed, epoch):
    batches = epoch_batches(count, size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert all(2 <= len(batch) <= size + 1 for batch in batches)


@given(counts, sizes, st.integers(0, 99), st.integers(0, 30), st.integers(1, 8))
def test_a_stream_started_late_goes_on_as_one_started_early(count, size, seed, step, more):
    early = list(islice(step_batches(count, size, seed, 0), step + more))[step:]
    late = list(islice(step_batches(count, size, seed, step), more))
    assert all(len(batch) == size for batch in late)
    np.testing.assert_array_equal(early, late)


def test_epochs_and_seeds_differ():
    first, second, other = (
        np.concatenate(epoch_batches(50, 10, seed, epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))
    )
    assert (first != second).any()
    assert (first != other).any()

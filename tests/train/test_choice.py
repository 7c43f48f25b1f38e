from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.train.choice import Choice
from medsynth.train.watch import Look


def _looks(*distances, error=0.2):
    return [Look(distance, error, (1.0, 1.0)) for distance in distances]


def _follow(choice, looks, start=1):
    """Steps whose weights are kept, and all warnings."""
    seen = [choice.see(step, look) for step, look in enumerate(looks, start)]
    return [step for step, (kept, _) in enumerate(seen, start) if kept], [text for _, told in seen for text in told]


def test_the_latest_of_tied_weights_is_kept():
    """Step 2 is nearest; steps 3 and 4 are less than 1.96 * (0.5^2 + 0.5^2)^0.5 = 1.386 further, step 5 is more."""
    choice = Choice("ab", "best")
    kept, _ = _follow(choice, [*_looks(9.0, error=5.0), *_looks(1.0, 1.2, 2.38, 2.39, error=0.5)])
    assert kept == [1, 2, 3, 4]
    assert choice.kept == {"step": 4, "distance": 2.38, "diversity": [1.0, 1.0], "smallest": [1.0, 0.5]}


def test_a_few_broken_images_are_not_tied_with_sound_ones():
    # What two of 100 images of a class far outside give: a distance as uncertain as it is large.
    choice = Choice("ab", "best")
    kept, told = _follow(choice, [*_looks(1.0), Look(104.0, 147.0, (1.0, 1.0)), *_looks(1.1)])
    assert kept == [1, 3]
    assert [text.partition(". ")[2] for text in told] == [
        "Kept are the weights of step 1; a lower learning rate may help."
    ]


def test_the_last_are_kept_where_that_is_asked():
    kept, _ = _follow(Choice("ab", "last"), _looks(1.0, 900.0, 5.0))
    assert kept == [1, 2, 3]


def test_divergence_is_told_when_it_begins():
    """Step 3 is more than ten times as far as step 2, and step 6 again."""
    kept, told = _follow(Choice("ab", "best"), _looks(90.0, 1.4, 14.1, 7000.0, 13.9, 15.0))
    assert kept == [1, 2]
    assert [text.partition(":")[0] for text in told] == ["step 3", "step 6"]
    assert "training has diverged: distance 14.1 from real images, after 1.4. Kept are the weights of step 2" in told[0]


def test_a_distance_within_its_error_of_none_is_not_divergence():
    assert _follow(Choice("ab", "best"), _looks(-0.05, 1.9))[1] == []


def test_collapse_is_told_when_it_begins():
    looks = [Look(1.0, 0.2, diversity) for diversity in [(0.9, 0.2), (0.1, 0.2), (0.9, 0.9), (0.9, 0.29)]]
    _, told = _follow(Choice(("covid", "non-covid"), "best"), looks)
    assert [text.partition(":")[0] for text in told] == ["step 1", "step 2", "step 4"]
    assert told[1] == "step 2: the images of 'covid' are nearly all alike (diversity 0.10 of the real images')."


@given(
    st.lists(st.tuples(st.floats(-1, 1e4), st.floats(0, 50), st.floats(0, 1)), min_size=1, max_size=12),
    st.integers(0, 12),
)
def test_one_that_was_interrupted_chooses_the_same(rows, cut):
    looks = [Look(distance, error, (diversity, 1.0)) for distance, error, diversity in rows]
    whole, first, second = (Choice("ab", "best") for _ in range(3))
    expected = _follow(whole, looks)
    before = _follow(first, looks[:cut])
    second.restore(json.loads(json.dumps(first.state)))
    after = _follow(second, looks[cut:], start=len(looks[:cut]) + 1)
    assert (before[0] + after[0], before[1] + after[1]) == expected
    assert second.state == whole.state
    # The nearest look is kept, or a later one.
    assert whole.kept["smallest"][0] == pytest.approx(min(distance for distance, _, _ in rows))

from __future__ import annotations

import pytest

from medsynth.processor import processor_has


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2", False), ("fpu avx512f avx512_vnni", True), ("avx2 avx_vnni", True), ("my_avx_vnni_too", False)],
)
def test_one_of_the_instructions_is_enough_and_is_a_whole_word(tmp_path, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"model name\t: Some CPU\nflags\t\t: {flags}\n")
    assert processor_has("avx512_vnni", "avx_vnni", cpuinfo=tmp_path / "cpuinfo") is expected


def test_nothing_is_known_where_nothing_is_told(tmp_path):
    assert not processor_has("avx_vnni", cpuinfo=tmp_path / "absent")

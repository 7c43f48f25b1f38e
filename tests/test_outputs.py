from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.errors import OutputError
from medsynth.outputs import atomic_write, ensure_folder, file_stem, write_json


def test_what_stood_there_survives_a_failure(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("path", [".", "", "/", "folder", "folder/.."])
def test_a_folder_in_the_place_of_the_file_is_told(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="must be a file to write, but is a folder"), atomic_write(path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    script = (
        "import os, sys; from medsynth.outputs import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary: temporary.write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "a.csv"]).returncode == 9
    assert [path.suffix for path in tmp_path.iterdir()] == [".csv"]
    with atomic_write(tmp_path / "a.csv") as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "whole"


def test_the_disk_is_flushed_through_a_writable_handle(tmp_path, monkeypatch):
    """Windows refuses to flush one that is open for reading."""
    flushed = []
    monkeypatch.setattr("os.fsync", lambda handle: flushed.append(os.write(handle, b"")))
    write_json(tmp_path / "a.json", {})
    assert flushed == [0]


@pytest.mark.parametrize("name", ["covid", "non-covid", "COVID-19", "a_b", "v1.5", "x-"])
def test_plain_names_are_file_names(name):
    assert file_stem(name) == name


@pytest.mark.parametrize("name", ["", "..", ".x", "x.", "a/b", "a b", "con", "NUL.x", "naïve", "肺炎", "x" * 65, "a\n"])
def test_other_names_are_made_safe(name):
    stem = file_stem(name)
    assert stem != name
    assert re.fullmatch(r"[A-Za-z0-9-]{1,80}", stem)
    assert file_stem(stem) != stem  # so that no name is another one's safe form


@given(st.sets(st.text("aA/. -0\u00e9", max_size=6), min_size=2, max_size=20))
def test_names_never_share_a_file(names):
    assert len({file_stem(name) for name in names}) == len(names)


def test_json_is_not_written_when_it_holds_what_json_has_not(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        ensure_folder(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot write"):
        ensure_folder(tmp_path / "out" / "deeper")


def test_a_full_disk_leaves_the_old_file_whole(small_disk):
    target = small_disk / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="No space left"), atomic_write(target) as temporary:
        temporary.write_bytes(bytes(1_000_000))
    assert target.read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["a.bin"]


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_file_is_promised_before_the_work(tmp_path):
    from medsynth.outputs import ensure_file

    assert ensure_file(tmp_path / "new" / "file.json") == tmp_path / "new" / "file.json"
    assert not (tmp_path / "new" / "file.json").exists()
    with pytest.raises(OutputError, match="must be a file to write, but is a folder"):
        ensure_file(tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="must be a folder for the results"):
        ensure_file(tmp_path / "taken" / "file.json")

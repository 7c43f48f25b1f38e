from __future__ import annotations

import subprocess

import pytest

from medsynth.errors import OutputError
from medsynth.outputs import atomic_write, ensure_folder, write_json


def test_what_stood_there_survives_a_failure(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


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

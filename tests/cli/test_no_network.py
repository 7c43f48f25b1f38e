"""Serving uses no network: the kernel of an empty network namespace counts who tried, in native code too."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# A datagram or a connection without a route is counted as OutNoRoutes; one to a local address as OutRequests.
COUNT = """
import sys
def tried():
    names, values = [line.split()[1:] for line in open("/proc/net/snmp") if line.startswith("Ip:")]
    counts = dict(zip(names, map(int, values)))
    return counts["OutRequests"] + counts["OutNoRoutes"]
"""
SERVE = (
    COUNT
    + """
import time
began = time.monotonic()
from medsynth.cli.main import run
for command in sys.stdin.read().splitlines():
    code = run(command.split("|"))
    assert code in (0, 1), (command, code)
# onnxruntime 1.31 with its telemetry on tries for the first time 6 to 15 seconds after its import.
time.sleep(max(0, 18 - (time.monotonic() - began)))
print("tried", tried())
"""
)
CONTROL = (
    COUNT
    + """
import socket
try: socket.create_connection(("192.0.2.1", 443), timeout=1)
except OSError: pass
print("tried", tried())
"""
)


def in_empty_network(code: str, commands: str = "") -> int:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", code],
        input=commands,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module", autouse=True)
def _needs_namespaces() -> None:
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")


def test_an_attempt_would_be_counted() -> None:
    assert in_empty_network(CONTROL) > 0


def test_serving_tries_nothing(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "artifact" / "tiny_models.py"
    spec = importlib.util.spec_from_file_location("tiny_models", path)
    assert spec is not None
    assert spec.loader is not None
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    classifier, generator = tiny.classifier_file(tmp_path / "c.onnx"), tiny.generator_file(tmp_path / "g.onnx")
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    commands = (
        f"verify|{classifier}",
        f"infer|{classifier}|{tmp_path / 'a.png'}|--out|{tmp_path / 'p.csv'}",
        f"generate|{generator}|--out|{tmp_path / 'made'}|--count|2",
        f"benchmark|{classifier}|--batch-sizes|1|--out|{tmp_path / 't.json'}",
        "doctor",
    )
    assert in_empty_network(SERVE, "\n".join(commands)) == 0
    assert (tmp_path / "p.csv").exists()
    assert (tmp_path / "t.json").exists()

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.errors import ConfigError, MemoryRanOutError
from medsynth.infer.batching import BatchRunner, ladder

if TYPE_CHECKING:
    from types import ModuleType


class Device:
    """Doubles its input, and has memory for so many rows."""

    def __init__(self, capacity: int = 10**6) -> None:
        self.capacity, self.seen = capacity, []

    def __call__(self, feeds: Any) -> dict[str, Any]:
        values = feeds["x"]
        self.seen.append(len(values))
        if len(values) > self.capacity:
            raise MemoryRanOutError("full")
        return {"y": 2 * values}


def rows(count: int) -> dict[str, Any]:
    return {"x": np.arange(3 * count).reshape(count, 3)}


@given(st.integers(0, 200), st.integers(1, 64), st.integers(1, 64), st.one_of(st.none(), st.integers(1, 9)))
def test_every_row_once_whatever_the_sizes(count: int, batch_size: int, capacity: int, fixed: int | None) -> None:
    device = Device(capacity if fixed is None else 100)
    ran = BatchRunner(device, fixed).run(rows(count), batch_size)
    np.testing.assert_array_equal(ran.outputs["y"], 2 * rows(count)["x"])
    assert set(ran.sizes) <= set(ladder(batch_size, fixed))
    assert sum(ran.sizes) >= count
    assert all(size <= capacity for size in ran.sizes) or fixed is not None


def test_the_remainder_is_padded_to_the_next_size() -> None:
    device = Device()
    assert BatchRunner(device, None).run(rows(77), 32).sizes == (32, 32, 16)
    assert BatchRunner(device, None).run(rows(5), 32).sizes == (8,)
    assert BatchRunner(device, 4).run(rows(9), 32).sizes == (4, 4, 4)


def test_no_rows_keep_the_shape() -> None:
    assert BatchRunner(Device(), 4).run(rows(0), 32).outputs["y"].shape == (0, 3)


def test_the_size_that_fits_is_remembered() -> None:
    device = Device(capacity=9)
    runner = BatchRunner(device, None)
    assert runner.run(rows(20), 32).sizes == (8, 8, 4)
    assert device.seen == [32, 16, 8, 8, 4]
    assert runner.run(rows(32), 32).sizes == (8, 8, 8, 8)
    assert device.seen[5:] == [8, 8, 8, 8]
    assert runner.run(rows(4), 2).sizes == (2, 2)


@pytest.mark.parametrize("fixed", [None, 4])
def test_one_row_that_does_not_fit_is_an_error(fixed: int | None) -> None:
    with pytest.raises(MemoryRanOutError, match="full"):
        BatchRunner(Device(capacity=0), fixed).run(rows(5), 4)


def test_batch_size() -> None:
    with pytest.raises(ConfigError, match=r"at least 1\. Got 0"):
        BatchRunner(Device(), None).run(rows(1), 0)


HUNGRY = """
import resource, sys
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
from medsynth.infer import load_classifier
path = sys.argv[1]
model = load_classifier(path, device="cpu")
images = np.random.default_rng(0).integers(0, 256, (20, *model.image.shape), np.uint8)
alone = model.run(images, batch_size=1)["probabilities"]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1500 * 2**20, -1))
ran = model._runner.run({"images": images}, 16)
np.testing.assert_allclose(ran.outputs["probabilities"], alone, rtol=1e-5)
print(*ran.sizes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_onnxruntime_out_of_memory_is_known_by_its_words(tiny: ModuleType, tmp_path: Path) -> None:
    """Each image needs 226 MB inside the network and the process may have 1.5 GB more than it has."""
    import onnx
    from onnx import helper, numpy_helper

    from medsynth.artifact import write

    model = tiny.classifier_model()
    tile = helper.make_node("Tile", ["maps", "times"], ["many"])
    nodes = list(model.graph.node)
    at = next(index for index, node in enumerate(nodes) if node.op_type == "Relu")
    nodes[at].input[0] = "many"
    nodes.insert(at, tile)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 192, 192]), "times"))
    onnx.checker.check_model(model)
    path = tmp_path / "hungry.onnx"
    write(model, tiny.metadata("classifier"), path)
    done = subprocess.run([sys.executable, "-c", HUNGRY, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sizes = [int(word) for word in done.stdout.split()]
    assert 16 not in sizes
    assert sum(sizes) >= 20

"""Bound buffers, on the CPU, where onnxruntime's binding works too; and what CUDA would be asked for."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medsynth.artifact.contract import TensorInfo
from medsynth.infer import binding
from medsynth.infer.binding import BoundRunner, can_be_bound, pinned
from medsynth.infer.model import OpenModel

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def model(tiny: ModuleType, tmp_path: Path) -> OpenModel:
    return OpenModel(tiny.classifier_file(tmp_path / "m.onnx"), "cpu")


def bound(model: OpenModel, session: Any = None) -> BoundRunner:
    return BoundRunner(session or model._session, model.inputs, model.outputs, "cpu")


def images(model: OpenModel, count: int, seed: int) -> dict[str, np.ndarray]:
    return {"images": np.random.default_rng(seed).integers(0, 256, (count, *model.inputs[0].shape[1:]), np.uint8)}


def test_results_are_those_of_run_and_stay(model: OpenModel) -> None:
    runner = bound(model)
    feeds = [images(model, count, seed) for seed, count in enumerate((4, 1, 4, 3, 1, 4))]
    got = [runner.run(each) for each in feeds]  # All kept, though the buffers have been written over.
    for each, results in zip(feeds, got, strict=True):
        wanted = model.run(each)
        assert results.keys() == wanted.keys()
        for name, values in wanted.items():
            assert results[name].dtype == values.dtype
            assert np.array_equal(results[name], values)


def test_a_generator_too(tiny: ModuleType, tmp_path: Path) -> None:
    model = OpenModel(tiny.generator_file(tmp_path / "g.onnx"), "cpu")
    feeds = {"noise": np.ones((3, model.inputs[0].shape[1]), np.float32), "label": np.array([0, 1, 0])}
    assert np.array_equal(bound(model).run(feeds)["images"], model.run(feeds)["images"])


def test_rows_that_lie_apart_in_memory(model: OpenModel) -> None:
    feeds = images(model, 6, 0)
    apart = {"images": feeds["images"][::2]}
    assert np.array_equal(bound(model).run(apart)["logits"], model.run(apart)["logits"])


def test_each_batch_size_has_one_set_of_buffers_and_its_own_graph(model: OpenModel) -> None:
    ran = []

    class Spy:
        def io_binding(self) -> Any:
            return model._session.io_binding()

        def run_with_iobinding(self, binding: Any, options: Any) -> None:
            addresses = tuple(value.data_ptr() for value in binding.get_outputs())
            ran.append((options.get_run_config_entry("gpu_graph_id"), addresses))
            model._session.run_with_iobinding(binding, options)

    runner = bound(model, Spy())
    for seed, count in enumerate((2, 5, 2, 5, 2)):
        runner.run(images(model, count, seed))
    assert [graph for graph, _ in ran] == ["2", "5", "2", "5", "2"]
    assert len(set(ran)) == 2


def test_what_can_be_bound(model: OpenModel) -> None:
    assert can_be_bound((*model.inputs, *model.outputs))
    for shape in (("batch", "height", 4, 3), ()):
        assert not can_be_bound([TensorInfo("images", "uint8", shape)])


def test_a_model_on_cuda_is_bound(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that goes here: the device is played, the buffers are the CPU's."""
    from medsynth.infer import model as models

    path = tiny.classifier_file(tmp_path / "m.onnx")
    monkeypatch.setattr(models, "resolve_device", lambda device: device)
    monkeypatch.setattr(models, "PROVIDERS", dict.fromkeys(("cpu", "cuda", "tensorrt"), "CPUExecutionProvider"))
    monkeypatch.setattr(models, "BoundRunner", lambda *arguments: BoundRunner(*arguments[:3], "cpu"))
    played, real = OpenModel(path, "cuda"), OpenModel(path, "cpu")
    monkeypatch.setattr(played._session, "run", lambda *_: pytest.fail("not bound"))
    feeds = images(real, 3, 0)
    assert np.array_equal(played.run(feeds)["probabilities"], real.run(feeds)["probabilities"])


def test_host_memory_is_locked_while_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = [np.zeros((2, 3), np.uint8), np.zeros((4, 4), np.uint8)]
    locked: dict[int, int] = {}

    def register(address: ctypes.c_void_p, size: ctypes.c_size_t, flags: int) -> int:
        if size.value == 6:
            return 2  # cudaErrorMemoryAllocation
        locked[address.value or 0] = size.value
        return 0

    runtime = SimpleNamespace(
        cudaHostRegister=register, cudaHostUnregister=lambda address: locked.pop(address.value or 0)
    )
    monkeypatch.setattr(binding, "_cuda_runtime", lambda: runtime)
    with pytest.raises(KeyboardInterrupt), pinned(buffers):
        assert locked == {buffers[1].ctypes.data: 16}
        raise KeyboardInterrupt
    assert not locked


def test_without_cuda_nothing_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pinned([np.zeros(3, np.uint8)]):
        pass

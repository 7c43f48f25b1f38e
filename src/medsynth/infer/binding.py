"""Buffers that stay where they are: on the GPU for the model, locked in the host's memory for what feeds it.

A batch is copied into the same GPU memory each time, so nothing is allocated between runs, and a CUDA graph, which is
recorded with its addresses, can be replayed. Host memory that is locked (pinned) is copied without a detour. Unmeasured
on GPUs; tests run it on the CPU, where it gives the results of ``session.run``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.runtime import import_onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.artifact.contract import TensorInfo

__all__ = ["BoundRunner", "can_be_bound", "pinned"]

_CUDA_RUNTIMES = ("libcudart.so.13", "cudart64_13.dll")


@dataclass(frozen=True, eq=False, slots=True)
class _Buffers:
    """Of one batch size."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    binding: Any
    run_options: Any


def can_be_bound(tensors: Sequence[TensorInfo]) -> bool:
    """Whether the batch is the only free axis, so that its size says how long every buffer is."""
    return all(info.shape and all(isinstance(axis, int) for axis in info.shape[1:]) for info in tensors)


class BoundRunner:
    """Runs a session on buffers of its own, a set for each batch size that it meets."""

    def __init__(self, session: Any, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], device: str) -> None:
        """Wrap an onnxruntime session.

        Args:
            session: The session.
            inputs: What goes in.
            outputs: What comes out.
            device: onnxruntime's name of where the buffers are: ``cuda`` or ``cpu``.
        """
        self._session = session
        self._inputs, self._outputs = inputs, outputs
        self._device = device
        self._buffers: dict[int, _Buffers] = {}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Copy in, run, copy out; what onnxruntime raises is passed on."""
        size = len(next(iter(feeds.values())))
        if size not in self._buffers:
            self._buffers[size] = self._allocate(size)
        buffers = self._buffers[size]
        for name, values in feeds.items():
            buffers.inputs[name].update_inplace(np.ascontiguousarray(values))
        self._session.run_with_iobinding(buffers.binding, buffers.run_options)
        # A copy: the next batch is written into the same memory. On the CPU, numpy() would be a view of it.
        return {name: np.array(value.numpy()) for name, value in buffers.outputs.items()}

    def _allocate(self, size: int) -> _Buffers:
        onnxruntime = import_onnxruntime()

        def tensor(info: TensorInfo) -> Any:
            shape = [size, *info.shape[1:]]
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(info.dtype), self._device, 0)

        inputs = {info.name: tensor(info) for info in self._inputs}
        outputs = {info.name: tensor(info) for info in self._outputs}
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        run_options = onnxruntime.RunOptions()
        # onnxruntime does not compare shapes when it replays a graph, so each batch size has its own.
        run_options.add_run_config_entry("gpu_graph_id", str(size))
        return _Buffers(inputs, outputs, binding, run_options)


@contextmanager
def pinned(buffers: Sequence[NDArray[Any]]) -> Iterator[None]:
    """Lock host memory for the GPU while the block runs; where CUDA's runtime is not loaded or refuses, do nothing."""
    runtime = _cuda_runtime() if buffers else None
    if runtime is None:
        yield
        return
    addresses = [(ctypes.c_void_p(buffer.ctypes.data), ctypes.c_size_t(buffer.nbytes)) for buffer in buffers]
    locked = [address for address, size in addresses if runtime.cudaHostRegister(address, size, 0) == 0]
    try:
        yield
    finally:
        for address in locked:
            runtime.cudaHostUnregister(address)


def _cuda_runtime() -> Any:
    """The library that onnxruntime's provider has loaded; ``None`` where there is none."""
    for name in _CUDA_RUNTIMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None

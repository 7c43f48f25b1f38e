"""One ONNX file, anybody's, open on one proven device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.artifact.contract import TensorInfo, infos_from_session
from medsynth.artifact.files import METADATA_KEY, require_file
from medsynth.artifact.golden import runtime_says
from medsynth.artifact.runtime import import_onnxruntime, runtime_versions, session_options
from medsynth.errors import ArtifactError, DeviceError, MedsynthError, MemoryRanOutError
from medsynth.infer.binding import BoundRunner, can_be_bound
from medsynth.infer.device import PROVIDERS, resolve_device

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OpenModel"]

_OUT_OF_MEMORY = (
    "out of memory",
    "out_of_memory",
    "failed to allocate memory",
    "bad allocation",
    "bad_alloc",
    "alloc_failed",
    "smaller than requested bytes",
)


class OpenModel:
    """A model, loaded by onnxruntime on a device that was proven to work.

    Attributes:
        path: The ONNX file.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        options: Of the execution provider, where they are not onnxruntime's own.
        nodes: Number of graph nodes that each execution provider runs, after onnxruntime's optimisation.
        inputs: Names, dtypes and shapes that go in.
        outputs: Names, dtypes and shapes that come out.
    """

    path: Path
    device: str
    options: Mapping[str, str]
    nodes: Mapping[str, int]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    def __init__(
        self,
        path: str | Path,
        device: str = "auto",
        model: bytes | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Load a model.

        Args:
            path: An ONNX file.
            device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``; another device is never taken silently.
            model: A serialised model that is loaded in the file's place.
            options: Of the execution provider.

        Raises:
            ArtifactError: The file is missing or corrupt.
            ConfigError: There is no such device.
            DeviceError: The device does not work here.
        """
        self.path = Path(path)
        require_file(path)
        self.device = resolve_device(device)
        self.options = dict(options or {})
        self._session = _open(self.path, self.provider, model, self.options)
        self.inputs = infos_from_session(self._session.get_inputs())
        self.outputs = infos_from_session(self._session.get_outputs())
        self._bound = None
        if self.device == "cuda" and can_be_bound((*self.inputs, *self.outputs)):
            self._bound = BoundRunner(self._session, self.inputs, self.outputs, self.device)
        self.nodes = _count_nodes(self._session)
        if self.provider not in self.nodes:
            raise DeviceError(f"{path}: onnxruntime put no node of the model on {self.provider}. Use --device cpu.")

    @property
    def metadata_text(self) -> str | None:
        """The JSON that makes a file one of ours; ``None`` in other files."""
        return self.custom_metadata.get(METADATA_KEY)

    @property
    def custom_metadata(self) -> Mapping[str, str]:
        """Everything that the file says of itself under keys of its own."""
        found: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    @property
    def provider(self) -> str:
        """Onnxruntime's name of the device's execution provider."""
        return PROVIDERS[self.device]

    @property
    def fixed_batch(self) -> int | None:
        """The one batch size that the graph takes; ``None`` where it is free, as in every artefact of ours."""
        axis = self.inputs[0].shape[0]
        return axis if isinstance(axis, int) else None

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model once and return every output by name.

        Raises:
            MemoryRanOutError: The device has no memory for a batch of this size.
            MedsynthError: onnxruntime fails otherwise.
        """
        names = [info.name for info in self.outputs]
        try:
            if self._bound is not None:
                return self._bound.run(feeds)
            return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))
        except Exception as error:  # onnxruntime's exceptions have no common class but this.
            said = f"{self.path}: onnxruntime failed on {self.device} ({runtime_says(error)})."
            # It has no class for this (its issue 16307), so the words must do.
            if any(words in str(error).lower() for words in _OUT_OF_MEMORY):
                raise MemoryRanOutError(f"{said} Choose a smaller batch size, or end other processes.") from error
            raise MedsynthError(said) from error

    def facts(self) -> dict[str, Any]:
        """What every result records about how it was computed: model, device, nodes per provider, versions."""
        return {
            "model": {"file": self.path.name},
            "device": self.device,
            "provider": self.provider,
            "provider_options": self.options,
            "nodes": dict(self.nodes),
            "versions": runtime_versions(),
        }


def _open(path: Path, provider: str, model: bytes | None, provider_options: Mapping[str, str]) -> Any:
    onnxruntime = import_onnxruntime()
    # What TensorRT does not take goes to CUDA before the CPU.
    behind = ["CUDAExecutionProvider"] if provider == PROVIDERS["tensorrt"] else []
    try:
        return onnxruntime.InferenceSession(
            model or str(path),
            session_options(record_ep_graph_assignment_info="1"),
            providers=[(provider, dict(provider_options)), *behind],
            enable_fallback=0,
        )
    except Exception as error:
        raise ArtifactError(
            f"{path}: onnxruntime cannot load the model ({runtime_says(error)}). "
            "Is it a whole ONNX file? medsynth verify tells more."
        ) from error


def _count_nodes(session: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    return counts

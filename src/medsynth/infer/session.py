"""An artefact, or a foreign classifier made to look like one, open on one proven device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.artifact.contract import broken_rules, latent_length
from medsynth.artifact.files import parse_metadata
from medsynth.errors import ArtifactError, ConfigError, DeviceError
from medsynth.infer.foreign import ForeignFacts, adopt
from medsynth.infer.model import OpenModel
from medsynth.infer.tuning import tuned_options

if TYPE_CHECKING:
    from medsynth.artifact import Metadata

__all__ = ["Session", "checked_metadata", "described"]


class Session(OpenModel):
    """An open model that says what it is.

    Attributes:
        metadata: What the file says about itself, or what the user said about a foreign one.
    """

    metadata: Metadata

    def __init__(self, path: str | Path, device: str = "auto", foreign: ForeignFacts | None = None) -> None:
        """Load a model.

        Args:
            path: An ONNX file that medsynth wrote, or a foreign classifier.
            device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``; another device is never taken silently.
            foreign: What the file of a foreign classifier does not say.

        Raises:
            ArtifactError: The file is missing or corrupt, its graph breaks the contract, or it is foreign and facts are
                missing.
            ConfigError: There is no such device, or facts are given of a file that says them itself.
            DeviceError: The device does not work here, or gives other answers than the file's golden outputs.
        """
        super().__init__(path, device)
        if self.metadata_text is None:
            wrapped, self.metadata = adopt(self.path, foreign or ForeignFacts())
            super().__init__(path, self.device, wrapped)
        elif foreign is not None:
            raise ConfigError(
                f"{path}: says itself what its labels and pixels are; omit --labels, --scale and the like."
            )
        else:
            self.metadata = checked_metadata(self)
            if self.device == "cuda":
                self._tune()

    def _tune(self) -> None:
        """Open the file again with the options that are best on this GPU."""
        latent = latent_length(self.inputs) if self.metadata.task == "generator" else 0
        try:
            options = tuned_options(
                self.metadata, latent, lambda options: OpenModel(self.path, self.device, options=options).run
            )
        except DeviceError as error:
            raise DeviceError(f"{self.path}: {error}") from error
        if options:
            super().__init__(self.path, self.device, options=options)

    def facts(self) -> dict[str, Any]:
        """What every result records about how it was computed: model, device, nodes per provider, versions."""
        facts = super().facts()
        facts["model"].update(described(self.metadata))
        return facts


def described(metadata: Metadata) -> dict[str, Any]:
    """What a result says of the model besides its file name."""
    return {
        "task": metadata.task,
        "content_hash": metadata.content_hash,
        "precision": metadata.precision["name"],
    }


def checked_metadata(model: OpenModel) -> Metadata:
    """The metadata of an artefact whose graph keeps the contract.

    Raises:
        ArtifactError: There are none, they cannot be read, or the graph breaks the contract.
    """
    try:
        metadata = parse_metadata(model.metadata_text)
    except ArtifactError as error:
        raise ArtifactError(f"{model.path}: {error}") from error
    broken = broken_rules(model.inputs, model.outputs, metadata)
    if broken:
        raise ArtifactError(f"{model.path}: breaks the contract of a {metadata.task}: {'; '.join(broken)}.")
    return metadata

"""What a served classifier and a served generator share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.infer.batching import BatchRunner

if TYPE_CHECKING:
    from medsynth.artifact import Metadata
    from medsynth.images import ImageSpec
    from medsynth.infer.session import Session

__all__ = ["Served"]


class Served:
    """An open artefact and what it says about itself.

    Attributes:
        session: The open model; says on which device it runs.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._runner = BatchRunner(session.run, session.fixed_batch)

    @property
    def metadata(self) -> Metadata:
        """What the file says about itself."""
        return self.session.metadata

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.session.path

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's outputs or labels."""
        return self.metadata.classes

    @property
    def image(self) -> ImageSpec:
        """The images that go in or come out."""
        return self.metadata.image

"""Which weights of a generator's run are kept, and what there is to warn of, from one look after another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from medsynth.train.watch import Look

__all__ = ["Choice"]

_TIED = 1.96
"""Two distances are told apart when they differ by more standard errors than this (95 %).

The error of the difference is taken as if the two looks had nothing in common, although they share the real images and
the noise. That is more than the scatter over these images, but a few patients' slices are no independent images either.
"""

_LOST = 10.0
"""Training is lost when images are so many times further from real ones than the nearest were.

On CT slices the distance of a sound run goes up and down by less than a factor of 2, by 3 where learning rates are too
high, and by thousands where the discriminator has broken out.
"""


class Choice:
    """The latest weights whose images cannot be told from the nearest so far, or simply the latest.

    Args:
        classes: Their names.
        keep: ``"best"`` or ``"last"``.

    Attributes:
        kept: Of the weights to keep: ``step``, ``distance``, ``diversity`` of each class, and ``smallest``, the
            distance and error of the nearest look so far. Empty before the first look.
    """

    def __init__(self, classes: Sequence[str], keep: Literal["best", "last"]) -> None:
        self.classes, self.keep = classes, keep
        self.kept: dict[str, Any] = {}
        self._alike: set[int] = set()  # Classes that were told to be collapsed, and still are.
        self._lost = False  # Was told, and still is.

    @property
    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs to go on from here; JSON-like."""
        return {"kept": self.kept, "alike": sorted(self._alike), "lost": self._lost}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :attr:`state`."""
        self.kept, self._alike = state["kept"], set(state["alike"])
        self._lost = state.get("lost", False)  # Older ones do not say.

    def see(self, step: int, look: Look) -> tuple[bool, list[str]]:
        """Take in the next look.

        Returns:
            Whether the weights of ``step`` are those to keep, and warnings, each when what it tells of begins.
        """
        smallest, error = self.kept.get("smallest", (math.inf, 0.0))
        if look.distance < smallest:
            smallest, error = look.distance, look.error
        # Between real images the smallest may be 0, and is only known to its error.
        lost = look.distance > _LOST * max(smallest, error)
        # A few hundred images cannot tell the checkpoints of a second half apart; then the latest has learnt most. But
        # a few broken images make a distance as uncertain as it is large, and such a one is never as good.
        tied = not lost and look.distance <= smallest + _TIED * math.hypot(error, look.error)
        better = tied or self.keep == "last"
        if better:
            self.kept = {"step": step, "distance": look.distance, "diversity": list(look.diversity)}
            self.kept["smallest"] = [smallest, error]
        warnings = [
            f"step {step}: the images of '{self.classes[index]}' are nearly all alike (diversity "
            f"{look.diversity[index]:.2f} of the real images')."
            for index in sorted(set(look.collapsed) - self._alike)
        ]
        if lost and not self._lost:
            warnings.append(
                f"step {step}: training has diverged: distance {look.distance:.4g} from real images, after "
                f"{smallest:.4g}. Kept are the weights of step {self.kept['step']}; a lower learning rate may help."
            )
        self._alike, self._lost = set(look.collapsed), lost
        return better, warnings

"""The stages of a training: what the backbone itself leaves trainable first, then, if asked for, more layers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from medsynth.progress import progress_bar
from medsynth.train.examples import Examples, augmentation
from medsynth.train.fitting import Stage, answerer
from medsynth.train.freeze import Cut, cut_at_frozen, train_after
from medsynth.train.precision import wants_bfloat16
from medsynth.train.views import Plan, extract, plan_views

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.config import ClassifierConfig
    from medsynth.dataset import Decoded
    from medsynth.train.run import Run

__all__ = ["Material", "StagePlan", "plan_stages"]

_RATE, _PRETRAINED_RATE = 1e-3, 5e-5
"""Learning rates of what starts from random weights and of pretrained layers."""


@dataclass(frozen=True, eq=False)
class Material:
    """The network, its freeze points, both parts of the data, and the weight of each training image in the loss.

    ``pretrained`` says whether its first weights were learned from other images.
    """

    model: keras.Model
    pretrained: bool
    points: tuple[str, ...]
    train: Decoded
    validation: Decoded
    weights: NDArray[np.float32]

    @property
    def logits(self) -> keras.Model:
        """From images to logits."""
        return keras.Model(self.model.inputs[0], self.model.output["logits"])


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """Epochs from ``first`` to before ``last``; ``unfreeze`` is the freeze point after which everything is trained."""

    first: int
    last: int
    learning_rate: float | None
    unfreeze: str | None

    def rate(self, *, pretrained: bool, only_head: bool) -> float:
        """The learning rate at its highest: as set, or what suits the weights that are trained.

        Args:
            pretrained: Whether the network's first weights were learned from other images.
            only_head: Whether all of them are frozen.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return _PRETRAINED_RATE if pretrained and not only_head else _RATE

    def prepare(
        self, material: Material, run: Run, config: ClassifierConfig, cached: bool | None
    ) -> tuple[Stage, dict[str, Any]]:
        """Unfreeze, cut, and compute what is frozen.

        Args:
            material: What it is trained with.
            run: Holds the views, unless the settings name a folder for them.
            config: The settings.
            cached: :attr:`medsynth.train.fitting.Stage.cached` where the stage goes on, however much room there is now;
                ``None`` where it begins.

        Returns:
            The stage, and what became of its frozen layers, for the run's outcome.

        Raises:
            ConfigError: The backbone has no such freeze point.
            OutputError: The views cannot be written.
        """
        if self.unfreeze is not None:
            train_after(material.model, material.points, self.unfreeze)
        cut = cut_at_frozen(material.model, material.points)
        augmented = cut is None if config.augmentation is None else config.augmentation
        only_head = cut is not None and cut.point == material.points[-1]
        keep_last = only_head or material.pretrained if config.keep is None else config.keep == "last"
        rate = self.rate(pretrained=material.pretrained, only_head=only_head)
        plan = None if cut is None else _plan(cut, material, run, config, augmented)
        if plan is None:
            why_not: str | None = "nothing before a freeze point is frozen"
        elif cached is None:
            why_not = plan.misfit(config.cache_gb * 1e9)
        else:
            why_not = None if cached else "the run was begun without"
        facts: dict[str, Any] = {"point": None if cut is None else cut.point}
        stage = partial(Stage, first=self.first, last=self.last, learning_rate=rate, keep_last=keep_last)
        if cut is None or plan is None or why_not:
            train, validation = _pixels(material, config, augmented), _validation(material, None, config)
            chosen = stage(cached=False, network=material.logits, train=train, validation=validation)
            return chosen, facts | {"views": 0, "bytes": 0, "why_not": why_not}
        began = time.monotonic()
        with progress_bar(f"Computing {plan.views} views up to {cut.point}", "images") as report:
            views = extract(plan, lambda done, total: report(done, total, {}))
        train = Examples(views=views, labels=material.train.labels, weights=material.weights)
        chosen = stage(cached=True, network=cut.rest, train=train, validation=_validation(material, cut, config))
        seconds = round(time.monotonic() - began, 3)
        return chosen, facts | {"views": plan.views, "bytes": plan.bytes, "bfloat16": plan.bfloat16, "seconds": seconds}


def plan_stages(config: ClassifierConfig) -> tuple[StagePlan, ...]:
    """One stage, or two where fine-tuning is asked for."""
    head = StagePlan(first=0, last=config.epochs, learning_rate=config.learning_rate, unfreeze=None)
    if not config.finetune_epochs:
        return (head,)
    last = config.epochs + config.finetune_epochs
    rate = config.finetune_learning_rate
    return head, StagePlan(first=config.epochs, last=last, learning_rate=rate, unfreeze=config.finetune_from)


def _plan(cut: Cut, material: Material, run: Run, config: ClassifierConfig, augmented: bool) -> Plan:
    return plan_views(
        cut.trunk,
        material.train.images,
        run.views if config.cache is None else Path(config.cache),
        views=config.views,
        seed=config.seed,
        noise=config.noise if augmented else None,
        bfloat16=wants_bfloat16(config.frozen_precision),
    )


def _pixels(material: Material, config: ClassifierConfig, augmented: bool) -> Examples:
    change = augmentation(config.seed, config.noise) if augmented else None
    return Examples(
        views=(material.train.images,), labels=material.train.labels, weights=material.weights, change=change
    )


def _validation(material: Material, cut: Cut | None, config: ClassifierConfig) -> Examples:
    """Its frozen features are in float32, as the exported network computes them, and small enough for memory."""
    images, labels = material.validation.images, material.validation.labels
    inputs = images if cut is None else answerer(cut.trunk)(images, config.batch_size)
    return Examples(views=(inputs,), labels=labels, weights=np.ones(len(labels), np.float32))

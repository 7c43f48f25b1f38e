"""One training step shared by several devices: each has a copy of the weights and takes its part of the batch.

Synchronous data parallelism by ``tf.distribute.MirroredStrategy``. A plugin needs to know nothing of it: its
``train_step`` runs once on each device, on fewer images.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from medsynth.errors import ConfigError
from medsynth.train.checkpoint import model_variables, optimizers

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Replicas"]

_APART = 7919
"""Between the seeds of two devices."""


class Replicas:
    """The devices that share a step.

    Args:
        count: How many; the GPUs are taken in their order. 1: whatever TensorFlow takes by itself.
        batch_size: Images of a step, all devices together.

    Raises:
        ConfigError: There are fewer, or they cannot share a batch evenly, two images each at least.
    """

    def __init__(self, count: int, batch_size: int) -> None:
        self.count, self.batch_size = count, batch_size
        self._strategy = tf.distribute.get_strategy()
        if count == 1:
            return
        if batch_size % count or batch_size < 2 * count:
            raise ConfigError(
                f"batch_size must be a multiple of devices, two images for each at least. Got {batch_size} and {count}."
            )
        # TensorFlow may have been told to make several devices of one processor, as tests do.
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        found = [device.name for device in tf.config.list_logical_devices(kind)]
        if len(found) < count:
            raise ConfigError(f"devices must be at most {len(found)}: TensorFlow finds that many {kind}s. Got {count}.")
        self._strategy = tf.distribute.MirroredStrategy(found[:count])

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """A model that is built within it lies on every device."""
        if self.count == 1:
            yield
            return
        with self._strategy.scope(), tf.variable_creator_scope(_mirrored):
            yield

    def adopt(self, model: keras.Model) -> None:
        """Once, when it is built and loaded: other random numbers on each device, and the mean of gradients."""
        if self.count == 1:
            return
        for optimizer in optimizers(model):
            # Keras adds up the gradients of the devices, and each is the mean over its own part of the batch. (Its
            # loss_scale_factor would divide too, but not the sparse gradients of embeddings.)
            optimizer.apply = functools.partial(_apply_mean, optimizer.apply, self.count)
        for variable in model_variables(model):
            parts = getattr(variable.value, "values", ())
            if _is_seed(variable.value) and parts:
                seed, drawn = parts[0].numpy()
                for index, part in enumerate(parts):
                    part.assign([seed + _APART * index, drawn])

    def step(
        self, model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> Callable[[NDArray[np.int64]], Mapping[str, Any]]:
        """The compiled step: from the rows of a batch to the figures of ``model.train_step``, means over the devices.

        Args:
            model: Built within :meth:`building`.
            images: All training images; they lie on the devices, and a step is handed only the rows that it takes.
            labels: Their classes.
        """
        share, strategy = self.batch_size // self.count, self._strategy
        # A copy for each, because a device would else fetch all of them from another at every step.
        pixels, classes = (
            strategy.experimental_distribute_values_from_function(lambda _, every=every: tf.constant(every))
            for every in (images, labels)
        )

        def one(rows: Any, pixels: Any, classes: Any) -> Any:
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            mine = rows[share * index : share * (index + 1)]
            return model.train_step((tf.gather(pixels, mine), tf.gather(classes, mine)))

        def step(rows: Any) -> Any:
            told = strategy.run(one, args=(rows, pixels, classes))
            return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, None) for name, value in told.items()}

        rows = tf.TensorSpec((self.batch_size,), tf.int64)
        # Without AutoGraph, as in Keras' own fit: translating Python takes an eighth of the time before the first step.
        compiled: Callable[..., Mapping[str, Any]] = tf.function(
            step, input_signature=[rows], jit_compile=model.jit_compile, autograph=False
        )
        return compiled


def _mirrored(create: Callable[..., Any], **settings: Any) -> Any:
    """What a step may do with a variable on several devices: Keras says it of some of its own only.

    The mean is right for running statistics, and for what is computed alike everywhere (moving averages of weights).
    """
    if tf.as_dtype(settings.get("dtype") or tf.float32).is_floating:
        return create(**{**settings, "aggregation": tf.VariableAggregation.MEAN})
    settings["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    if "seed" in (settings.get("name") or ""):
        settings["synchronization"] = tf.VariableSynchronization.ON_READ
    return create(**settings)


def _apply_mean(apply: Callable[..., None], count: int, gradients: Any, *variables: Any) -> None:
    apply([each if each is None else tf.convert_to_tensor(each) / count for each in gradients], *variables)


def _is_seed(variable: Any) -> bool:
    return variable.dtype.is_integer and "seed" in variable.name

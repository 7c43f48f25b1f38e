"""One training step of a classifier: the loss, the optimizer, and both with the network in one compiled function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from medsynth.config import ClassifierConfig

__all__ = ["build_optimizer", "compile_step"]

_WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""


def build_optimizer(config: ClassifierConfig, rate: float, steps: int) -> keras.optimizers.Optimizer:
    """Adam, with the settings' weight decay and schedule.

    Args:
        config: The settings.
        rate: Learning rate at its highest.
        steps: Over which it rises and falls, with the schedule ``"cosine"``.
    """
    scheduled: Any = rate
    if config.schedule == "cosine":
        warm = max(1, round(_WARM_UP * steps))
        scheduled = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm), alpha=0.01, warmup_target=rate, warmup_steps=warm
        )
    if not config.weight_decay:
        return keras.optimizers.Adam(scheduled)
    optimizer = keras.optimizers.AdamW(scheduled, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def compile_step(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, smoothing: float
) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Cross-entropy, its gradient and the optimizer's update, in one function.

    Keras' own ``fit`` does the same, but traces the network twice before its first step, because its metrics are made
    while it traces. Small networks spend most of their training there.

    Args:
        network: From inputs to logits. What its layers add to the loss counts.
        optimizer: Is built for the network's trainable variables.
        smoothing: Of the labels.

    Returns:
        From a batch's inputs, labels (n,) int64 and weights (n,) float32 to its loss and the share of images that were
        classified right, without weights.
    """
    optimizer.build(network.trainable_variables)
    taken = network.inputs[0]
    signature = [
        tf.TensorSpec((None, *taken.shape[1:]), tf.as_dtype(taken.dtype)),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None,), tf.float32),
    ]

    def step(inputs: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = network(inputs, training=True)
            loss = tf.add_n([tf.reduce_mean(weights * _cross_entropy(labels, logits, smoothing)), *network.losses])
        trained = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [variable.value for variable in trained]), trained)
        right = tf.equal(tf.argmax(logits, axis=1), labels)
        return loss, tf.reduce_mean(tf.cast(right, tf.float32))

    compiled: Callable[[Any, Any, Any], tuple[Any, Any]] = tf.function(step, input_signature=signature, autograph=False)
    return compiled


def _cross_entropy(labels: Any, logits: Any, smoothing: float) -> Any:
    """Of each row (n,)."""
    if not smoothing:
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    targets = tf.one_hot(labels, logits.shape[-1])
    return keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=smoothing)

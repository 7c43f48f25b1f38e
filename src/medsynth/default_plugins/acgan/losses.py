"""What the networks of the modern recipe are driven by; every loss is computed in float32."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["auxiliary", "data_to_data", "energy_distance", "hinge_discriminator", "hinge_generator", "penalty"]


def hinge_discriminator(real: Any, fake: Any) -> Any:
    """Mean max(0, 1 - D(x)) + mean max(0, 1 + D(G(z))): Lim and Ye 2017, arXiv 1705.02894; logits (n, 1)."""
    return ops.mean(ops.relu(1.0 - real)) + ops.mean(ops.relu(1.0 + fake))


def hinge_generator(fake: Any) -> Any:
    """-mean D(G(z)); logits (n, 1)."""
    return -ops.mean(fake)


def auxiliary(embedded: Any, labels: Any, proxies: Any) -> Any:
    """Softmax cross-entropy of the classes, whose logits are ``embedded @ proxies.T``: the head of AC-GAN."""
    logits = ops.matmul(embedded, ops.transpose(proxies))
    return ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def data_to_data(embedded: Any, labels: Any, proxies: Any, *, margin: float, temperature: float) -> Any:
    """Data-to-data cross-entropy: Kang et al. 2021 (ReACGAN), arXiv 2111.01118, equation 8.

    With f_i and v_y embeddings and proxies of length 1, and m_p the margin, m_n = 1 - m_p:
    -mean_i log(e^a_i / (e^a_i + sum over j of another class of e^b_ij)), a_i = min(f_i.v_y - m_p, 0) / temperature,
    b_ij = max(f_i.f_j - m_n, 0) / temperature. By log-sum-exp over positive and negatives together, which is the
    formula; the authors' code subtracts the largest value from the negatives only, which is another loss.

    Args:
        embedded: (n, d), any length.
        labels: int (n,); without two classes in the batch there are no negatives, and the loss is 0.
        proxies: One for each class, (classes, d), any length.
        margin: m_p.
        temperature: Above 0.
    """
    f, v = unit(embedded), unit(proxies)
    positive = ops.minimum(ops.sum(f * ops.take(v, labels, axis=0), axis=1) - margin, 0.0) / temperature
    negative = ops.maximum(ops.matmul(f, ops.transpose(f)) - (1.0 - margin), 0.0) / temperature
    others = ops.not_equal(labels[:, None], labels[None, :])
    negative = ops.where(others, negative, -1e9)
    every = ops.concatenate([positive[:, None], negative], axis=1)
    return ops.mean(ops.logsumexp(every, axis=1) - positive)


def unit(rows: Any) -> Any:
    """Rows brought to length 1."""
    return rows * ops.rsqrt(ops.sum(ops.square(rows), axis=1, keepdims=True) + 1e-12)


def penalty(gradient: Any) -> Any:
    """R1: half the mean squared length of D's gradient at real images (Mescheder et al. 2018, arXiv 1801.04406, 9)."""
    return 0.5 * ops.mean(ops.sum(ops.square(gradient), axis=(1, 2, 3)))


def energy_distance(real: Any, fake: Any, labels: Any) -> Any:
    """2 E|x - y| - E|y - y'| within a class: Gritsenko et al. 2020, arXiv 2008.01160, equation 3.

    The energy distance between real x and generated y, without the term of real images alone, which nothing moves.
    Its gradient is unbiased from small batches: the first part draws generated images to real ones, the second pushes
    them apart, and the sum is least where both are distributed alike.

    Args:
        real: Descriptions of real images, a list of (n, d); the distance of two images is the mean over the list of
            their root mean square differences.
        fake: Of generated images, likewise.
        labels: int (n,), of both; pairs are of one class.
    """
    same = ops.cast(ops.equal(labels[:, None], labels[None, :]), "float32")
    others = same * (1.0 - ops.eye(ops.shape(labels)[0]))
    return 2.0 * _mean_distance(real, fake, same) - _mean_distance(fake, fake, others)


def _mean_distance(left: Any, right: Any, weights: Any) -> Any:
    distances = []
    for a, b in zip(left, right, strict=True):
        square = ops.mean(ops.square(a[:, None] - b[None]), axis=-1)
        # The gradient of a root is infinite at 0, where each image is with itself.
        distances.append(ops.sqrt(square + 1e-8))
    # A class with one image in the batch has no pair.
    return ops.sum(weights * sum(distances)) / (len(distances) * ops.maximum(ops.sum(weights), 1.0))

"""Losses as one writes them by hand in JAX, of logits (images, classes, ...) and labels."""

import jax
import jax.numpy as jnp


def one_hot(z, labels):
    return jnp.moveaxis(jax.nn.one_hot(labels, z.shape[1], dtype=z.dtype), -1, 1)


def cross_entropies(z, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(z, 1), labels[:, None], 1)


def cross_entropy(z, labels):
    return cross_entropies(z, labels).mean()


def cross_entropy_of_one_hot(z, labels):
    return -(one_hot(z, labels) * jax.nn.log_softmax(z, 1)).sum(1).mean()


def focal(z, labels):
    loss = cross_entropies(z, labels)
    return ((1 - jnp.exp(-loss)) ** 2 * loss).mean()


def dice(z, labels):
    return _dice(z, labels, jax.nn.softmax(z, 1) * one_hot(z, labels))


def dice_by_choice(z, labels):
    is_class = labels[:, None] == jnp.arange(z.shape[1]).reshape(-1, *(1,) * (z.ndim - 2))
    return _dice(z, labels, jnp.where(is_class, jax.nn.softmax(z, 1), 0.0))


def _dice(z, labels, both):
    axes = (0, *range(2, z.ndim))
    sizes = jax.nn.softmax(z, 1).sum(axes) + one_hot(z, labels).sum(axes)
    return (1 - 2 * both.sum(axes) / sizes).mean()


def cross_entropy_and_dice(z, labels):
    return cross_entropy(z, labels) + dice(z, labels)


def lovasz(z, labels):
    """As in the published code, all classes at once."""
    errors, foreground = _errors(z, labels)
    order = jnp.argsort(-errors, axis=1)
    errors, foreground = (jnp.take_along_axis(x, order, 1) for x in (errors, foreground))
    return _lovasz(errors, foreground)


def lovasz_of_pairs(z, labels):
    errors, foreground = jax.lax.sort(
        [x * s for x, s in zip(_errors(z, labels), (-1, 1), strict=True)], num_keys=1
    )
    return _lovasz(-errors, foreground)


def _errors(z, labels):
    p, g = (jnp.moveaxis(x, 1, 0) for x in (jax.nn.softmax(z, 1), one_hot(z, labels)))
    p, g = (x.reshape(z.shape[1], -1) for x in (p, g))
    return jnp.abs(g - p), g


def _lovasz(errors, foreground):
    support = foreground.sum(1, keepdims=True)
    union = support + (1 - foreground).cumsum(1)
    jaccard = 1 - (support - foreground.cumsum(1)) / union
    growth = jnp.diff(jaccard, axis=1, prepend=0.0)
    return (errors * jax.lax.stop_gradient(growth)).sum(1).mean()

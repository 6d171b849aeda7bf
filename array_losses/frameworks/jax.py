"""JAX: the plain formula, which JAX differentiates; concrete arrays are jitted inside."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from array_losses.core import formula, labels
from array_losses.core.formula import AllReduce, Terms
from array_losses.core.namespace import Array, namespace_of

__all__ = ["value", "value_and_grad"]


def value(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> Array:
    """Return the loss."""
    if all_reduce is not None or _is_traced(logits, target, pixel_weights):
        return formula.evaluate(terms, logits, target, pixel_weights, all_reduce)
    _look(terms, logits, target, pixel_weights)
    return _value(terms, logits, target, pixel_weights)


def value_and_grad(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits."""
    if all_reduce is not None or _is_traced(logits, target, pixel_weights):
        both = jax.value_and_grad(formula.evaluate, argnums=1)
        return both(terms, logits, target, pixel_weights, all_reduce)
    _look(terms, logits, target, pixel_weights)
    return _value_and_grad(terms, logits, target, pixel_weights)


_value = partial(jax.jit, static_argnums=0)(formula.evaluate)
_value_and_grad = partial(jax.jit, static_argnums=0)(
    jax.value_and_grad(formula.evaluate, argnums=1)
)


def _is_traced(*arrays: Array | None) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in arrays)


def _look(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> None:
    """Raise a ValueError for bad labels or weights, where they lie in this process's memory."""
    batches = formula.prepare(terms, logits, target, pixel_weights, None)
    if not _is_near(target) or (pixel_weights is not None and not _is_near(pixel_weights)):
        return
    xp = namespace_of(target=np.asarray(0))
    checked = set()
    for (_, one), batch in zip(terms, batches, strict=True):
        key = (one.class_axis, one.view.ignore_index)
        if batch.soft or key in checked:
            continue
        checked.add(key)
        classes = batch.logits.shape[1]
        highest = classes - 1 if batch.labelled and classes > 1 else 1
        numbers = labels.as_integers(xp, np.asarray(batch.target))
        weights = None if batch.pixel_weights is None else np.asarray(batch.pixel_weights)
        if weights is not None and not batch.labelled:
            weights = np.expand_dims(weights, 1)
        labels.check(xp, numbers, highest, one.view.ignore_index, weights)
    if pixel_weights is not None:
        _check_weights(np.asarray(pixel_weights), np.asarray(target), terms)


def _check_weights(weights: Array, target: Array, terms: Terms) -> None:
    """Raise a ValueError for a negative weight of a pixel that one of the losses counts."""
    negative = weights < 0
    if negative.any() and target.shape == weights.shape:
        ignored = [np.isin(target, one.view.ignore_index) for _, one in terms]
        negative = negative & ~np.logical_and.reduce(ignored)
    if negative.any():
        msg = f"`pixel_weights` must not be negative, got {weights.min()}."
        raise ValueError(msg)


def _is_near(x: Array) -> bool:
    return bool(x.is_fully_addressable) and all(d.platform == "cpu" for d in x.devices())

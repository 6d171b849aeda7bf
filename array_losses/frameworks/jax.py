"""JAX: the plain formula, which JAX differentiates; concrete arrays are jitted inside."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from array_losses.core import formula
from array_losses.core.arguments import Batch
from array_losses.core.block import View
from array_losses.core.formula import AllReduce, Terms
from array_losses.core.namespace import Array, namespace_of
from array_losses.core.pixels import Pixels

__all__ = ["as_numpy", "value", "value_and_grad"]


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


def as_numpy(*arrays: Array | None) -> tuple[Array, ...] | None:
    """Return NumPy arrays of the same memory, None where there can be none."""
    if _is_traced(*arrays) or not all(x is None or _is_near(x) for x in arrays):
        return None
    return tuple(x if x is None else np.asarray(x) for x in arrays)


_value = partial(jax.jit, static_argnums=0)(formula.evaluate)
_value_and_grad = partial(jax.jit, static_argnums=0)(
    jax.value_and_grad(formula.evaluate, argnums=1)
)


def _is_traced(*arrays: Array | None) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in arrays)


def _look(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> None:
    """Raise a ValueError for bad values, as for NumPy arrays, where they are in CPU memory."""
    batches = formula.prepare(terms, logits, target, pixel_weights, None)
    if not all(x is None or _is_near(x) for x in (target, pixel_weights)):
        return
    looked_at = set()
    for (_, one), batch in zip(terms, batches, strict=True):
        key = (one.class_axis, one.view)
        if key not in looked_at:
            looked_at.add(key)
            _look_at(batch, one.view)


def _look_at(batch: Batch, view: View) -> None:
    read = view.activation is None and _is_near(batch.logits)
    target = np.asarray(batch.target)
    near = Batch(
        namespace_of(target=target),
        np.asarray(batch.logits) if read else np.broadcast_to(np.float32(0), batch.logits.shape),
        target,
        None if batch.pixel_weights is None else np.asarray(batch.pixel_weights),
    )
    pixels = Pixels(formula.whole(near), view, look=True, traced=False)
    _ = pixels.logits if read else pixels.counted


def _is_near(x: Array) -> bool:
    return bool(x.is_fully_addressable) and all(d.platform == "cpu" for d in x.devices())

"""JAX: the plain formula, which JAX differentiates; concrete arrays are jitted inside.

Where a loss has its first derivative in closed form, a rule says so; what is beyond that (second
derivatives, those with respect to the weights) is of the plain formula again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from array_losses.core import closed, formula
from array_losses.core.arguments import Batch
from array_losses.core.block import View
from array_losses.core.formula import AllReduce, Terms
from array_losses.core.namespace import Array, namespace_of

__all__ = ["alike", "as_numpy", "value", "value_and_grad", "value_and_terms"]


def value(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> Array:
    """Return the loss."""
    _inspect(terms, logits, target, pixel_weights)
    if all_reduce is not None or _is_traced(logits, target, pixel_weights):
        return _loss(terms, logits, target, pixel_weights, all_reduce)
    return _value(terms, logits, target, pixel_weights)


def value_and_grad(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits."""
    _inspect(terms, logits, target, pixel_weights)
    if all_reduce is not None or _is_traced(logits, target, pixel_weights):
        both = jax.value_and_grad(_loss, argnums=1)
        return both(terms, logits, target, pixel_weights, all_reduce)
    return _value_and_grad(terms, logits, target, pixel_weights)


def value_and_terms(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, and the values of the losses in it without their weights."""
    _inspect(terms, logits, target, pixel_weights)
    if all_reduce is not None or _is_traced(logits, target, pixel_weights):
        return _loss_and_terms(terms, logits, target, pixel_weights, all_reduce)
    return _value_and_terms(terms, logits, target, pixel_weights)


def alike(*arrays: Array | None) -> tuple[Array | None, ...]:
    """Return arrays of NumPy as those of JAX, and integers of less than 8 bits in 8.

    With those JAX can do little.
    """
    return tuple(_as_ours(x) for x in arrays)


def _as_ours(x: Array | None) -> Array | None:
    if x is None:
        return None
    if isinstance(x, np.ndarray | np.generic):
        known = x.dtype.kind in "biuf" and not isinstance(x, np.ma.MaskedArray)
        return _from_numpy(x) if known else x
    name = str(getattr(x, "dtype", None))
    if name in _NARROW:
        return x.astype(jnp.uint8 if name.startswith("u") else jnp.int8)
    return x


def _from_numpy(x: Array) -> Array:
    dtype = jax.dtypes.canonicalize_dtype(x.dtype.newbyteorder("="))
    if x.dtype.kind in "iu" and x.dtype.itemsize > dtype.itemsize:
        # Without its high bits a bad label could be a good one.
        x = np.clip(x, jnp.iinfo(dtype).min, jnp.iinfo(dtype).max)
    return jnp.asarray(x.astype(dtype, copy=False))


_NARROW = frozenset({"int1", "int2", "int4", "uint1", "uint2", "uint4"})


def as_numpy(*arrays: Array | None) -> tuple[Array, ...] | None:
    """Return NumPy arrays of the same memory, None where there can be none."""
    if _is_traced(*arrays) or not all(x is None or _is_near(x) for x in arrays):
        return None
    return tuple(x if x is None else np.asarray(x) for x in arrays)


def _loss(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None = None,
) -> Array:
    """Return the loss, for JAX to differentiate."""
    if all_reduce is None and closed.serves(terms, logits, target):
        return _closed(terms, logits, target, pixel_weights)
    return formula.evaluate(terms, logits, target, pixel_weights, all_reduce)


def _loss_and_terms(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None = None,
) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, for JAX to differentiate, and the values of the losses in it."""
    if all_reduce is None and closed.serves(terms, logits, target):
        loss = _closed(terms, logits, target, pixel_weights)
        # The same operations once more: XLA makes one of two.
        fixed = jax.lax.stop_gradient((logits, target, pixel_weights))
        return loss, tuple(closed.each_value(terms, *fixed))
    each = formula.each_value(terms, logits, target, pixel_weights, all_reduce)
    return formula.weighted_sum(terms, each), tuple(jax.lax.stop_gradient(each))


_value = partial(jax.jit, static_argnums=0)(_loss)
_value_and_terms = partial(jax.jit, static_argnums=0)(_loss_and_terms)
_value_and_grad = partial(jax.jit, static_argnums=0)(jax.value_and_grad(_loss, argnums=1))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _closed(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> Array:
    """Return the loss, whose derivative is the slope times that of the logits."""
    return closed.value(terms, logits, target, pixel_weights)


def _closed_jvp(terms: Terms, primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, target, pixel_weights = primals
    if not isinstance(tangents[2], SymbolicZero | None):
        return _follow(partial(_plain, terms), primals, tangents)
    loss, slope = _value_and_slope(terms, logits, target, pixel_weights)
    if isinstance(tangents[0], SymbolicZero):
        return loss, jnp.zeros_like(loss)
    return loss, jnp.sum(slope * tangents[0].astype(slope.dtype))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_slope(
    terms: Terms, logits: Array, target: Array, pixel_weights: Array | None
) -> tuple[Array, Array]:
    """Return both in closed form; what is differentiated further is the plain formula."""
    return closed.value_and_slope(terms, logits, target, pixel_weights)


def _value_and_slope_jvp(terms: Terms, primals: Any, tangents: Any) -> tuple[Any, Any]:
    both = _value_and_slope(terms, *primals)
    wide = (primals[0].astype(both[1].dtype), *primals[1:])
    function = jax.value_and_grad(partial(_plain, terms))
    return both, _follow(function, wide, tangents)[1]


_closed.defjvp(_closed_jvp, symbolic_zeros=True)
_value_and_slope.defjvp(_value_and_slope_jvp, symbolic_zeros=True)


def _plain(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> Array:
    return formula.evaluate(terms, logits, target, pixel_weights)


def _follow(function: Any, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Return a function of logits, target and weights, and its derivative."""
    moved = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero | None)]

    def of_moved(*some: Array) -> Any:
        every = list(primals)
        for i, x in zip(moved, some, strict=True):
            every[i] = x
        return function(*every)

    given = [primals[i] for i in moved]
    along = [tangents[i].astype(x.dtype) for i, x in zip(moved, given, strict=True)]
    return jax.jvp(of_moved, given, along)


def _is_traced(*arrays: Array | None) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in arrays)


def _inspect(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> None:
    """Raise a ValueError for bad values, as for NumPy arrays, in what is in CPU memory.

    That may be some of the arrays only: `jax.grad` follows the logits alone. What weights, or
    ignored labels, that are traced may hide stays as it is, and becomes NaN.
    """
    if not _is_known(pixel_weights) or not any(map(_is_known, (logits, target))):
        return
    batches = formula.prepare(terms, logits, target, pixel_weights, None)
    known = _is_known(target)
    pairs = [
        (term, _near(batch, term[1].view))
        for term, batch in zip(terms, batches, strict=True)
        if known or not term[1].view.ignore_index
    ]
    formula.inspect(tuple(term for term, _ in pairs), [batch for _, batch in pairs])


def _near(batch: Batch, view: View) -> Batch:
    """Return a batch of NumPy arrays, with zeros for what is not there or need not be read."""
    read = view.activation is None and _is_known(batch.logits)

    def zeros(x: Array) -> Array:
        return np.broadcast_to(np.zeros((), dtype=x.dtype), x.shape)

    target = np.asarray(batch.target) if _is_known(batch.target) else zeros(batch.target)
    return Batch(
        namespace_of(target=target),
        np.asarray(batch.logits) if read else zeros(batch.logits),
        target,
        None if batch.pixel_weights is None else np.asarray(batch.pixel_weights),
    )


def _is_known(x: Array | None) -> bool:
    return x is None or (not isinstance(x, jax.core.Tracer) and _is_near(x))


def _is_near(x: Array) -> bool:
    return bool(x.is_fully_addressable) and all(d.platform == "cpu" for d in x.devices())

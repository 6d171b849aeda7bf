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

from array_losses.core.arguments import Batch
from array_losses.core.block import View
from array_losses.core.namespace import Array, namespace_of
from array_losses.core.protocol import Call, Terms, prepare
from array_losses.core.whole import WholeEvaluation, check_values, has_closed_form
from array_losses.frameworks.jax import Jax, is_known, is_traced
from array_losses.frameworks.libraries import library_of

__all__ = ["value", "value_and_grad", "value_and_terms"]

_JAX = Jax(jnp)
_explicit = partial(WholeEvaluation, _JAX, autodiff=False)
_followed = partial(WholeEvaluation, _JAX, autodiff=True)
_has_closed_form = partial(has_closed_form, strategies=("pixel", "sums", "sorted", "histogram"))


def value(call: Call) -> Array:
    """Return the loss."""
    _inspect(call)
    if _is_followed(call):
        return _loss(*call)
    return _value(call.terms, *call.arrays)


def value_and_grad(call: Call) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits."""
    _inspect(call)
    if _is_followed(call):
        return jax.value_and_grad(_loss, argnums=1)(*call)
    return _value_and_grad(call.terms, *call.arrays)


def value_and_terms(call: Call) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, and the values of the losses in it without their weights."""
    _inspect(call)
    if _is_followed(call):
        return _loss_and_terms(*call)
    return _value_and_terms(call.terms, *call.arrays)


def _is_followed(call: Call) -> bool:
    """Return whether it is not to be jitted: JAX follows it already, or it may not be pure."""
    return call.all_reduce is not None or is_traced(*call.arrays)


def _loss(terms: Terms, *arguments: Any) -> Array:
    """Return the loss, for JAX to differentiate."""
    call = Call(terms, *arguments)
    return _closed(terms, *call.arrays) if _has_closed_form(call) else _followed(call).value


def _loss_and_terms(terms: Terms, *arguments: Any) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, for JAX to differentiate, and the values of the losses in it."""
    call = Call(terms, *arguments)
    if _has_closed_form(call):
        loss = _closed(terms, *call.arrays)
        # The same operations once more: XLA makes one of two.
        fixed = Call(terms, *jax.lax.stop_gradient(call.arrays))
        return loss, tuple(_explicit(fixed).each_value)
    found = _followed(call)
    return found.value, tuple(jax.lax.stop_gradient(found.each_value))


_value = partial(jax.jit, static_argnums=0)(_loss)
_value_and_terms = partial(jax.jit, static_argnums=0)(_loss_and_terms)
_value_and_grad = partial(jax.jit, static_argnums=0)(jax.value_and_grad(_loss, argnums=1))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _closed(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> Array:
    """Return the loss, whose derivative is the gradient times that of the logits."""
    return _explicit(Call(terms, logits, target, pixel_weights)).value


def _closed_jvp(terms: Terms, primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, target, pixel_weights = primals
    if not isinstance(tangents[2], SymbolicZero | None):
        return _follow(partial(_plain, terms), primals, tangents)
    loss, gradient = _value_and_gradient(terms, logits, target, pixel_weights)
    if isinstance(tangents[0], SymbolicZero):
        return loss, jnp.zeros_like(loss)
    return loss, jnp.sum(gradient * tangents[0].astype(gradient.dtype))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_gradient(
    terms: Terms, logits: Array, target: Array, pixel_weights: Array | None
) -> tuple[Array, Array]:
    """Return both in closed form; what is differentiated further is the plain formula."""
    found = _explicit(Call(terms, logits, target, pixel_weights))
    return found.value, found.gradient()


def _value_and_gradient_jvp(terms: Terms, primals: Any, tangents: Any) -> tuple[Any, Any]:
    both = _value_and_gradient(terms, *primals)
    wide = (primals[0].astype(both[1].dtype), *primals[1:])
    function = jax.value_and_grad(partial(_plain, terms))
    return both, _follow(function, wide, tangents)[1]


_closed.defjvp(_closed_jvp, symbolic_zeros=True)
_value_and_gradient.defjvp(_value_and_gradient_jvp, symbolic_zeros=True)


def _plain(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> Array:
    return _followed(Call(terms, logits, target, pixel_weights)).value


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


def _inspect(call: Call) -> None:
    """Raise a ValueError for bad values, as for NumPy arrays, in what is in CPU memory.

    That may be some of the arrays only: `jax.grad` follows the logits alone. What weights, or
    ignored labels, that are traced may hide stays as it is, and becomes NaN.
    """
    terms, target = call.terms, call.target
    if not is_known(call.pixel_weights) or not any(map(is_known, (call.logits, target))):
        return
    batches = prepare(_JAX, Call(terms, *call.arrays))
    known = is_known(target)
    pairs = [
        (term, _near(batch, term[1].view))
        for term, batch in zip(terms, batches, strict=True)
        if known or not term[1].view.ignore_index
    ]
    batches = [batch for _, batch in pairs]
    lib = library_of(np.zeros((), dtype=np.uint8))
    check_values(lib, tuple(term for term, _ in pairs), batches)


def _near(batch: Batch, view: View) -> Batch:
    """Return a batch of NumPy arrays, with zeros for what is not there or need not be read."""
    read = view.activation is None and is_known(batch.logits)

    def zeros(x: Array) -> Array:
        return np.broadcast_to(np.zeros((), dtype=x.dtype), x.shape)

    target = np.asarray(batch.target) if is_known(batch.target) else zeros(batch.target)
    return Batch(
        namespace_of(target=target),
        np.asarray(batch.logits) if read else zeros(batch.logits),
        target,
        None if batch.pixel_weights is None else np.asarray(batch.pixel_weights),
    )

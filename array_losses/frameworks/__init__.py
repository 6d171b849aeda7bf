"""Where each framework enters: the only rooms that name one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from array_losses.core.namespace import (
    Array,
    Namespace,
    is_cupy_namespace,
    is_jax_namespace,
    is_numpy_namespace,
    is_of_cupy,
    is_of_jax,
    is_tensor,
    is_torch_namespace,
    namespace_of,
)
from array_losses.core.protocol import Call
from array_losses.frameworks import eager
from array_losses.frameworks.libraries import library_of, of_namespace

__all__ = [
    "alike",
    "as_numpy",
    "can_inspect",
    "library_of",
    "of_namespace",
    "plainly",
    "value",
    "value_and_grad",
    "value_and_terms",
]

P = ParamSpec("P")
R = TypeVar("R")


def plainly(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function work with plain arrays on the current device.

    Among its arguments there may be tensors of PyTorch that carry metadata; what it returns is then
    of the type that PyTorch's own functions return. And arrays of CuPy on another device: CuPy
    computes on the current one.
    """

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        given = (*args, *named.values())
        if any(map(_may_carry_metadata, given)):
            from array_losses.frameworks import torch

            return torch.plainly(function, *args, **named)
        of_cupy: list[Array] = [x for x in given if is_of_cupy(x)]
        if not of_cupy:
            return function(*args, **named)
        with of_cupy[0].device:
            return function(*args, **named)

    return call


def _may_carry_metadata(x: Any) -> bool:
    return is_tensor(x) and type(x).__name__ not in {"Tensor", "Parameter"}


def alike(prediction: Array, *others: Array | None) -> tuple[Array | None, ...]:
    """Return the arrays of a call, with those of NumPy beside a prediction of JAX as JAX's own.

    JAX's functions take them so. They are no arrays that anything follows, so labels and weights
    lose nothing by it; a prediction of NumPy beside labels of JAX would.
    """
    if not is_of_jax(prediction):
        return prediction, *others
    from array_losses.frameworks import jax

    return jax.alike(prediction, *others)


def can_inspect(x: Array) -> bool:
    """Return whether the values of `x` can be inspected without a wait: eager ones on the CPU.

    Not those of JAX, whose calls return before the values are there.
    """
    xp = namespace_of(x=x)
    if is_torch_namespace(xp):
        from array_losses.frameworks import torch

        return torch.can_inspect(x)
    return not (is_jax_namespace(xp) or is_cupy_namespace(xp))


def value(call: Call) -> Array:
    """Return the loss, differentiable where the framework can."""
    call, xp = _seen(call)
    return _entry(xp).value(call)


def value_and_grad(call: Call) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits."""
    call, xp = _seen(call)
    return _entry(xp).value_and_grad(call)


def value_and_terms(call: Call) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, and the values of the losses in it without their weights."""
    call, xp = _seen(call)
    return _entry(xp).value_and_terms(call)


def _seen(call: Call) -> tuple[Call, Namespace]:
    """Return a call with arrays of one library, and their namespace."""
    logits, target, pixel_weights = alike(*call.arrays)
    call = Call(call.terms, logits, target, pixel_weights, call.all_reduce)
    return call, namespace_of(logits=logits, target=target, pixel_weights=pixel_weights)


def _entry(xp: Namespace) -> ModuleType:
    """Return the module by which calls enter."""
    if is_torch_namespace(xp):
        from array_losses.frameworks import torch_autograd

        return torch_autograd
    if is_jax_namespace(xp):
        from array_losses.frameworks import jax_transforms

        return jax_transforms
    return eager


def as_numpy(*arrays: Array | None) -> tuple[Array, ...] | None:
    """Return eager arrays in the memory of the CPU as NumPy arrays, without a copy; others: None.

    None too where a gradient to one of them is wanted.
    """
    xp = namespace_of(**{f"array {i}": x for i, x in enumerate(arrays) if x is not None})
    if is_numpy_namespace(xp):
        return arrays
    if is_torch_namespace(xp):
        from array_losses.frameworks import torch

        return torch.as_numpy(*arrays)
    if is_jax_namespace(xp):
        from array_losses.frameworks import jax

        return jax.as_numpy(*arrays)
    return None

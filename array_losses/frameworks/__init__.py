"""Where each framework enters: the only rooms that name one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from array_losses.core.engine import Evaluation
from array_losses.core.namespace import (
    Array,
    Namespace,
    is_cupy_namespace,
    is_jax_namespace,
    is_numpy_namespace,
    is_of_jax,
    is_tensor,
    is_torch_namespace,
    namespace_of,
)
from array_losses.core.protocol import AllReduce, Terms
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
    """Make a function work with plain arrays, where tensors of PyTorch carry metadata.

    Among its arguments; what it returns is of the type that PyTorch's own functions return.
    """

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        if not (
            any(map(_may_carry_metadata, args)) or any(map(_may_carry_metadata, named.values()))
        ):
            return function(*args, **named)
        from array_losses.frameworks import torch

        return torch.plainly(function, *args, **named)

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


def value(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> Array:
    """Return the loss, differentiable where the framework can."""
    logits, target, pixel_weights = alike(logits, target, pixel_weights)
    xp = namespace_of(logits=logits, target=target, pixel_weights=pixel_weights)
    if is_torch_namespace(xp):
        from array_losses.frameworks import torch_autograd

        return torch_autograd.value(terms, logits, target, pixel_weights, all_reduce)
    if is_jax_namespace(xp):
        from array_losses.frameworks import jax_transforms

        return jax_transforms.value(terms, logits, target, pixel_weights, all_reduce)
    return _eager(xp, terms, logits, target, pixel_weights, all_reduce).value()[0]


def value_and_grad(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits."""
    logits, target, pixel_weights = alike(logits, target, pixel_weights)
    xp = namespace_of(logits=logits, target=target, pixel_weights=pixel_weights)
    if is_torch_namespace(xp):
        from array_losses.frameworks import torch_autograd

        return torch_autograd.value_and_grad(terms, logits, target, pixel_weights, all_reduce)
    if is_jax_namespace(xp):
        from array_losses.frameworks import jax_transforms

        return jax_transforms.value_and_grad(terms, logits, target, pixel_weights, all_reduce)
    return _eager(xp, terms, logits, target, pixel_weights, all_reduce).value_and_gradient()


def value_and_terms(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, and the values of the losses in it without their weights."""
    logits, target, pixel_weights = alike(logits, target, pixel_weights)
    xp = namespace_of(logits=logits, target=target, pixel_weights=pixel_weights)
    if is_torch_namespace(xp):
        from array_losses.frameworks import torch_autograd

        return torch_autograd.value_and_terms(terms, logits, target, pixel_weights, all_reduce)
    if is_jax_namespace(xp):
        from array_losses.frameworks import jax_transforms

        return jax_transforms.value_and_terms(terms, logits, target, pixel_weights, all_reduce)
    evaluation = _eager(xp, terms, logits, target, pixel_weights, all_reduce)
    return evaluation.value()[0], evaluation.each_value


def _eager(
    xp: Namespace,
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> Evaluation:
    """Return the evaluation of eager arrays that nothing follows."""
    return Evaluation(
        of_namespace(xp),
        terms,
        logits,
        target,
        pixel_weights,
        all_reduce,
        can_inspect=not is_cupy_namespace(xp),
    )


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

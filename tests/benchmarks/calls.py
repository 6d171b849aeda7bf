"""How a loss is called: its value, and its value with a fresh gradient, in each framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from tests.benchmarks.workloads import Inputs

__all__ = [
    "Calls",
    "Preparation",
    "cupy_calls",
    "forget_compiled",
    "jax_calls",
    "numpy_calls",
    "torch_calls",
]


class Calls(NamedTuple):
    """Two functions without arguments: the value; the value and the gradient to the logits."""

    forward: Callable[[], Any]
    gradient: Callable[[], tuple[Any, Any]]


Preparation: TypeAlias = Callable[["Inputs"], Calls]


def numpy_calls(loss: Any, inputs: Inputs) -> Calls:
    """Return the calls of one of our losses with NumPy arrays."""
    z, t = inputs.logits, inputs.labels
    if inputs.workload.dtype == "bfloat16":
        msg = "NumPy has no bfloat16"
        raise TypeError(msg)
    return Calls(lambda: loss(z, t), lambda: loss.value_and_grad(z, t))


def cupy_calls(loss: Any, inputs: Inputs) -> Calls:
    """Return the calls of one of our losses with CuPy arrays."""
    import cupy

    z, t = cupy.asarray(inputs.logits), cupy.asarray(inputs.labels)
    return Calls(lambda: loss(z, t), lambda: loss.value_and_grad(z, t))


def torch_calls(
    function: Callable[[Any, Any], Any],
    inputs: Inputs,
    *,
    float_labels: bool = False,
    compiled: bool = False,
) -> Calls:
    """Return the calls with tensors: under no_grad, and with `backward`.

    The labels are int64, or floating in the logits' dtype where a binary peer takes nothing else:
    they are converted beforehand.
    """
    import torch

    z = torch.from_numpy(inputs.logits).to(inputs.device)
    if inputs.workload.dtype == "bfloat16":
        z = z.to(torch.bfloat16)
    t = torch.from_numpy(inputs.labels).to(inputs.device, torch.int64)
    if float_labels:
        t = t.to(z.dtype)
    alone = z  # as under no_grad in an evaluation
    z = z.detach().requires_grad_()
    if compiled:
        function = torch.compile(function, dynamic=False)

    def forward() -> Any:
        with torch.no_grad():
            return function(alone, t)

    def gradient() -> tuple[Any, Any]:
        z.grad = None
        value = function(z, t)
        value.backward()
        gradient, z.grad = z.grad, None  # so that whoever times it decides when it is freed
        return value.detach(), gradient

    return Calls(forward, gradient)


def forget_compiled() -> None:
    """Let torch.compile begin anew: it compiles a line of code for so many callers only."""
    import torch

    torch.compiler.reset()


def jax_calls(function: Callable[[Any, Any], Any], inputs: Inputs) -> Calls:
    """Return the calls of a function under `jax.jit`; they wait for the result.

    JAX arrays have no strides: where the classes are last in memory, they are the last axis.
    """
    import jax
    import jax.numpy as jnp

    last = inputs.workload.classes_last
    logits = np.moveaxis(inputs.logits, 1, -1) if last else inputs.logits
    on = jax.devices(inputs.device)[0]
    z = jnp.asarray(logits, dtype=inputs.workload.dtype, device=on)
    t = jnp.asarray(inputs.labels.astype(np.int32), device=on)
    value = jax.jit(function)
    both = jax.jit(jax.value_and_grad(function))
    return Calls(
        lambda: jax.block_until_ready(value(z, t)), lambda: jax.block_until_ready(both(z, t))
    )

"""NumPy, CuPy and every other library of the standard: eager arrays that nothing follows."""

from __future__ import annotations

from array_losses.core.engine import Evaluation
from array_losses.core.library import Library
from array_losses.core.namespace import Array, is_cupy_namespace
from array_losses.core.protocol import Call
from array_losses.frameworks.libraries import library_of

__all__ = ["value", "value_and_grad", "value_and_terms"]


def value(call: Call) -> Array:
    """Return the loss."""
    lib = library_of(call.logits)
    with lib.as_current(call.logits):
        return _evaluation(lib, call).value()[0]


def value_and_grad(call: Call) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits."""
    lib = library_of(call.logits)
    with lib.as_current(call.logits):
        return _evaluation(lib, call).value_and_gradient()


def value_and_terms(call: Call) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss, and the values of the losses in it without their weights."""
    lib = library_of(call.logits)
    with lib.as_current(call.logits):
        evaluation = _evaluation(lib, call)
        return evaluation.value()[0], evaluation.each_value


def _evaluation(lib: Library, call: Call) -> Evaluation:
    return Evaluation(lib, call, can_inspect=not is_cupy_namespace(lib.xp))

"""What presets check themselves: options and shapes, in the words of our own losses' errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_losses.core.namespace import Array

__all__ = ["no_gradient", "one_of", "same_shape"]


def one_of(name: str, value: Any, *known: str | None) -> None:
    """Raise a ValueError unless an option is one of the known texts, or None."""
    if value not in known:
        *others, last = (str(one) if one is None else f'"{one}"' for one in known)
        msg = f"`{name}` must be {', '.join(others)} or {last}, got {value!r}."
        raise ValueError(msg)


def same_shape(**arrays: Array) -> None:
    """Raise a ValueError unless the first of two named arrays has the shape of the second."""
    (name, shape), (other, expected) = ((one, tuple(x.shape)) for one, x in arrays.items())
    if shape != expected:
        msg = f"`{name}` must have the shape of `{other}`, {expected}, got {shape}."
        raise ValueError(msg)


def no_gradient(option: str) -> Callable[[Array], Array]:
    """Return what stands for the derivative of a user's function: an error that names it."""

    def fail(_: Array) -> Array:
        msg = (
            f"`{option}` has no derivative that is known here: call the loss, and let PyTorch or "
            "JAX differentiate it."
        )
        raise NotImplementedError(msg)

    return fail

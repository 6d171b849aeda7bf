"""Which library an array belongs to: the object that `core` asks what that library does best."""

from __future__ import annotations

from array_losses.core.library import Library
from array_losses.core.namespace import (
    Array,
    Namespace,
    is_cupy_namespace,
    is_jax_namespace,
    is_numpy_namespace,
    is_torch_namespace,
    namespace_of,
)

__all__ = ["library_of", "of_namespace"]

# By the name of the namespace, or itself: array-api-strict has one, with flags.
_known: dict[str, Library] = {}


def library_of(x: Array) -> Library:
    """Return the library of an array."""
    return of_namespace(namespace_of(array=x))


def of_namespace(xp: Namespace) -> Library:
    """Return the library of arrays with this namespace."""
    if is_torch_namespace(xp):  # Its compiler would compile anew when `_known` changes.
        from array_losses.frameworks.torch import TORCH

        return TORCH
    found = _known.get(xp.__name__)
    if found is None or found.xp is not xp:
        found = _known[xp.__name__] = _made(xp)
    return found


def _made(xp: Namespace) -> Library:
    if is_numpy_namespace(xp):
        from array_losses.frameworks.numpy import NumPy

        return NumPy(xp)
    if is_cupy_namespace(xp):
        from array_losses.frameworks.cupy import CuPy

        return CuPy(xp)
    if is_jax_namespace(xp):
        from array_losses.frameworks.jax import Jax

        return Jax(xp)
    return Library(xp)

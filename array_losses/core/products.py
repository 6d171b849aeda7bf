"""Sums of products, by what each library does best."""

from __future__ import annotations

import functools
import platform

from array_losses.core.namespace import Array, Namespace, is_numpy_namespace

__all__ = ["over_both", "over_classes", "over_pixels", "times"]

# NumPy leaves dot products to OpenBLAS, which starts threads for one of more than 10,000 numbers:
# of float64, and of float32 except on x86. They spin beside ours and everybody else's. Next to one
# busy process that takes 30 times as long: https://github.com/OpenMathLib/OpenBLAS/issues/5171.
_LONGEST_DOT = 1 << 13


def over_pixels(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the sums over pixels of `x` times `y`: (images, classes) from (images, ., pixels)."""
    if is_numpy_namespace(xp):
        if x.shape[2] <= _LONGEST_DOT or (x.dtype == xp.float32 and _is_x86()):
            return xp.vecdot(x, y)
        return _short_dots(xp, x, y)
    # PyTorch's dot product adds up float32 one after the other; its sum does so pairwise.
    return xp.sum(x * y, axis=2)


def _short_dots(xp: Namespace, x: Array, y: Array) -> Array:
    """Return `vecdot` of arrays with the same pixels, added up from pieces."""
    pieces, rest = divmod(x.shape[2], _LONGEST_DOT)
    even = x.shape[2] - rest
    rows = [one[:, :, :even].reshape(*one.shape[:2], pieces, _LONGEST_DOT) for one in (x, y)]
    found = xp.add.reduce(xp.vecdot(*rows), axis=2)
    return found + xp.vecdot(x[:, :, even:], y[:, :, even:]) if rest else found


@functools.cache
def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64"}


def over_classes(xp: Namespace, numbers: Array, x: Array) -> Array:
    """Return the sum over classes of `x` times one number a class, (images, 1, pixels)."""
    if is_numpy_namespace(xp):
        # Not as a matrix product: for a large block OpenBLAS would start threads, as above.
        return xp.einsum("ncx,ncp->np", numbers, x)[:, None, :]
    # Nor here: a setting may let PyTorch and CuPy round the factors of a product to 10 bits.
    return xp.sum(numbers * x, axis=1, keepdims=True)


def over_both(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the sum over classes of `x` times `y`, one number a pixel: (images, 1, pixels)."""
    if is_numpy_namespace(xp):
        return xp.einsum("ncp,ncp->np", x, y)[:, None, :]
    return xp.sum(x * y, axis=1, keepdims=True)


def times(weights: Array | None, x: Array) -> Array:
    """Return `x` times the weights, None for 1."""
    return x if weights is None else weights * x

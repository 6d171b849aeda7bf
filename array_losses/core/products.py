"""Sums of products, by what each library does best."""

from __future__ import annotations

from array_losses.core.namespace import Array, Namespace, is_numpy_namespace

__all__ = ["over_both", "over_classes", "over_pixels", "times"]


def over_pixels(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the sums over pixels of `x` times `y`: (images, classes) from (images, ., pixels)."""
    if is_numpy_namespace(xp):
        return xp.vecdot(x, y)
    # PyTorch's dot product adds up float32 one after the other; its sum does so pairwise.
    return xp.sum(x * y, axis=2)


def over_classes(xp: Namespace, numbers: Array, x: Array) -> Array:
    """Return the sum over classes of `x` times one number a class, (images, 1, pixels)."""
    if is_numpy_namespace(xp):
        # Not as a matrix product: for a large block OpenBLAS would start threads beside ours.
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

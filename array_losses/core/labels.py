"""Integer targets: which elements are ignored, which lie outside the classes."""

from __future__ import annotations

import math

from array_losses.core.namespace import Array, Namespace, index_dtype, is_bool

__all__ = ["as_integers", "check", "ignored", "is_class", "outside"]


def as_integers(xp: Namespace, target: Array) -> Array:
    """Return `target` with booleans as 0 and 1."""
    return xp.astype(target, xp.uint8) if is_bool(xp, target.dtype) else target


def ignored(xp: Namespace, target: Array, values: tuple[int, ...]) -> Array | None:
    """Return where `target` is one of the ignored `values`, or None if it never can be.

    A value that the dtype cannot hold is passed over: comparing with it is an OverflowError in
    array-api-strict and true of no element elsewhere.
    """
    limits = xp.iinfo(target.dtype)
    found = None
    for value in values:
        if limits.min <= value <= limits.max:
            here = target == value
            found = here if found is None else found | here
    return found


def outside(xp: Namespace, target: Array, highest: int) -> Array:
    """Return where `target` is none of the integers 0 to `highest`."""
    if highest >= xp.iinfo(target.dtype).max:
        return target < 0
    return (target < 0) | (target > highest)


def is_class(xp: Namespace, labels: Array, num_classes: int, on: object) -> Array:
    """Return where each of `num_classes` classes (axis 1) is the one of `labels` (images, 1, pixels)."""
    if num_classes == 1:
        return labels == 1
    if num_classes - 1 > xp.iinfo(labels.dtype).max:
        labels = xp.astype(labels, index_dtype(xp, on))
    return labels == xp.arange(num_classes, dtype=labels.dtype, device=on)[None, :, None]


def check(
    xp: Namespace, target: Array, highest: int, ignore_index: tuple[int, ...]
) -> bool:
    """Raise a ValueError for a counted label outside 0 to `highest`.

    Returns whether any element is ignored. Looks at values: for eager arrays on a CPU only.
    """
    if math.prod(target.shape) == 0:
        return False
    low, high = int(xp.min(target)), int(xp.max(target))
    hidden = None
    if any(low <= value <= high for value in ignore_index):
        hidden = ignored(xp, target, ignore_index)
    if low >= 0 and high <= highest:
        return hidden is not None and bool(xp.any(hidden))
    bad = outside(xp, target, highest)
    if hidden is not None:
        bad = bad & ~hidden
    if not xp.any(bad):
        return True
    zero = xp.zeros_like(target)
    found = int(xp.max(xp.where(bad, target, zero))) or int(xp.min(xp.where(bad, target, zero)))
    also = f" or the ignored {', '.join(map(str, ignore_index))}" if ignore_index else ""
    msg = f"`target` must hold integers from 0 to {highest}{also}, got {found}."
    raise ValueError(msg)

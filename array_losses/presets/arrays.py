"""What presets do to arrays before one of our losses sees them, and to options that are arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from array_losses import frameworks
from array_losses.core.labels import as_integers, ignored, outside
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    compute_dtype,
    device,
    index_dtype,
    is_array_api_obj,
    is_bool,
    is_real_floating,
    namespace_of,
)

__all__ = [
    "along_axis",
    "as_floating",
    "as_hard",
    "as_labels",
    "at_labels",
    "equal",
    "hard_if_it_is",
    "inverse_or_0",
    "is_class",
    "number_or_numbers",
    "numbers",
    "one_hot",
    "one_hot_checked",
    "zero_at",
]


def numbers(values: Any) -> tuple[float, ...] | None:
    """Return an option with one number per class, a sequence or an array, as a tuple."""
    if values is None:
        return None
    if is_array_api_obj(values):
        flat = namespace_of(values=values).reshape(values, (-1,))
        if hasattr(flat, "tolist"):  # All at once: for each of its own a GPU would be waited for.
            values = flat.tolist()
        else:
            values = [flat[i] for i in range(flat.shape[0])]
    return tuple(float(one) for one in values)


def number_or_numbers(value: Any) -> float | tuple[float, ...] | None:
    """Return an option that is a number, or one number per class."""
    if value is None or isinstance(value, float | int):
        return value
    if isinstance(value, Sequence):
        return numbers(value)
    found = numbers(value)
    return found[0] if found is not None and value.ndim == 0 else found


def as_labels(xp: Namespace, target: Array) -> Array:
    """Return labels as integers: many libraries keep them in floating arrays."""
    if is_real_floating(xp, target.dtype):
        return xp.astype(target, index_dtype(xp, device(target)))
    return target


def as_hard(xp: Namespace, target: Array, ignore_index: int | None = None) -> Array:
    """Return a floating target of 0, 1 and `ignore_index` as integers: a soft one is refused.

    Any other value becomes 2, which is an error in our losses.
    """
    if not is_real_floating(xp, target.dtype):
        return target
    known = _is_hard(target, ignore_index)
    return xp.astype(xp.where(known, target, 2.0), index_dtype(xp, device(target)))


def hard_if_it_is(xp: Namespace, target: Array, ignore_index: int | None = None) -> Array:
    """Return a floating target as integers if it holds nothing but 0, 1 and `ignore_index`.

    Only where its values can be inspected: a hard target is quicker than a soft one.
    """
    if not is_real_floating(xp, target.dtype) or not frameworks.can_inspect(target):
        return target
    if not xp.all(_is_hard(target, ignore_index)):
        return target
    if ignore_index is None:
        return xp.astype(target, xp.uint8)
    return xp.astype(target, index_dtype(xp, device(target)))


def _is_hard(target: Array, ignore_index: int | None) -> Array:
    known = (target == 0.0) | (target == 1.0)
    return known if ignore_index is None else known | (target == float(ignore_index))


def as_floating(xp: Namespace, x: Any, like: Array) -> Array:
    """Return `x`, an array or numbers, in the dtype that our losses compute in for `like`."""
    dtype, on = compute_dtype(xp, like.dtype), device(like)
    if is_array_api_obj(x):
        return xp.astype(x, dtype)
    if isinstance(x, float | int):
        return xp.full((), x, dtype=dtype, device=on)
    if all(isinstance(one, float | int) for one in x):  # kept on a device, not sent at each call
        return frameworks.library_of(like).per_class(tuple(x), dtype, on)
    return xp.asarray(x, dtype=dtype, device=on)


def one_hot(xp: Namespace, labels: Array, num_classes: int, dtype: DType, axis: int = 1) -> Array:
    """Return labels one-hot along `axis`; all are 0 for a label outside the classes."""
    if is_bool(xp, labels.dtype):
        labels = xp.astype(labels, xp.uint8)
    axis %= labels.ndim + 1
    classes = xp.arange(num_classes, dtype=labels.dtype, device=device(labels))
    along = [1] * (labels.ndim + 1)
    along[axis] = num_classes
    return xp.astype(xp.expand_dims(labels, axis=axis) == xp.reshape(classes, tuple(along)), dtype)


def along_axis(xp: Namespace, values: Any, like: Array, axis: int = 1) -> Array:
    """Return one number per class, or one for all, as an array that broadcasts over `like`."""
    values = as_floating(xp, values, like)
    if values.ndim == 0:
        return values
    shape = [1] * like.ndim
    shape[axis] = values.shape[0]
    return xp.reshape(values, tuple(shape))


def equal(xp: Namespace, target: Array, value: float | None) -> Array | None:
    """Return where `target` is `value`, or None if it never can be."""
    if value is None:
        return None
    if is_real_floating(xp, target.dtype):
        return target == float(value)
    if int(value) != value:
        return None
    return ignored(xp, as_integers(xp, target), (int(value),))


def zero_at(xp: Namespace, hidden: Array | None, x: Array) -> Array:
    """Return `x` with 0 where something is hidden."""
    return x if hidden is None else xp.where(hidden, xp.zeros_like(x), x)


def inverse_or_0(xp: Namespace, count: Array) -> Array:
    """Return 1 / `count`, and 0 where it is 0."""
    return xp.where(count == 0.0, 0.0, 1.0 / xp.where(count == 0.0, 1.0, count))


def at_labels(xp: Namespace, x: Array, labels: Array, num_classes: int) -> Array:
    """Return a map (images, ...) as (images, classes, ...), 0 except at the labelled class."""
    return x[:, None, ...] * one_hot(xp, labels, num_classes, x.dtype)


def is_class(xp: Namespace, labels: Array, number: int, num_classes: int) -> Array:
    """Return 1 where a label is this class, else 0; and 2, at class 0, for one outside them all."""
    there = xp.astype(labels == number, xp.uint8)
    if number > 0:
        return there
    bad = outside(xp, as_integers(xp, labels), num_classes - 1)
    return xp.where(bad, 2 * xp.ones_like(there), there)


def one_hot_checked(xp: Namespace, labels: Array, num_classes: int) -> Array:
    """Return labels as a one-hot target, with 2 at class 0 for a label outside the classes.

    Our losses refuse a 2, so such a label is an error.
    """
    bad = outside(xp, as_integers(xp, labels), num_classes - 1)
    target = one_hot(xp, labels, num_classes, index_dtype(xp, device(labels)))
    first = one_hot(xp, xp.zeros_like(labels), num_classes, target.dtype)
    return xp.where(bad[:, None, ...], 2 * first, target)

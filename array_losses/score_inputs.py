"""How the arrays of a score are read: as labels, as masks of one class, or with a class axis.

Nothing is guessed: arrays that could be read in two ways are an error that says what to pass.
Integers with an axis as long as there are classes may be labels or multi-hot; then the values
decide, if they can be inspected and leave no doubt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from array_losses.core import options
from array_losses.core.label_confusion import refuse
from array_losses.core.labels import as_integers, ignored, outside
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    is_bool,
    is_integer,
    is_real_floating,
    namespace_of,
)
from array_losses.frameworks import as_numpy, can_inspect

__all__ = ["Reading", "check_predicted", "multi_hot", "read"]


@dataclass(frozen=True)
class Reading:
    """How prediction and target are read.

    Attributes
    ----------
    by_class : whether the prediction has a class axis
    num_classes : 1 for masks without a class axis
    doubtful : 0-D bool array, or None
        Whether the values contradict this reading, where they cannot be inspected; the score is
        then NaN.
    """

    by_class: bool
    num_classes: int
    doubtful: Array | None = None


def read(
    xp: Namespace,
    prediction: Array,
    target: Array,
    *,
    num_classes: int | None,
    class_axis: int,
    ignore_index: tuple[int, ...],
) -> Reading:
    """Return how the arrays are read, or raise an error that says what to pass."""
    if num_classes is not None:
        num_classes = options.integer("num_classes", num_classes, lowest=1)
    if is_real_floating(xp, prediction.dtype):
        return _floating(prediction, target, num_classes, class_axis)
    is_mask = is_bool(xp, prediction.dtype)
    if not (is_mask or is_integer(xp, prediction.dtype)):
        msg = f"`prediction` must be floating, integer or bool, got {prediction.dtype}."
        raise TypeError(msg)
    shape, axis = tuple(prediction.shape), _axis(prediction, class_axis)
    if axis is not None and tuple(target.shape) == shape[:axis] + shape[axis + 1 :]:
        return Reading(True, _the_number(num_classes, shape[axis]))
    same = tuple(target.shape) == shape
    has_classes = same and axis is not None and shape[axis] == num_classes
    is_target_mask = is_bool(xp, target.dtype)
    if not (is_target_mask or is_integer(xp, target.dtype)) or is_mask != is_target_mask:
        if has_classes:
            return Reading(True, shape[axis])  # type: ignore[index]
        raise TypeError(_kinds(xp, prediction, target))
    if not same or not shape:
        msg = (
            "`prediction` must have the shape of `target` and at least one axis, got "
            f"{shape} and {tuple(target.shape)}."
        )
        raise ValueError(msg)
    if is_mask:
        return _masks(shape, num_classes, class_axis, has_classes=has_classes)
    return _integers(xp, prediction, target, num_classes, class_axis, ignore_index)


def _axis(prediction: Array, class_axis: int) -> int | None:
    """Return the class axis counted from 0, or None if the prediction has no such axis."""
    within = -prediction.ndim <= class_axis < prediction.ndim
    return class_axis % prediction.ndim if within else None


def _the_number(num_classes: int | None, length: int) -> int:
    """Return the length of the class axis, after checking that `num_classes` equals it."""
    if num_classes == length:
        return length
    got = f"got {num_classes}"
    hint = "; labels have no class axis: remove the axis of length 1" if length == 1 else ""
    msg = f"`num_classes` must be {length} for a prediction with {length} classes, {got}{hint}."
    raise ValueError(msg)


def _kinds(xp: Namespace, prediction: Array, target: Array) -> str:
    """Return the message for kinds that do not match."""
    hint = "convert both to masks (`labels == 1`, `mask > 0`) or both to labels"
    if is_real_floating(xp, target.dtype):
        hint = "if the target holds labels, convert them to an integer dtype"
    return (
        "`prediction` and `target` must be two bool masks or two arrays of integer labels, or "
        "`prediction` must have a class axis of `num_classes`, got "
        f"{prediction.dtype} {tuple(prediction.shape)} and {target.dtype} {tuple(target.shape)}; "
        f"{hint}."
    )


def _floating(
    prediction: Array, target: Array, num_classes: int | None, class_axis: int
) -> Reading:
    """Read a floating prediction, which has a class axis."""
    shape, axis = tuple(prediction.shape), _axis(prediction, class_axis)
    if len(shape) < 2:
        msg = (
            "`prediction` must have a batch axis and a class axis if it is floating, got shape "
            f"{shape}."
        )
        raise ValueError(msg)
    if axis is None:
        msg = f"`class_axis` must be an axis of a prediction of shape {shape}, got {class_axis}."
        raise ValueError(msg)
    length = shape[axis]
    if tuple(target.shape) != shape:
        return Reading(True, length if num_classes is None else _the_number(num_classes, length))
    stated = length == 1 or class_axis != 1
    if num_classes == length or (num_classes is None and stated):
        return Reading(True, length)
    hint = (
        "if these are labels, convert them to an integer dtype; for one class, pass bool masks "
        "(`prediction > 0.5`) or, for soft masks, add a class axis of length 1 (`[:, None]`)"
    )
    if num_classes is None:
        msg = (
            f"`prediction` and `target`, both of shape {shape}, could have {length} classes along "
            f"axis 1 or no class axis: if they have classes, pass `num_classes={length}`; {hint}."
        )
        raise ValueError(msg)
    msg = (
        f"`prediction` must have {num_classes} classes along axis {axis} if it is floating, got "
        f"shape {shape}; {hint}."
    )
    raise TypeError(msg)


def _masks(
    shape: tuple[int, ...], num_classes: int | None, class_axis: int, *, has_classes: bool
) -> Reading:
    """Read bool masks of one shape."""
    if num_classes in (None, 1):
        _check_no_class_axis(class_axis)
        return Reading(False, 1)
    if has_classes:
        return Reading(True, num_classes)
    msg = (
        "`num_classes` must be None or 1 for bool masks unless `class_axis` has that length, got "
        f"{num_classes} for masks of shape {shape} with class_axis={class_axis}."
    )
    raise ValueError(msg)


def _integers(
    xp: Namespace,
    prediction: Array,
    target: Array,
    num_classes: int | None,
    class_axis: int,
    ignore_index: tuple[int, ...],
) -> Reading:
    """Read integers of one shape: labels, or one- or multi-hot."""
    if num_classes is None:
        msg = (
            "`num_classes` must be given for integers, got None; convert 0/1 or 0/255 masks to "
            "bool, `mask > 0`, both of them."
        )
        raise ValueError(msg)
    shape, axis = tuple(prediction.shape), _axis(prediction, class_axis)
    first = axis is not None and shape[axis] == num_classes
    if first and (class_axis != 1 or num_classes == 1):
        return Reading(True, num_classes)
    _check_no_class_axis(class_axis)
    if num_classes == 1:
        msg = (
            "`num_classes` must be at least 2 for labels, got 1; convert masks to bool: `mask > 0`."
        )
        raise ValueError(msg)
    last = len(shape) > 2 and shape[-1] == num_classes
    if not (first or last):
        return Reading(False, num_classes)
    seen = _inspected(prediction, target)
    if seen is None:
        if first and len(shape) < 4:
            raise ValueError(_either(shape, num_classes))
        doubtful = _doubt(xp, prediction, target, ignore_index, first=first, last=last)
        return Reading(first, num_classes, doubtful)
    here, (found, truth) = seen
    return Reading(
        _by_values(here, found, truth, num_classes, ignore_index, last=last), num_classes
    )


def _by_values(
    xp: Namespace,
    prediction: Array,
    target: Array,
    num_classes: int,
    ignore_index: tuple[int, ...],
    *,
    last: bool,
) -> bool:
    """Return whether integers with an axis of length `num_classes` have the classes along axis 1.

    A value other than 0 and 1 means labels; otherwise a single 1 per pixel means one-hot. Anything
    else is multi-hot if there are at least three classes and two spatial axes. With fewer it may
    well be labels of an image with that many rows, and a ValueError says what to pass.
    """
    shape = tuple(prediction.shape)
    first = shape[1] == num_classes
    counted, binary, one_hot = _evidence(xp, prediction, target, 1, ignore_index)
    if not counted or not binary:
        return False
    if first and one_hot and len(shape) > 2:
        return True
    if last and _evidence(xp, prediction, target, -1, ignore_index)[2]:
        msg = (
            "`prediction` and `target` must hold labels or have the classes along `class_axis`, "
            "got integers that are one-hot along the last axis: pass `class_axis=-1`; if they are "
            "labels of images with that many columns, add an axis (`prediction[..., None]`, and "
            "the same for `target` and `pixel_weights`)."
        )
        raise ValueError(msg)
    if first and (len(shape) < 4 or num_classes == 2):
        raise ValueError(_either(shape, num_classes))
    return first


def _doubt(
    xp: Namespace,
    prediction: Array,
    target: Array,
    ignore_index: tuple[int, ...],
    *,
    first: bool,
    last: bool,
) -> Array | None:
    """Return whether the values contradict the reading, as an array: they cannot be inspected.

    With classes along axis 1 (`first`), values other than 0 and 1 give NaN anyway.
    """
    counted, _, one_hot = _evidence(xp, prediction, target, 1, ignore_index)
    if first and prediction.shape[1] == 2:
        return counted & ~one_hot
    if not last:
        return None
    mistaken = counted & _evidence(xp, prediction, target, -1, ignore_index)[2]
    return mistaken & ~one_hot if first else mistaken


def _either(shape: tuple[int, ...], num_classes: int) -> str:
    """Return the message for integers that could be labels or multi-hot."""
    return (
        f"`prediction` and `target`, integers of shape {shape} with num_classes={num_classes}, "
        "could be labels or have the classes along axis 1: pass masks of the classes as bool "
        "(`prediction > 0`), or labels with two more axes of length 1 "
        "(`prediction[:, None, ..., None]`, and the same for `target` and `pixel_weights`)."
    )


def _evidence(
    xp: Namespace, prediction: Array, target: Array, axis: int, ignore_index: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Return three 0-D bool arrays: whether anything counts, is binary, and is one-hot.

    Binary means that all counted values are 0 or 1; one-hot, that each counted pixel has one 1.
    """
    hidden = ignored(xp, target, ignore_index)
    counted = xp.ones_like(target, dtype=xp.bool) if hidden is None else ~hidden
    binary = ~(outside(xp, prediction, 1) | outside(xp, target, 1)) | ~counted
    whole = xp.any(counted, axis=axis)

    def one(x: Array) -> Array:
        return xp.sum(xp.astype(x == 1, xp.int32), axis=axis) == 1

    one_hot = xp.all(binary) & xp.all(~whole | (one(prediction) & one(target)))
    return xp.any(counted), xp.all(binary), one_hot


def _check_no_class_axis(class_axis: int) -> None:
    if class_axis != 1:
        msg = (
            "`class_axis` must be 1 (the default) for masks and labels, unless that axis has "
            f"length `num_classes`, got {class_axis}."
        )
        raise ValueError(msg)


def _inspected(*arrays: Array) -> tuple[Namespace, tuple[Array, ...]] | None:
    """Return the arrays if their values can be inspected, as NumPy's if possible; else None."""
    near = as_numpy(*arrays)
    if near is None and all(can_inspect(x) for x in arrays):
        near = arrays
    return None if near is None else (namespace_of(array=near[0]), near)


# --- one value per class --------------------------------------------------------------------------


def multi_hot(xp: Namespace, prediction: Array, dtype: DType) -> Array:
    """Return a bool or integer prediction as probabilities of 0 and 1; other integers give NaN."""
    if is_bool(xp, prediction.dtype):
        return xp.astype(prediction, dtype)
    hot = xp.astype(prediction == 1, dtype)
    return xp.where(outside(xp, prediction, 1), float("nan"), hot)


def check_predicted(
    xp: Namespace,
    prediction: Array,
    target: Array,
    pixel_weights: Array | None,
    *,
    highest: int,
    ignore_index: tuple[int, ...],
    class_axis: int | None = None,
) -> None:
    """Raise a ValueError for a counted integer outside 0 to `highest`, if it can be inspected.

    Shapes have been checked. `class_axis` is that of the prediction, if it has one.
    """
    if not is_integer(xp, prediction.dtype) or math.prod(prediction.shape) == 0:
        return

    def spread(x: Array) -> Array:
        return x if x.ndim == prediction.ndim else xp.expand_dims(x, axis=class_axis)

    bad = outside(xp, prediction, highest)
    if not is_real_floating(xp, target.dtype):
        hidden = ignored(xp, as_integers(xp, target), ignore_index)
        bad = bad if hidden is None else bad & ~spread(hidden)
    if pixel_weights is not None:
        counts = pixel_weights
        if not is_bool(xp, pixel_weights.dtype):
            counts = pixel_weights != xp.zeros_like(pixel_weights)
        bad = bad & spread(counts)
    seen: Any = _inspected(prediction, bad)
    if seen is not None:
        here, (found, wrong) = seen
        refuse(here, found, wrong, highest)

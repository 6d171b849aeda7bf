"""Checks of the arrays of a call, and their canonical form: images first, classes second."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core.library import Library
from array_losses.core.namespace import (
    Array,
    Namespace,
    device,
    is_bool,
    is_integer,
    is_real_floating,
)

__all__ = ["Batch", "check", "classes_second"]


@dataclass(frozen=True)
class Batch:
    """The arrays of a call as views: logits (images, classes, ...), target, pixel weights.

    The target has the axes of the logits, or those without the classes if it holds labels.
    """

    xp: Namespace
    logits: Array
    target: Array
    pixel_weights: Array | None

    @property
    def labelled(self) -> bool:
        """Whether the target holds labels, without a class axis."""
        return bool(self.target.ndim < self.logits.ndim)

    @property
    def soft(self) -> bool:
        """Whether the target holds probabilities."""
        return is_real_floating(self.xp, self.target.dtype)

    def without_logits(self) -> Batch:
        """Return it with harmless logits, through which a gradient comes back as 0."""
        xp, logits = self.xp, self.logits
        half = xp.full_like(logits, 0.5)  # a probability as well
        unread = xp.where(xp.zeros_like(logits, dtype=xp.bool), logits, half)
        return Batch(xp, unread, self.target, self.pixel_weights)


def check(
    lib: Library,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    *,
    class_axis: int,
) -> Batch:
    """Return the canonical form of the arrays, or raise an error that names the one at fault."""
    xp = lib.xp
    _check_dtypes(xp, logits, target, pixel_weights)
    axis = _checked_axis(logits, class_axis)
    pixels_shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    labelled = target.ndim == logits.ndim - 1
    if tuple(target.shape) != tuple(pixels_shape if labelled else logits.shape):
        msg = (
            f"`target` must have the shape {tuple(pixels_shape)} (labels) or {tuple(logits.shape)} "
            f"(one value per class) for logits with class_axis={class_axis}, "
            f"got {tuple(target.shape)}{_hint(tuple(logits.shape), tuple(target.shape), axis)}."
        )
        raise ValueError(msg)
    if labelled and is_real_floating(xp, target.dtype):
        msg = (
            f"`target` without a class axis must hold integer or bool labels, got {target.dtype}; "
            "if these are labels, convert them to an integer dtype; probabilities need the shape "
            f"of the logits, {tuple(logits.shape)}."
        )
        raise TypeError(msg)
    if pixel_weights is not None and tuple(pixel_weights.shape) != tuple(pixels_shape):
        msg = (
            f"`pixel_weights` must have the shape {tuple(pixels_shape)} (the logits without the "
            f"class axis), got {tuple(pixel_weights.shape)}"
            f"{_weights_hint(tuple(pixels_shape), tuple(pixel_weights.shape), axis)}."
        )
        raise ValueError(msg)
    if not lib.checks_devices:
        _check_devices(logits, target=target, pixel_weights=pixel_weights)
    return Batch(
        xp,
        classes_second(xp, logits, axis),
        target if labelled else classes_second(xp, target, axis),
        pixel_weights,
    )


def _hint(logits: tuple[int, ...], target: tuple[int, ...], axis: int) -> str:
    """Return what may have been meant by a target of a shape that does not fit."""
    pixels = logits[:axis] + logits[axis + 1 :]
    if target == (*logits[:axis], 1, *logits[axis + 1 :]):
        return "; labels have no class axis: drop the one of length 1"
    if target == logits[1:] or (pixels[0] == 1 and target == pixels[1:]):
        return "; the batch axis seems to be missing: add it by `[None]`"
    for name, other in (("-1", len(logits) - 1), ("1", 1)):
        if other != axis and target == logits[:other] + logits[other + 1 :]:
            return f"; it would fit with `class_axis={name}`"
    return ""


def _weights_hint(pixels: tuple[int, ...], weights: tuple[int, ...], axis: int) -> str:
    """Return the line of code that makes pixel weights of another shape fit, where there is one."""
    if len(weights) == len(pixels) + 1:
        for one in (axis, *range(1, len(weights))):
            if weights[one] == 1 and weights[:one] + weights[one + 1 :] == pixels:
                place = "..., 0" if one == len(weights) - 1 else ":, " * one + "0, ..."
                return f"; drop the axis of length 1: `pixel_weights[{place}]`"
        if weights[:axis] + weights[axis + 1 :] == pixels:
            return (
                "; a weight per pixel counts for all its classes: to leave out one class at a "
                "pixel, give an integer multi-hot target that holds `ignore_index` there"
            )
        return ""
    fitted = ""
    if len(weights) == len(pixels):
        fitted = "pixel_weights"
    elif weights == pixels[:1]:
        fitted = f"pixel_weights[:{', None' * (len(pixels) - 1)}]"
    elif weights == pixels[1:]:
        fitted = "pixel_weights[None, ...]"
    lengths = weights if len(weights) == len(pixels) else pixels
    if fitted and all(one in (1, whole) for one, whole in zip(lengths, pixels, strict=True)):
        return (
            f"; to repeat them: `xp.broadcast_to({fitted}, {pixels})`, where `xp` is your array "
            "library (`np`, `torch`, `jnp`)"
        )
    return ""


def classes_second(xp: Namespace, x: Array, axis: int) -> Array:
    """Return a view of `x` with its class axis moved to 1."""
    if axis == 1:
        return x
    others = [i for i in range(x.ndim) if i != axis]
    return xp.permute_dims(x, (others[0], axis, *others[1:]))


def _checked_axis(logits: Array, class_axis: int) -> int:
    if logits.ndim < 2:
        msg = f"`logits` must have at least a batch and a class axis, got shape {logits.shape}."
        raise ValueError(msg)
    if not -logits.ndim <= class_axis < logits.ndim:
        msg = f"`class_axis` must be an axis of logits of shape {logits.shape}, got {class_axis}."
        raise ValueError(msg)
    axis = class_axis % logits.ndim
    if logits.shape[axis] == 0:
        msg = f"`logits` must have at least one class, got shape {tuple(logits.shape)}."
        raise ValueError(msg)
    return int(axis)


def _check_dtypes(xp: Namespace, logits: Array, target: Array, pixel_weights: Array | None) -> None:
    if not is_real_floating(xp, logits.dtype):
        msg = f"`logits` must be real floating, got {logits.dtype}."
        raise TypeError(msg)
    is_mask = is_bool(xp, target.dtype)
    if not (is_mask or is_integer(xp, target.dtype) or is_real_floating(xp, target.dtype)):
        msg = f"`target` must be integer, bool or real floating, got {target.dtype}."
        raise TypeError(msg)
    if pixel_weights is not None and not (
        is_bool(xp, pixel_weights.dtype) or is_real_floating(xp, pixel_weights.dtype)
    ):
        msg = f"`pixel_weights` must be real floating or bool, got {pixel_weights.dtype}."
        raise TypeError(msg)


def _check_devices(logits: Array, **others: Array | None) -> None:
    for name, x in others.items():
        if x is not None and device(x) != device(logits):
            msg = (
                f"`{name}` must be on the device of the logits, {device(logits)}, got {device(x)}."
            )
            raise ValueError(msg)

"""The modes of smp and pytorch-toolbelt: "binary", "multiclass" and "multilabel"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from array_losses.core.namespace import Array, is_real_floating, namespace_of, number_of
from array_losses.losses.base import Activation, Criterion
from array_losses.presets import arrays
from array_losses.presets.translation import Translation

__all__ = ["Mode", "Reading", "activation_of", "check_eps", "check_mode", "read", "weights_of"]

Mode: TypeAlias = Literal["binary", "multiclass", "multilabel"]


def check_mode(mode: str) -> None:
    """Raise a ValueError for an unknown mode."""
    if mode not in {"binary", "multiclass", "multilabel"}:
        msg = f'`mode` must be "binary", "multiclass" or "multilabel", got {mode!r}.'
        raise ValueError(msg)


def check_eps(eps: float) -> None:
    """Raise a ValueError for an `eps` that would be felt: our losses need no such floor."""
    if not 0.0 <= eps <= 1e-3:
        msg = (
            f"`eps` must be from 0 to 1e-3, got {eps}: it guards against a division by 0, which "
            "our losses exclude, and nothing here stands for a larger one; use `smooth`."
        )
        raise ValueError(msg)


def activation_of(mode: Mode, *, from_logits: bool) -> Activation:
    """Return what makes probabilities of the prediction."""
    if not from_logits:
        return None
    return "softmax" if mode == "multiclass" else "sigmoid"


def weights_of(
    classes: Sequence[int] | Array | None, class_weights: Sequence[float] | None, num_classes: int
) -> tuple[float, ...] | None:
    """Return the class weights of a loss that keeps some classes, counted from either end."""
    if classes is None:
        return None if class_weights is None else tuple(class_weights)
    numbers = [int(one) for one in arrays.numbers(classes) or ()]
    if any(not -num_classes <= one < num_classes for one in numbers):
        msg = f"`classes` must be from {-num_classes} to {num_classes - 1}, got {numbers}."
        raise ValueError(msg)
    kept = Counter(one % num_classes for one in numbers)
    weights = class_weights or (1.0,) * num_classes
    return tuple(kept[number] * one for number, one in enumerate(weights))


@dataclass(frozen=True)
class Reading:
    """The arrays of a call, all spatial axes as one: (images, classes, pixels)."""

    logits: Array
    target: Array
    pixel_weights: Array | None
    ignore_index: int | None
    back: Callable[[Array], Array]

    def translation(self, criterion: Criterion, power: float = 1.0) -> Translation:
        """Return our loss with these arrays."""
        return Translation(
            criterion, self.logits, self.target, self.pixel_weights, power=power, back=self.back
        )


def read(mode: Mode, y_pred: Array, y_true: Array, ignore_index: int | None) -> Reading:
    """Return the arrays of a call as their mode means them.

    A floating target has its ignored elements in the pixel weights, where it has one class; with
    several it must be hard, and becomes integers.
    """
    xp = namespace_of(y_pred=y_pred, y_true=y_true)
    shape = y_pred.shape
    images, classes = shape[0], 1 if mode == "binary" else number_of(shape[1])
    logits = xp.reshape(y_pred, (images, classes, -1))

    def back(grad: Array) -> Array:
        return xp.reshape(grad, shape)

    if mode == "multiclass":
        target = arrays.as_labels(xp, xp.reshape(y_true, (images, -1)))
        return Reading(logits, target, None, ignore_index, back)
    target = xp.reshape(y_true, (images, classes, -1))
    if ignore_index is None or not is_real_floating(xp, target.dtype):
        return Reading(logits, target, None, ignore_index, back)
    if mode == "multilabel":
        return Reading(logits, arrays.as_hard(xp, target, ignore_index), None, ignore_index, back)
    hidden = target == float(ignore_index)
    target = xp.where(hidden, xp.zeros_like(target), target)
    return Reading(logits, target, ~hidden[:, 0, :], None, back)

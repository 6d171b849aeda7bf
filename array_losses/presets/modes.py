"""What smp and pytorch-toolbelt share: their modes, and the options of their overlap losses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core.namespace import Array, is_real_floating, namespace_of, number_of
from array_losses.losses.base import Criterion, Loss
from array_losses.presets import arrays
from array_losses.presets.checks import one_of
from array_losses.presets.translation import Preset, Translation

__all__ = ["Mode", "Reading", "check_mode", "read"]

Mode: TypeAlias = Literal["binary", "multiclass", "multilabel"]


def check_mode(mode: str) -> None:
    """Raise a ValueError for an unknown mode."""
    one_of("mode", mode, "binary", "multiclass", "multilabel")


@dataclass(frozen=True)
class _OverlapLoss(Preset):
    """A Dice, Jaccard or Tversky loss: the first options, and its sums over the batch.

    Subclasses have `eps` too, and may have `ignore_index` and `class_weights`. The underscore says
    that it is not a loss itself: `from_config` does not know it.
    """

    mode: Mode
    classes: Any = None
    log_loss: bool = False
    from_logits: bool = True
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Check the mode and `eps`, and keep what holds one number per class as numbers."""
        options = self.options()
        check_mode(self.mode)
        _check_eps(options["eps"])
        names = [name for name in ("classes", "class_weights") if name in options]
        if self.mode == "binary" and any(options[name] is not None for name in names):
            msg = f'{" and ".join(f"`{name}`" for name in names)} must be None with mode="binary".'
            raise ValueError(msg)
        self.keep(**{name: arrays.numbers(options[name]) for name in names})
        if self.classes is not None:
            self.keep(classes=tuple(int(one) for one in self.classes))

    def of(
        self, loss: type[Loss], y_pred: Array, y_true: Array, power: float = 1.0, **more: Any
    ) -> Translation:
        """Return one of our losses with the arrays that it takes; `more` are options of ours."""
        options = self.options()
        seen = read(self.mode, y_pred, y_true, options.get("ignore_index"))
        probable = "softmax" if self.mode == "multiclass" else "sigmoid"
        more |= {
            "activation": probable if self.from_logits else None,
            "absent": "zero",
            "form": "log" if self.log_loss else "linear",
            "class_weights": _kept(
                self.classes, options.get("class_weights"), number_of(seen.logits.shape[1])
            ),
            "ignore_index": seen.ignore_index,
        }
        return seen.translation(loss(**more), power)


def _check_eps(eps: float) -> None:
    """Raise a ValueError for an `eps` that would be felt: our losses need no such floor."""
    if not 0.0 <= eps <= 1e-3:
        msg = (
            f"`eps` must be from 0 to 1e-3, got {eps}: it guards against a division by 0, which "
            "our losses exclude, and nothing here stands for a larger one; use `smooth`."
        )
        raise ValueError(msg)


def _kept(
    classes: Sequence[int] | None, class_weights: Sequence[float] | None, num_classes: int
) -> tuple[float, ...] | None:
    """Return the class weights of a loss that keeps some classes, counted from either end."""
    if classes is None:
        return None if class_weights is None else tuple(class_weights)
    if any(not -num_classes <= one < num_classes for one in classes):
        msg = f"`classes` must be from {-num_classes} to {num_classes - 1}, got {[*classes]}."
        raise ValueError(msg)
    kept = Counter(one % num_classes for one in classes)
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
        """Return our loss and these arrays."""
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
    target = arrays.zero_at(xp, hidden, target)
    return Reading(logits, target, ~hidden[:, 0, :], None, back)

"""The losses of pytorch-toolbelt by their names, as of 0.8.0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import array_losses as al
from array_losses.core.namespace import Array, Namespace, is_real_floating, namespace_of, number_of
from array_losses.losses.base import Reduction
from array_losses.presets import arrays, smp
from array_losses.presets.checks import one_of
from array_losses.presets.elementwise import elementwise
from array_losses.presets.modes import _OverlapLoss
from array_losses.presets.translation import Call, Preset, Translation

__all__ = [
    "BinaryFocalLoss",
    "BinaryLovaszLoss",
    "DiceLoss",
    "JaccardLoss",
    "LovaszLoss",
    "SoftCrossEntropyLoss",
]


@dataclass(frozen=True)
class DiceLoss(_OverlapLoss):
    """Dice loss, as ``pytorch_toolbelt.losses.DiceLoss``: called with (y_pred, y_true).

    Parameters
    ----------
    mode : {"binary", "multiclass", "multilabel"}
        What the target holds: a mask, labels, or a mask for each class.
    classes : sequence of ints, optional
        The classes that count.
    log_loss : bool, default False
        Whether the loss is -log of the coefficient.
    from_logits : bool, default True
        Whether `y_pred` holds logits: softmax for "multiclass", else sigmoid.
    smooth : number >= 0, default 0
        Added to 2T and to P + G.
    ignore_index : int, optional
        A value of the target that does not count.
    eps : number, default 1e-7
        Without effect: it guards against a division by 0.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss`.

    Notes
    -----
    Odd in pytorch-toolbelt, and the same here: the loss of a class without a pixel in the batch is
    0 and counts in the mean; `array_losses.DiceLoss` leaves it out. And a soft target does not have
    its minimum at itself; ours has. Different here: with `log_loss` a coefficient is raised to
    1e-30, not to `eps`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import toolbelt
    >>> criterion = toolbelt.DiceLoss("multiclass", ignore_index=255)
    >>> loss, grad = criterion.value_and_grad(np.zeros((1, 2, 4)), np.asarray([[0, 0, 1, 255]]))
    >>> round(float(loss), 6)
    0.514286
    """

    ignore_index: int | None = None
    eps: float = 1e-7

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.DiceLoss, y_pred, y_true, smooth=self.smooth, intersection="product")


@dataclass(frozen=True)
class JaccardLoss(_OverlapLoss):
    """Jaccard loss, as ``pytorch_toolbelt.losses.JaccardLoss``: called with (y_pred, y_true).

    Parameters
    ----------
    mode, classes, log_loss, from_logits, smooth, eps
        As for `DiceLoss`; `smooth` is added to T and to P + G - T. There is no `ignore_index`;
        `array_losses.JaccardLoss` has it.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import toolbelt
    >>> criterion = toolbelt.JaccardLoss("binary")
    >>> round(float(criterion(np.zeros((1, 1, 4)), np.asarray([[[0, 0, 0, 1]]]))), 6)
    0.8
    """

    eps: float = 1e-7

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.JaccardLoss, y_pred, y_true, smooth=self.smooth, intersection="product")


@dataclass(frozen=True)
class LovaszLoss(Preset):
    """Lovász-Softmax loss, as ``pytorch_toolbelt.losses.LovaszLoss``: called with (logits, target).

    Parameters
    ----------
    per_image : bool, default False
        Whether each image is sorted on its own.
    ignore : int, optional
        A label that does not count.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.LovaszSoftmaxLoss`; and for logits, in spite of the argument's name.

    Notes
    -----
    Odd in pytorch-toolbelt, and the same here: it expects probabilities, though it calls them
    logits. Of logits, `array_losses.LovaszSoftmaxLoss` takes the softmax. Different here: logits
    are an error.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import toolbelt
    >>> p, target = np.full((1, 2, 1, 4), 0.5), np.asarray([[[0, 0, 0, 1]]])
    >>> float(toolbelt.LovaszLoss()(p, target))
    0.5
    """

    per_image: bool = False
    ignore: int | None = None

    def translate(self, logits: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(logits=logits, target=target)
        criterion = al.LovaszSoftmaxLoss(
            activation=None,
            pool="image" if self.per_image else "batch",
            ignore_index=self.ignore,
        )
        return Translation(criterion, logits, arrays.as_labels(xp, target))


@dataclass(frozen=True)
class BinaryLovaszLoss(Preset):
    """Lovász hinge, as ``pytorch_toolbelt.losses.BinaryLovaszLoss``: called with (logits, target).

    Parameters
    ----------
    per_image : bool, default False
        Whether each image is sorted on its own.
    ignore_index : int, optional
        A value of the target that does not count.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import toolbelt
    >>> float(toolbelt.BinaryLovaszLoss()(np.zeros((1, 1, 4)), np.asarray([[[0, 0, 0, 1]]])))
    1.0
    """

    per_image: bool = False
    ignore_index: int | None = None

    def translate(self, logits: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        same: Any = smp.LovaszLoss("binary", self.per_image, self.ignore_index)
        return same.translate(logits, target)


@dataclass(frozen=True)
class BinaryFocalLoss(Preset):
    """Sigmoid focal loss, as ``pytorch_toolbelt.losses.BinaryFocalLoss``: (inputs, targets).

    Parameters
    ----------
    alpha : float from 0 to 1, optional
        The factor of positives; negatives have 1 - alpha.
    gamma : number >= 0, default 2
    ignore_index : int, optional
        A value of the target that does not count.
    reduction : {"mean", "sum", "batchwise_mean", "none"}
        "batchwise_mean" is the sum over the images, a map.
    normalized : bool, default False
        Whether the sum is divided by that of the modulating factors (and, for "mean", by the number
        of elements too); for "mean" and "sum".
    reduced_threshold : number from 0 to less than 1, optional
        Elements whose target probability p_t is below this have the modulating factor 1, the
        others ((1 - p_t) / (1 - threshold)) ** gamma.
    activation : "sigmoid"
        "softmax" is a hybrid: the factor of a softmax, the cross entropy of a sigmoid. Our losses
        lack it.
    softmax_dim
        Without effect.
    class_weights : sequence or 1-D array, optional
        One number per class.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`; for what our losses lack: a softmax, `normalized` with a
        map, and a soft target with both `ignore_index` and `class_weights` if `normalized`.

    Notes
    -----
    Odd in pytorch-toolbelt, and the same here: "mean" divides by all elements, ignored ones too,
    and with `normalized` by the factors as well. ``array_losses.FocalLoss(activation="sigmoid")``
    divides by those that count, or by the factors (``normalize="focal"``). Different here: float64
    is computed in float64; a sum of factors below 1e-6 is not raised to that.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import toolbelt
    >>> criterion = toolbelt.BinaryFocalLoss(alpha=0.25)
    >>> round(float(criterion(np.zeros((1, 1, 2)), np.asarray([[[0, 1]]]))), 6)
    0.086643
    """

    alpha: float | None = None
    gamma: float = 2.0
    ignore_index: int | None = None
    reduction: Literal["mean", "sum", "batchwise_mean", "none"] = "mean"
    normalized: bool = False
    reduced_threshold: float | None = None
    activation: Literal["sigmoid"] = "sigmoid"
    softmax_dim: int | None = None
    class_weights: Any = None

    def __post_init__(self) -> None:
        """Check what cannot be call with our losses."""
        self.keep(class_weights=arrays.numbers(self.class_weights))
        one_of("reduction", self.reduction, "mean", "sum", "batchwise_mean", "none")
        if self.options()["activation"] != "sigmoid":
            msg = f'`activation` must be "sigmoid" in this preset, got {self.activation!r}.'
            raise ValueError(msg)
        if self.reduced_threshold is not None and not 0.0 <= self.reduced_threshold < 1.0:
            msg = (
                f"`reduced_threshold` must be from 0 to less than 1, got {self.reduced_threshold}."
            )
            raise ValueError(msg)
        if self.normalized and self._is_map:
            msg = f'`normalized` must be False with reduction="{self.reduction}".'
            raise ValueError(msg)

    @property
    def _is_map(self) -> bool:
        return self.reduction in {"batchwise_mean", "none"}

    def translate(self, inputs: Array, targets: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(inputs=inputs, targets=targets)
        threshold, reduction = self.reduced_threshold, self.reduction
        if self._is_map:
            reduction = "none"
        elif self.normalized:
            reduction = "mean"  # the quotient: for "mean" it is divided once more
        options: Any = {"reduction": reduction}
        criterion = al.FocalLoss(
            activation="sigmoid",
            alpha=self.alpha,
            gamma=self.gamma,
            threshold=(threshold, 1.0 - threshold) if threshold else None,
            soft="arithmetic",
            normalize="focal" if self.normalized else "all_elements",
            **options,
        )
        targets = arrays.hard_if_it_is(xp, targets, self.ignore_index)
        if self._is_map or self._hides_parts(xp, targets):
            call = self._of_elements(xp, criterion, inputs, targets)
        else:
            whole = replace(
                criterion, class_weights=self.class_weights, ignore_index=self.ignore_index
            )
            call = Translation(whole, inputs, targets)
        if self.reduction == "batchwise_mean":
            return call.reshaped(lambda losses: xp.sum(losses, axis=0))
        if self.normalized and self.reduction == "mean":
            return call.scaled(1.0 / math.prod(inputs.shape))
        return call

    def _hides_parts(self, xp: Namespace, targets: Array) -> bool:
        """Return whether single elements of a soft target are ignored."""
        if self.ignore_index is None or not is_real_floating(xp, targets.dtype):
            return False
        if self.normalized and self.class_weights is not None:
            msg = (
                "`class_weights` must be None with `normalized`, `ignore_index` and a floating "
                "target; make the target integers if it is hard."
            )
            raise ValueError(msg)
        return True

    def _of_elements(
        self, xp: Namespace, criterion: al.FocalLoss, inputs: Array, targets: Array
    ) -> Translation:
        """Return the loss of single elements, or their map."""
        hidden = arrays.equal(xp, targets, self.ignore_index)
        if targets.ndim < inputs.ndim:
            targets = arrays.zero_at(xp, hidden, targets)
            if hidden is not None:
                hidden = xp.broadcast_to(hidden[:, None, ...], inputs.shape)
            targets = arrays.one_hot_checked(xp, targets, number_of(inputs.shape[1]))
        weight = self.class_weights
        if weight is not None:
            weight = arrays.along_axis(xp, weight, inputs)
        return elementwise(xp, criterion, inputs, targets, weight=weight, hidden=hidden)


@dataclass(frozen=True)
class SoftCrossEntropyLoss(Preset):
    """Cross entropy, as ``pytorch_toolbelt.losses.SoftCrossEntropyLoss``: (input, target).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    smooth_factor : float from 0 to 1, default 0
        Label smoothing.
    ignore_index : int or None, default -100
        A label that does not count.
    dim : int, default 1
        The axis of the classes.

    Notes
    -----
    Odd in pytorch-toolbelt, and the same here: "mean" divides by all pixels, ignored ones too.
    `array_losses.CrossEntropyLoss` divides by those that count. Different here: a map has no axis
    of one class.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import toolbelt
    >>> criterion = toolbelt.SoftCrossEntropyLoss()
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 1, -100, -100]]))), 6)
    0.346574
    """

    reduction: Reduction = "mean"
    smooth_factor: float = 0.0
    ignore_index: int | None = -100
    dim: int = 1

    def translate(self, input: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return smp.SoftCrossEntropyLoss(**self.options()).translate(input, target)

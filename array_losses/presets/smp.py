"""The losses of segmentation-models-pytorch (smp) by their names, as of 0.6.0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import array_losses as al
from array_losses.core.namespace import Array, Namespace, kept_within, namespace_of, number_of
from array_losses.core.options import for_classes
from array_losses.losses.base import Reduction
from array_losses.presets import arrays
from array_losses.presets.checks import one_of
from array_losses.presets.elementwise import elementwise
from array_losses.presets.modes import Mode, _OverlapLoss, check_mode, read
from array_losses.presets.translation import ByClass, Call, Preset, Translation

__all__ = [
    "DiceLoss",
    "FocalLoss",
    "JaccardLoss",
    "LovaszLoss",
    "SoftBCEWithLogitsLoss",
    "SoftCrossEntropyLoss",
    "TverskyLoss",
]


@dataclass(frozen=True)
class _Overlap(_OverlapLoss):
    """The options that Dice, Jaccard and Tversky losses have in common."""

    ignore_index: int | None = None
    eps: float = 1e-7


@dataclass(frozen=True)
class DiceLoss(_Overlap):
    """Dice loss, as ``segmentation_models_pytorch.losses.DiceLoss``: called with (y_pred, y_true).

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
        Added to T and to (P + G) / 2.
    ignore_index : int, optional
        A value of the target that does not count.
    eps : number, default 1e-7
        Without effect: it guards against a division by 0.
    class_weights : sequence or 1-D array, optional
        One number per class.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss`; and for a soft target in the mode "multilabel" together with
        `ignore_index`.

    Notes
    -----
    Odd in smp, and the same here: the loss of a class without a pixel in the batch is 0 and counts
    in the mean, so that the loss depends on how many classes happen to be absent, and false
    positives of such a class cost nothing. `array_losses.DiceLoss` leaves it out; with
    ``absent="keep"`` it counts. And smooth = 1 is 2 beside 2T. Different here: with `log_loss` a
    coefficient is raised to 1e-30, not to `eps`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.DiceLoss("multiclass", ignore_index=255)
    >>> loss, grad = criterion.value_and_grad(np.zeros((1, 2, 4)), np.asarray([[0, 0, 1, 255]]))
    >>> round(float(loss), 6)
    0.514286
    """

    class_weights: Any = None

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.DiceLoss, y_pred, y_true, smooth=2.0 * self.smooth)


@dataclass(frozen=True)
class JaccardLoss(_Overlap):
    """Jaccard loss, as ``segmentation_models_pytorch.losses.JaccardLoss``: (y_pred, y_true).

    Parameters
    ----------
    mode, classes, log_loss, from_logits, smooth, ignore_index, eps, class_weights
        As for `DiceLoss`; `smooth` is added to T and to P + G - T.

    Notes
    -----
    Odd in smp, and the same here: what `DiceLoss` says of absent classes.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.JaccardLoss("binary")
    >>> round(float(criterion(np.zeros((1, 1, 4)), np.asarray([[[0, 0, 0, 1]]]))), 6)
    0.8
    """

    class_weights: Any = None

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.JaccardLoss, y_pred, y_true, smooth=self.smooth)


@dataclass(frozen=True)
class TverskyLoss(_Overlap):
    """Tversky loss, as ``segmentation_models_pytorch.losses.TverskyLoss``: (y_pred, y_true).

    Parameters
    ----------
    mode, classes, log_loss, from_logits, smooth, ignore_index, eps
        As for `DiceLoss`; `smooth` is added to numerator and denominator.
    alpha, beta : numbers >= 0, default 0.5, not both 0
        The weights of false positives and of false negatives.
    gamma : number > 0, default 1
        The power of the mean over classes.
    class_weights : sequence or 1-D array, optional
        One number per class.

    Notes
    -----
    Odd in smp, and the same here: what `DiceLoss` says of absent classes; and `gamma` is the power
    of the mean over classes, where the focal Tversky loss of the paper takes that of each class, as
    ``array_losses.TverskyLoss(gamma=...)`` does.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.TverskyLoss("multiclass", alpha=0.3, beta=0.7, gamma=0.75)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]]))), 6)
    0.62109
    """

    alpha: float = 0.5
    beta: float = 0.5
    gamma: float = 1.0
    class_weights: Any = None

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(
            al.TverskyLoss,
            y_pred,
            y_true,
            power=self.gamma,
            smooth=self.smooth,
            fp_weight=self.alpha,
            fn_weight=self.beta,
        )


@dataclass(frozen=True)
class FocalLoss(Preset):
    """Focal loss, as ``segmentation_models_pytorch.losses.FocalLoss``: (y_pred, y_true).

    Parameters
    ----------
    mode : {"binary", "multiclass", "multilabel"}
        What the target holds: a mask, labels, or a mask for each class. Masks may be soft.
    alpha : float from 0 to 1, optional
        The factor of positives; negatives have 1 - alpha.
    gamma : number >= 0, default 2
    ignore_index : int, optional
        A value of the target that does not count.
    from_logits : bool, default True
        Whether `y_pred` holds logits.
    eps : number, default 1e-7
        How far given probabilities are kept from 0 and 1.
    reduction : {"mean", "sum", "batchwise_mean", "none", None}
        How the losses of the pixels of a class are reduced; classes are always averaged. With
        "binary", "batchwise_mean" is the sum, and "none" gives one number per element, in one row.
        Otherwise "none" is the mean, and "batchwise_mean" sums over images and averages over
        positions, or is the sum if `ignore_index` is given.
    normalized : bool, default False
        Whether the sum of a class is divided by that of its modulating factors (and, for "mean", by
        the number of pixels too). Not with a result of several numbers.
    reduced_threshold : number above 0 and up to 1, optional
        Pixels whose target probability p_t is below this have the modulating factor 1.
    class_weights : sequence or 1-D array, optional
        One number per class; not where smp uses them as pixel weights: with "none", or with
        "batchwise_mean" and no `ignore_index`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`; and for options that do not go together.

    Notes
    -----
    Odd in smp, and the same here: "multiclass" means one sigmoid for each class against the rest,
    no softmax; there ``from_logits=False`` takes the sigmoid of log p. The softmax focal loss is
    `array_losses.FocalLoss`. With `normalized`, "mean" divides by the factors and by the pixels,
    so that the loss falls with the size of the image; ``array_losses.FocalLoss(normalize="focal")``
    divides by the factors alone. A soft target is modulated by 1 - exp(-cross entropy), which is
    ``soft="geometric"``. Different here: "multilabel" with `ignore_index` works (smp raises an
    error), and leaves a map of "none" its shape (smp leaves elements out); where all is ignored the
    loss is 0 (smp gives NaN); a sum of factors below 1e-6 is not raised to that.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.FocalLoss("multiclass", alpha=0.25)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]]))), 6)
    0.086643
    """

    mode: Mode
    alpha: float | None = None
    gamma: float = 2.0
    ignore_index: int | None = None
    from_logits: bool = True
    eps: float = 1e-7
    reduction: Literal["mean", "sum", "batchwise_mean", "none"] | None = "mean"
    normalized: bool = False
    reduced_threshold: float | None = None
    class_weights: Any = None

    def __post_init__(self) -> None:
        """Check the options."""
        check_mode(self.mode)
        self.keep(class_weights=arrays.numbers(self.class_weights))
        one_of("reduction", self.reduction, "mean", "sum", "batchwise_mean", "none", None)
        over = self._over()
        if self.normalized and over == "none":
            msg = "`normalized` must be False where the result is an array, got True."
            raise ValueError(msg)
        if self.class_weights is None:
            return
        if self.mode == "binary":
            msg = '`class_weights` must be None with mode="binary".'
            raise ValueError(msg)
        if over == "positions" or self.reduction in {"none", None}:
            msg = (
                f"`class_weights` must be None with reduction={self.reduction!r}: smp would "
                "multiply the last axis of a map by them."
            )
            raise ValueError(msg)

    def _over(self) -> Literal["mean", "sum", "positions", "none"]:
        """Return what `reduction` means over the pixels of one class."""
        if self.reduction == "batchwise_mean":
            summed = self.mode == "binary" or self.ignore_index is not None
            return "sum" if summed else "positions"
        if self.reduction in {"none", None}:
            return "none" if self.mode == "binary" else "mean"
        return "sum" if self.reduction == "sum" else "mean"

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(y_pred=y_pred, y_true=y_true)
        of_labels = self.mode == "multiclass"
        y_true = arrays.as_labels(xp, y_true) if of_labels else xp.reshape(y_true, y_pred.shape)
        if self.from_logits:
            return self._of(xp, y_pred, y_true)
        kept = kept_within(xp, y_pred, self.eps, 1.0 - self.eps)
        inside = kept == y_pred
        call = self._of(xp, xp.log(kept) if of_labels else kept, y_true)
        return call.before(lambda grad: xp.where(inside, grad / kept if of_labels else grad, 0.0))

    def _of(self, xp: Namespace, x: Array, y_true: Array) -> Translation | ByClass:
        """Return our loss of logits, or of probabilities kept from 0 and 1."""
        over, hidden = self._over(), arrays.equal(xp, y_true, self.ignore_index)
        if self.normalized:
            return self._normalized(xp, x, y_true, hidden)
        criterion = self._criterion("weights", "sum" if over == "positions" else over)
        if self.mode == "multiclass":
            seen = read(self.mode, x, y_true, self.ignore_index)
            weighted = replace(
                criterion, class_weights=self.class_weights, ignore_index=self.ignore_index
            )
            call = seen.translation(weighted)
        else:
            weights = None if self.class_weights is None else self._weights(x)
            weight = None if weights is None else arrays.along_axis(xp, weights, x)
            call = elementwise(xp, criterion, x, y_true, weight=weight, hidden=hidden)
        if over == "none":
            return call.reshaped(lambda losses: xp.reshape(losses, (-1,)))
        if over == "mean":
            return call
        return call.scaled(self._per_pixel(xp, x, None) / sum(self._weights(x)))

    def _normalized(
        self, xp: Namespace, x: Array, y_true: Array, hidden: Array | None
    ) -> Translation | ByClass:
        """Return the loss divided by its modulating factors; of several classes the mean."""
        criterion = self._criterion("focal", "mean")
        if self.mode == "binary":
            call = elementwise(xp, criterion, x, y_true, hidden=hidden)
            return call.scaled(self._per_pixel(xp, x, hidden))
        weights, parts = self._weights(x), []
        for number, weight in enumerate(weights):
            plane = x[:, number, ...]
            if self.mode == "multiclass":
                mask, target = hidden, arrays.is_class(xp, y_true, number, len(weights))
            else:
                mask = None if hidden is None else hidden[:, number, ...]
                target = y_true[:, number, ...]
            part = elementwise(xp, criterion, plane, target, hidden=mask)
            factor = weight / sum(weights)
            parts.append(part.scaled(factor).scaled(self._per_pixel(xp, x, mask)))
        return ByClass(tuple(parts))

    def _criterion(self, normalize: Any, reduction: Any) -> al.FocalLoss:
        return al.FocalLoss(
            activation="sigmoid" if self.from_logits or self.mode == "multiclass" else None,
            normalize=normalize,
            alpha=self.alpha,
            gamma=self.gamma,
            threshold=self.reduced_threshold,
            soft="geometric",
            reduction=reduction,
        )

    def _weights(self, x: Array) -> tuple[float, ...]:
        """Return the weights of the classes in their mean."""
        weights = 1.0 if self.class_weights is None else self.class_weights
        return for_classes(
            "class_weights", weights, 1 if self.mode == "binary" else number_of(x.shape[1])
        )

    def _per_pixel(self, xp: Namespace, x: Array, hidden: Array | None) -> Any:
        """Return the factor of the sum over the pixels of one class."""
        over = self._over()
        if over == "positions":
            return 1.0 / math.prod(x.shape[2:])
        if over == "sum":
            return 1.0
        if hidden is None:
            return len(self._weights(x)) / math.prod(x.shape)
        return arrays.inverse_or_0(xp, xp.sum(arrays.as_floating(xp, ~hidden, x)))


@dataclass(frozen=True)
class LovaszLoss(Preset):
    """Lovász loss, as ``segmentation_models_pytorch.losses.LovaszLoss``: (y_pred, y_true).

    Parameters
    ----------
    mode : {"binary", "multiclass", "multilabel"}
        "multiclass" is the Lovász-Softmax loss; the others are the hinge, of all classes together.
    per_image : bool, default False
        Whether each image is sorted on its own.
    ignore_index : int, optional
        A value of the target that does not count.
    from_logits : bool, default True
        Without effect, as in smp: logits are expected.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.LovaszSoftmaxLoss`.

    Notes
    -----
    Odd in smp, and the same here: "multilabel" sorts the pixels of all classes together, so a class
    has no loss of its own; ``array_losses.LovaszHingeLoss(absent="skip")`` gives it one. Different
    here: float64 and float16, which smp refuses; 0 where all pixels are ignored, where smp gives
    an array without elements.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.LovaszLoss("multiclass")
    >>> float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])))
    0.5
    """

    mode: Mode
    per_image: bool = False
    ignore_index: int | None = None
    from_logits: bool = True

    def __post_init__(self) -> None:
        """Check the mode."""
        check_mode(self.mode)

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        pool: Literal["image", "batch"] = "image" if self.per_image else "batch"
        if self.mode == "multiclass":
            seen = read(self.mode, y_pred, y_true, self.ignore_index)
            return seen.translation(al.LovaszSoftmaxLoss(pool=pool, ignore_index=self.ignore_index))
        xp = namespace_of(y_pred=y_pred, y_true=y_true)
        seen = read(
            "binary", y_pred, arrays.as_hard(xp, y_true, self.ignore_index), self.ignore_index
        )
        return seen.translation(al.LovaszHingeLoss(pool=pool, ignore_index=self.ignore_index))


@dataclass(frozen=True)
class SoftCrossEntropyLoss(Preset):
    """Cross entropy, as ``segmentation_models_pytorch.losses.SoftCrossEntropyLoss``.

    Called with (y_pred, y_true): logits, and labels with or without an axis of one class.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    smooth_factor : float from 0 to 1, optional
        Label smoothing.
    ignore_index : int or None, default -100
        A label that does not count.
    dim : int, default 1
        The axis of the classes.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in smp, and the same here: "mean" divides by all pixels, ignored ones too.
    `array_losses.CrossEntropyLoss` divides by those that count. Different here: the default
    ``smooth_factor=None`` works (smp raises an error), and a map has no axis of one class.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.SoftCrossEntropyLoss(smooth_factor=0.1)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 1, -100, -100]]))), 6)
    0.346574
    """

    reduction: Reduction = "mean"
    smooth_factor: float | None = None
    ignore_index: int | None = -100
    dim: int = 1

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(y_pred=y_pred, y_true=y_true)
        if y_true.ndim == y_pred.ndim:
            y_true = xp.squeeze(y_true, axis=self.dim)
        criterion = al.CrossEntropyLoss(
            class_axis=self.dim,
            ignore_index=self.ignore_index,
            label_smoothing=self.smooth_factor or 0.0,
            reduction=self.reduction,
            normalize="all",
        )
        return Translation(criterion, y_pred, arrays.as_labels(xp, y_true))


@dataclass(frozen=True, eq=False)
class SoftBCEWithLogitsLoss(Preset):
    """Sigmoid cross entropy, as ``segmentation_models_pytorch.losses.SoftBCEWithLogitsLoss``.

    Called with (y_pred, y_true), of one shape.

    Parameters
    ----------
    weight : array, optional
        Factors, broadcast to the shape of `y_pred`.
    ignore_index : int or None, default -100
        A value of the target that does not count.
    reduction : {"mean", "sum", "none"}
    smooth_factor : float from 0 to 0.5, optional
        How far the target is drawn from 0 and from 1: half of a label smoothing.
    pos_weight : number, sequence or array, optional
        Factors of the positive term, broadcast to the shape of `y_pred`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in smp, and the same here: "mean" divides by all elements, ignored ones too.
    ``array_losses.CrossEntropyLoss(activation="sigmoid")`` divides by those that count.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import smp
    >>> criterion = smp.SoftBCEWithLogitsLoss(ignore_index=255)
    >>> round(float(criterion(np.zeros((1, 4)), np.asarray([[0, 1, 255, 255]]))), 6)
    0.346574
    """

    weight: Any = None
    ignore_index: int | None = -100
    reduction: Reduction = "mean"
    smooth_factor: float | None = None
    pos_weight: Any = None

    def translate(self, y_pred: Array, y_true: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(y_pred=y_pred, y_true=y_true)
        hidden = arrays.equal(xp, y_true, self.ignore_index)
        if self.smooth_factor:
            y_true = arrays.as_floating(xp, y_true, y_pred)
            y_true = (1.0 - y_true) * self.smooth_factor + y_true * (1.0 - self.smooth_factor)
        criterion = al.CrossEntropyLoss(
            activation="sigmoid", normalize="all", reduction=self.reduction
        )
        return elementwise(
            xp,
            criterion,
            y_pred,
            y_true,
            weight=self.weight,
            pos_weight=self.pos_weight,
            hidden=hidden,
        )

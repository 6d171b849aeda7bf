"""kornia's segmentation losses by their names, as of 0.9.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import array_losses as al
from array_losses.core.namespace import Array, Namespace, namespace_of, number_of
from array_losses.losses.base import Criterion, Reduction
from array_losses.presets import arrays
from array_losses.presets.checks import one_of
from array_losses.presets.elementwise import elementwise
from array_losses.presets.translation import (
    Call,
    Preset,
    PresetFunction,
    Translation,
    preset_function,
)

__all__ = [
    "BinaryFocalLossWithLogits",
    "DiceLoss",
    "FocalLoss",
    "LovaszHingeLoss",
    "LovaszSoftmaxLoss",
    "TverskyLoss",
    "binary_focal_loss_with_logits",
    "dice_loss",
    "focal_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "tversky_loss",
]

Weight = Sequence[float] | Array | None


@preset_function
def dice_loss(
    pred: Array,
    target: Array,
    average: Literal["micro", "macro"] = "micro",
    eps: float = 1e-8,
    weight: Weight = None,
    ignore_index: int | None = -100,
) -> Call:
    """Dice loss, as ``kornia.losses.dice_loss``.

    Parameters
    ----------
    pred : array, real floating
        Logits (B, C, ...).
    target : array, integer
        Labels (B, ...).
    average : {"micro", "macro"}
        "micro" sums over the classes too, "macro" averages the classes present in an image.
    eps : number >= 0, default 1e-8
        Added to the denominator.
    weight : sequence or 1-D array, optional
        One number per class.
    ignore_index : int or None, default -100

    Returns
    -------
    array, 0-D

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss`.

    Notes
    -----
    Odd in kornia, and the same here: the default "micro" is 1 minus the mean probability of the
    true class, in which a large class dominates; `array_losses.DiceLoss` averages over classes. An
    image without a pixel that counts has the loss 1 and no gradient; ours leaves it out.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> loss, grad = kornia.dice_loss.value_and_grad(
    ...     np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    ... )
    >>> round(float(loss), 6)
    0.5
    """
    xp = namespace_of(pred=pred, target=target)
    one_of("average", average, "micro", "macro")
    micro = average == "micro"
    criterion = al.DiceLoss(
        class_weights=arrays.numbers(weight),
        ignore_index=ignore_index,
        smooth=(0.0, eps),
        pool="image+class" if micro else "image",
        absent="keep" if micro else "skip",
    )
    if micro:
        return Translation(criterion, pred, target)
    return _empty_images_lose(xp, criterion, pred, target, criterion.class_weights, ignore_index)


@preset_function
def tversky_loss(
    pred: Array,
    target: Array,
    alpha: float,
    beta: float,
    eps: float = 1e-8,
    ignore_index: int | None = -100,
) -> Call:
    """Tversky loss, as ``kornia.losses.tversky_loss``.

    Parameters
    ----------
    pred : array, real floating
        Logits (B, C, ...).
    target : array, integer
        Labels (B, ...).
    alpha, beta : numbers >= 0, not both 0
        The weights of false positives and of false negatives.
    eps : number >= 0, default 1e-8
        Added to the denominator.
    ignore_index : int or None, default -100

    Returns
    -------
    array, 0-D

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.TverskyLoss`.

    Notes
    -----
    Odd in kornia, and the same here: an image without a pixel that counts has the loss 1 and no
    gradient; `array_losses.TverskyLoss` leaves it out.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> pred, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(kornia.tversky_loss(pred, target, 0.3, 0.7)), 6)
    0.529915
    """
    xp = namespace_of(pred=pred, target=target)
    criterion = al.TverskyLoss(
        ignore_index=ignore_index,
        smooth=(0.0, eps),
        pool="image",
        fp_weight=alpha,
        fn_weight=beta,
    )
    return _empty_images_lose(xp, criterion, pred, target, None, ignore_index)


def _empty_images_lose(
    xp: Namespace,
    criterion: Criterion,
    pred: Array,
    target: Array,
    weight: Sequence[float] | None,
    ignore_index: int | None,
) -> Translation:
    """Return the mean over all images, where ours is over those in which something counts.

    The others have the loss 1: with n of B images counted, it is (n loss + B - n) / B.
    """
    hidden = arrays.equal(xp, target, ignore_index)
    counted = None if hidden is None else ~hidden
    if weight is not None and 0.0 in weight:
        weighs = xp.zeros_like(target, dtype=xp.bool)
        for number, one in enumerate(weight):
            weighs = weighs if one == 0.0 else weighs | (target == number)
        counted = weighs if counted is None else counted & weighs
    if counted is None:
        return Translation(criterion, pred, target)
    images = xp.any(xp.reshape(counted, (target.shape[0], -1)), axis=1)
    fraction = xp.mean(arrays.as_floating(xp, images, pred))
    return Translation(criterion, pred, target, scale=fraction, offset=1.0 - fraction)


@preset_function
def focal_loss(
    pred: Array,
    target: Array,
    alpha: float | None,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    weight: Weight = None,
    ignore_index: int | None = -100,
) -> Call:
    """Softmax focal loss, as ``kornia.losses.focal_loss``.

    Parameters
    ----------
    pred : array, real floating
        Logits (B, C, ...).
    target : array, integer
        Labels (B, ...).
    alpha : float from 0 to 1, or None
        The factor of all classes but class 0, which has 1 - alpha.
    gamma : number >= 0, default 2
    reduction : {"none", "mean", "sum"}
        "none" gives an array of the shape of `pred`, 0 but at the labelled class.
    weight : sequence or 1-D array, optional
        One number per class.
    ignore_index : int or None, default -100

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`.

    Notes
    -----
    Odd in kornia, and the same here: "mean" divides by the number of pixels, ignored ones too,
    times the number of classes. `array_losses.FocalLoss` divides by the pixels that count.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> pred, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]])
    >>> round(float(kornia.focal_loss(pred, target, None, reduction="mean")), 6)  # log(2) / 4 / 2
    0.086643
    """
    xp = namespace_of(pred=pred, target=target)
    classes = number_of(pred.shape[1])
    criterion = al.FocalLoss(
        class_weights=arrays.numbers(weight),
        ignore_index=ignore_index,
        reduction=reduction,
        gamma=gamma,
        alpha=None if alpha is None else (1.0 - alpha, *(alpha,) * (classes - 1)),
        normalize="all_elements",
    )
    return Translation(
        criterion,
        pred,
        target,
        reshape=lambda x: arrays.at_labels(xp, x, target, classes) if x.ndim else x,
    )


@preset_function
def binary_focal_loss_with_logits(
    pred: Array,
    target: Array,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    pos_weight: Weight = None,
    weight: Weight = None,
    ignore_index: int | None = -100,
) -> Call:
    """Sigmoid focal loss, as ``kornia.losses.binary_focal_loss_with_logits``.

    Parameters
    ----------
    pred : array, real floating
        Logits (B, C, ...).
    target : array
        0, 1, probabilities or `ignore_index`, of the same shape.
    alpha : float from 0 to 1, or None, default 0.25
        The factor of positives; negatives have 1 - alpha.
    gamma : number >= 0, default 2
    reduction : {"none", "mean", "sum"}
        "none" gives an array of the shape of `pred`.
    pos_weight, weight : sequence or 1-D array, optional
        One number per class: factors of the positive term, and of the loss.
    ignore_index : int or None, default -100

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`.

    Notes
    -----
    Odd in kornia, and the same here: "mean" counts ignored elements in the divisor.
    ``array_losses.FocalLoss(activation="sigmoid")`` does not.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> pred, target = np.zeros((1, 1, 2)), np.asarray([[[0, 1]]])
    >>> kornia.binary_focal_loss_with_logits(pred, target).round(6)
    array([[[0.129965, 0.043322]]])
    """
    xp = namespace_of(pred=pred, target=target)
    criterion = al.FocalLoss(
        activation="sigmoid", reduction=reduction, alpha=alpha, gamma=gamma, normalize="all"
    )
    return elementwise(
        xp,
        criterion,
        pred,
        target,
        weight=None if weight is None else arrays.along_axis(xp, weight, pred),
        pos_weight=None if pos_weight is None else arrays.along_axis(xp, pos_weight, pred),
        hidden=arrays.equal(xp, target, ignore_index),
    )


@preset_function
def lovasz_softmax_loss(pred: Array, target: Array, weight: Weight = None) -> Call:
    """Lovász-Softmax loss, as ``kornia.losses.lovasz_softmax_loss``.

    Parameters
    ----------
    pred : array, real floating
        Logits (B, C, ...).
    target : array, integer
        Labels (B, ...).
    weight : sequence or 1-D array, optional
        One factor per class; not in the divisor of the mean.

    Returns
    -------
    array, 0-D

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.LovaszSoftmaxLoss`.

    Notes
    -----
    Odd in kornia, and the same here: every class counts in every image; one that is absent has its
    largest probability as its loss. The paper recommends the classes that are present, as
    `array_losses.LovaszSoftmaxLoss` does, which has `ignore_index` too.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> pred, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> float(kornia.lovasz_softmax_loss(pred, target))
    0.5
    """
    criterion = al.LovaszSoftmaxLoss(
        class_weights=arrays.numbers(weight), pool="image", absent="keep", normalize="classes"
    )
    return Translation(criterion, pred, target)


@preset_function
def lovasz_hinge_loss(pred: Array, target: Array) -> Call:
    """Lovász hinge, as ``kornia.losses.lovasz_hinge_loss``.

    Parameters
    ----------
    pred : array, real floating
        Logits (B, 1, ...).
    target : array
        0 or 1 (B, ...).

    Returns
    -------
    array, 0-D

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.LovaszHingeLoss`.

    Notes
    -----
    Different here: a target of anything but 0 and 1 is an error; kornia takes -100 for a strong
    label, and its loss becomes negative.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> float(kornia.lovasz_hinge_loss(np.zeros((1, 1, 4)), np.asarray([[0, 0, 0, 1]])))
    1.0
    """
    xp = namespace_of(pred=pred, target=target)
    return Translation(al.LovaszHingeLoss(pool="image"), pred, arrays.as_labels(xp, target))


@dataclass(frozen=True)
class _Loss(Preset):
    """A loss class: it calls `function` with its options."""

    function: ClassVar[PresetFunction[..., Call]]

    def __post_init__(self) -> None:
        """Keep the weights as numbers."""
        names = {"weight", "pos_weight"} & self.options().keys()
        self.keep(**{name: arrays.numbers(getattr(self, name)) for name in names})

    def translate(self, pred: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return type(self).function.translate(pred, target, **self.options())


@dataclass(frozen=True)
class DiceLoss(_Loss):
    """Dice loss, as ``kornia.losses.DiceLoss``: called with (pred, target).

    Parameters
    ----------
    average, eps, weight, ignore_index : optional
        As for `dice_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> criterion = kornia.DiceLoss(average="macro")
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]]))), 6)
    0.533333
    """

    function = dice_loss
    average: Literal["micro", "macro"] = "micro"
    eps: float = 1e-8
    weight: Any = None
    ignore_index: int | None = -100


@dataclass(frozen=True)
class FocalLoss(_Loss):
    """Softmax focal loss, as ``kornia.losses.FocalLoss``: called with (pred, target).

    Parameters
    ----------
    alpha, gamma, reduction, weight, ignore_index
        As for `focal_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> criterion = kornia.FocalLoss(alpha=None, reduction="sum")
    >>> round(float(criterion(np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]]))), 6)
    0.51986
    """

    function = focal_loss
    alpha: float | None
    gamma: float = 2.0
    reduction: Reduction = "none"
    weight: Any = None
    ignore_index: int | None = -100


@dataclass(frozen=True)
class BinaryFocalLossWithLogits(_Loss):
    """Sigmoid focal loss, as ``kornia.losses.BinaryFocalLossWithLogits``: (pred, target).

    Parameters
    ----------
    alpha, gamma, reduction, pos_weight, weight, ignore_index
        As for `binary_focal_loss_with_logits`; `alpha` has no default here.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> criterion = kornia.BinaryFocalLossWithLogits(alpha=0.25, reduction="mean")
    >>> round(float(criterion(np.zeros((1, 1, 2)), np.asarray([[[0, 1]]]))), 6)
    0.086643
    """

    function = binary_focal_loss_with_logits
    alpha: float | None
    gamma: float = 2.0
    reduction: Reduction = "none"
    pos_weight: Any = None
    weight: Any = None
    ignore_index: int | None = -100


@dataclass(frozen=True)
class TverskyLoss(_Loss):
    """Tversky loss, as ``kornia.losses.TverskyLoss``: called with (pred, target).

    Parameters
    ----------
    alpha, beta, eps, ignore_index
        As for `tversky_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> criterion = kornia.TverskyLoss(alpha=0.3, beta=0.7)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]]))), 6)
    0.529915
    """

    function = tversky_loss
    alpha: float
    beta: float
    eps: float = 1e-8
    ignore_index: int | None = -100


@dataclass(frozen=True)
class LovaszSoftmaxLoss(_Loss):
    """Lovász-Softmax loss, as ``kornia.losses.LovaszSoftmaxLoss``: called with (pred, target).

    Parameters
    ----------
    weight : optional
        As for `lovasz_softmax_loss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> float(kornia.LovaszSoftmaxLoss()(np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])))
    0.5
    """

    function = lovasz_softmax_loss
    weight: Any = None


@dataclass(frozen=True)
class LovaszHingeLoss(_Loss):
    """Lovász hinge, as ``kornia.losses.LovaszHingeLoss``: called with (pred, target).

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import kornia
    >>> float(kornia.LovaszHingeLoss()(np.zeros((1, 1, 4)), np.asarray([[0, 0, 0, 1]])))
    1.0
    """

    function = lovasz_hinge_loss

    def translate(self, pred: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return lovasz_hinge_loss.translate(pred, target)

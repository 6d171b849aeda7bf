"""A function for every loss: the call of the class, with all its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from array_losses.core.namespace import ArrayT
from array_losses.losses.base import Activation, PerClass, Reduction
from array_losses.losses.class_mean import Absent, Pool
from array_losses.losses.cross_entropy import CrossEntropyLoss, FocalLoss, Normalize
from array_losses.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from array_losses.losses.overlap import DiceLoss, Intersection, JaccardLoss, TverskyLoss

__all__ = [
    "cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "jaccard_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "tversky_loss",
]


def cross_entropy_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    activation: Activation = "softmax",
    normalize: Normalize = "weights",
    label_smoothing: float = 0.0,
    pos_weight: PerClass | None = None,
) -> ArrayT:
    """Return the cross entropy of `logits` for `target`.

    Arrays and options are those of `CrossEntropyLoss` and its call.

    See Also
    --------
    array_losses.CrossEntropyLoss : all options, formula and references.
    """
    loss = CrossEntropyLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        normalize=normalize,
        label_smoothing=label_smoothing,
        pos_weight=pos_weight,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


def focal_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    activation: Activation = "softmax",
    normalize: Normalize = "valid",
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
) -> ArrayT:
    """Return the focal loss of `logits` for `target`.

    Arrays and options are those of `FocalLoss` and its call.

    See Also
    --------
    array_losses.FocalLoss : all options, formula and references.
    """
    loss = FocalLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        normalize=normalize,
        gamma=gamma,
        alpha=alpha,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


def dice_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    activation: Activation = "softmax",
    pool: Pool = "batch",
    absent: Absent = "skip",
    smooth: float | tuple[float, float] = 0.0,
    power: Literal[1, 2] = 1,
    intersection: Intersection = "l1",
) -> ArrayT:
    """Return the Dice loss of `logits` for `target`.

    Arrays and options are those of `DiceLoss` and its call.

    See Also
    --------
    array_losses.DiceLoss : all options, formula and references.
    """
    loss = DiceLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        pool=pool,
        absent=absent,
        smooth=smooth,
        power=power,
        intersection=intersection,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


def jaccard_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    activation: Activation = "softmax",
    pool: Pool = "batch",
    absent: Absent = "skip",
    smooth: float | tuple[float, float] = 0.0,
    power: Literal[1, 2] = 1,
    intersection: Intersection = "l1",
) -> ArrayT:
    """Return the Jaccard loss of `logits` for `target`.

    Arrays and options are those of `JaccardLoss` and its call.

    See Also
    --------
    array_losses.JaccardLoss : all options, formula and references.
    """
    loss = JaccardLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        pool=pool,
        absent=absent,
        smooth=smooth,
        power=power,
        intersection=intersection,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


def tversky_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    activation: Activation = "softmax",
    pool: Pool = "batch",
    absent: Absent = "skip",
    smooth: float | tuple[float, float] = 0.0,
    power: Literal[1, 2] = 1,
    intersection: Intersection = "l1",
    fp_weight: float = 0.5,
    fn_weight: float = 0.5,
) -> ArrayT:
    """Return the Tversky loss of `logits` for `target`.

    Arrays and options are those of `TverskyLoss` and its call.

    See Also
    --------
    array_losses.TverskyLoss : all options, formula and references.
    """
    loss = TverskyLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        pool=pool,
        absent=absent,
        smooth=smooth,
        power=power,
        intersection=intersection,
        fp_weight=fp_weight,
        fn_weight=fn_weight,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


def lovasz_softmax_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    activation: Activation = "softmax",
    pool: Pool = "batch",
    absent: Absent = "skip",
    bins: int | None = None,
) -> ArrayT:
    """Return the Lovász-Softmax loss of `logits` for `target`.

    Arrays and options are those of `LovaszSoftmaxLoss` and its call.

    See Also
    --------
    array_losses.LovaszSoftmaxLoss : all options, formula and references.
    """
    loss = LovaszSoftmaxLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        pool=pool,
        absent=absent,
        bins=bins,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


def lovasz_hinge_loss(
    logits: ArrayT,
    target: Any,
    /,
    *,
    pixel_weights: Any = None,
    class_axis: int = 1,
    ignore_index: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    include_background: bool = True,
    reduction: Reduction = "mean",
    pool: Pool = "batch",
    absent: Absent = "keep",
    bins: int | None = None,
) -> ArrayT:
    """Return the Lovász hinge of `logits` for `target`.

    Arrays and options are those of `LovaszHingeLoss` and its call.

    See Also
    --------
    array_losses.LovaszHingeLoss : all options, formula and references.
    """
    loss = LovaszHingeLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        pool=pool,
        absent=absent,
        bins=bins,
    )
    return loss(logits, target, pixel_weights=pixel_weights)

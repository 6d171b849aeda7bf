"""A function for every loss: the call of the class, with all its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from array_losses.core.foreign_names import with_answers
from array_losses.core.namespace import ArrayT
from array_losses.losses.base import Activation, PerClass, Reduction
from array_losses.losses.boundary import BoundaryLoss
from array_losses.losses.class_mean import Absent, ClassNormalize, ClassPool, Pool
from array_losses.losses.confusion import Intersection, Power
from array_losses.losses.correlation import MCCLoss
from array_losses.losses.cross_entropy import CrossEntropyLoss, PolyLoss
from array_losses.losses.focal import FocalLoss, FocalNormalize, Soft, Threshold
from array_losses.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from array_losses.losses.overlap import (
    DiceLoss,
    Form,
    GeneralizedDiceLoss,
    JaccardLoss,
    TverskyLoss,
    Weighting,
)
from array_losses.losses.pixel_mean import Normalize
from array_losses.losses.unified_focal import Symmetry, UnifiedFocalLoss

__all__ = [
    "boundary_loss",
    "cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "generalized_dice_loss",
    "jaccard_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "mcc_loss",
    "poly_loss",
    "tversky_loss",
    "unified_focal_loss",
]


@with_answers("cross_entropy_loss")
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
    pos_weight: PerClass | None = None,
    label_smoothing: float = 0.0,
    top_k: float | None = None,
    ohem_threshold: float | None = None,
    min_kept: int = 0,
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
        pos_weight=pos_weight,
        label_smoothing=label_smoothing,
        top_k=top_k,
        ohem_threshold=ohem_threshold,
        min_kept=min_kept,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("poly_loss")
def poly_loss(
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
    pos_weight: PerClass | None = None,
    label_smoothing: float = 0.0,
    epsilon: float = 1.0,
) -> ArrayT:
    """Return the Poly-1 loss of `logits` for `target`.

    Arrays and options are those of `PolyLoss` and its call.

    See Also
    --------
    array_losses.PolyLoss : all options, formula and references.
    """
    loss = PolyLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        normalize=normalize,
        pos_weight=pos_weight,
        label_smoothing=label_smoothing,
        epsilon=epsilon,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("focal_loss")
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
    normalize: FocalNormalize = "valid",
    pos_weight: PerClass | None = None,
    gamma: PerClass = 2.0,
    alpha: PerClass | None = None,
    threshold: Threshold | None = None,
    soft: Soft = "mixture",
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
        pos_weight=pos_weight,
        gamma=gamma,
        alpha=alpha,
        threshold=threshold,
        soft=soft,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("unified_focal_loss")
def unified_focal_loss(
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
    symmetry: Symmetry = "asymmetric",
    delta: float = 0.6,
    gamma: float = 0.5,
    balance: float = 0.5,
) -> ArrayT:
    """Return the unified focal loss of `logits` for `target`.

    Arrays and options are those of `UnifiedFocalLoss` and its call.

    See Also
    --------
    array_losses.UnifiedFocalLoss : all options, formula and references.
    """
    loss = UnifiedFocalLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        pool=pool,
        absent=absent,
        symmetry=symmetry,
        delta=delta,
        gamma=gamma,
        balance=balance,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("dice_loss")
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
    pool: ClassPool = "batch",
    absent: Absent = "skip",
    normalize: ClassNormalize = "weights",
    activation: Activation = "softmax",
    smooth: float | tuple[float, float] = 0.0,
    power: Power = 1,
    intersection: Intersection = "l1",
    form: Form = "linear",
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
        pool=pool,
        absent=absent,
        normalize=normalize,
        activation=activation,
        smooth=smooth,
        power=power,
        intersection=intersection,
        form=form,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("jaccard_loss")
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
    pool: ClassPool = "batch",
    absent: Absent = "skip",
    normalize: ClassNormalize = "weights",
    activation: Activation = "softmax",
    smooth: float | tuple[float, float] = 0.0,
    power: Power = 1,
    intersection: Intersection = "l1",
    form: Form = "linear",
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
        pool=pool,
        absent=absent,
        normalize=normalize,
        activation=activation,
        smooth=smooth,
        power=power,
        intersection=intersection,
        form=form,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("tversky_loss")
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
    pool: ClassPool = "batch",
    absent: Absent = "skip",
    normalize: ClassNormalize = "weights",
    activation: Activation = "softmax",
    smooth: float | tuple[float, float] = 0.0,
    power: Power = 1,
    intersection: Intersection = "l1",
    form: Form = "linear",
    fp_weight: float = 0.5,
    fn_weight: float = 0.5,
    gamma: PerClass = 1.0,
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
        pool=pool,
        absent=absent,
        normalize=normalize,
        activation=activation,
        smooth=smooth,
        power=power,
        intersection=intersection,
        form=form,
        fp_weight=fp_weight,
        fn_weight=fn_weight,
        gamma=gamma,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("generalized_dice_loss")
def generalized_dice_loss(
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
    absent: Absent = "skip",
    normalize: ClassNormalize = "weights",
    activation: Activation = "softmax",
    smooth: float | tuple[float, float] = 0.0,
    power: Power = 1,
    intersection: Intersection = "l1",
    form: Form = "linear",
    weighting: Weighting = "square",
) -> ArrayT:
    """Return the generalised Dice loss of `logits` for `target`.

    Arrays and options are those of `GeneralizedDiceLoss` and its call.

    See Also
    --------
    array_losses.GeneralizedDiceLoss : all options, formula and references.
    """
    loss = GeneralizedDiceLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        pool=pool,
        absent=absent,
        normalize=normalize,
        activation=activation,
        smooth=smooth,
        power=power,
        intersection=intersection,
        form=form,
        weighting=weighting,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("mcc_loss")
def mcc_loss(
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
    absent: Absent = "skip",
    normalize: ClassNormalize = "weights",
    activation: Activation = "softmax",
    intersection: Intersection = "l1",
) -> ArrayT:
    """Return the Matthews correlation loss of `logits` for `target`.

    Arrays and options are those of `MCCLoss` and its call.

    See Also
    --------
    array_losses.MCCLoss : all options, formula and references.
    """
    loss = MCCLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        pool=pool,
        absent=absent,
        normalize=normalize,
        activation=activation,
        intersection=intersection,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("boundary_loss")
def boundary_loss(
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
    normalize: Normalize = "valid_elements",
) -> ArrayT:
    """Return the boundary loss of `logits` for `target`.

    Arrays and options are those of `BoundaryLoss` and its call.

    See Also
    --------
    array_losses.BoundaryLoss : all options, formula and references.
    """
    loss = BoundaryLoss(
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        activation=activation,
        normalize=normalize,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("lovasz_softmax_loss")
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
    pool: Pool = "batch",
    absent: Absent = "skip",
    normalize: ClassNormalize = "weights",
    bins: int | None = None,
    activation: Activation = "softmax",
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
        pool=pool,
        absent=absent,
        normalize=normalize,
        bins=bins,
        activation=activation,
    )
    return loss(logits, target, pixel_weights=pixel_weights)


@with_answers("lovasz_hinge_loss")
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
    normalize: ClassNormalize = "weights",
    bins: int | None = None,
) -> ArrayT:
    """Return the Lovász hinge loss of `logits` for `target`.

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
        normalize=normalize,
        bins=bins,
    )
    return loss(logits, target, pixel_weights=pixel_weights)

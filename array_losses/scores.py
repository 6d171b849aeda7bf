"""Dice and Jaccard coefficients of predictions: 1 minus the losses of the same name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from array_losses.core import options
from array_losses.core.formula import Fraction, Totals, divide, prepare
from array_losses.core.labels import Labels, outside
from array_losses.core.namespace import (
    Array,
    ArrayT,
    DType,
    Namespace,
    default_dtype,
    device,
    is_bool,
    is_integer,
    is_real_floating,
    namespace_of,
)
from array_losses.core.predictions import confusion
from array_losses.frameworks import as_numpy
from array_losses.losses.base import Reduction
from array_losses.losses.class_mean import Absent, ClassLoss, Pool
from array_losses.losses.overlap import DiceLoss, JaccardLoss

__all__ = ["dice_coefficient", "jaccard_index"]


class _SummedCoefficients(ClassLoss):
    """Makes a loss with ``reduction="sum"`` the sum of 1 - loss over the classes that count."""

    def value(self, xp: Namespace, totals: Totals) -> Fraction:
        _, share = self._weights(xp, self.pooled(xp, totals))
        return xp.sum(share) - super().value(xp, totals)[0], None

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        return super().rates(xp, totals, -d)


@dataclass(frozen=True, kw_only=True)
class _SummedDice(_SummedCoefficients, DiceLoss):
    """The sum of Dice coefficients."""


@dataclass(frozen=True, kw_only=True)
class _SummedJaccard(_SummedCoefficients, JaccardLoss):
    """The sum of Jaccard indices."""


def dice_coefficient(
    prediction: ArrayT,
    target: Any,
    /,
    *,
    num_classes: int | None = None,
    pixel_weights: Any = None,
    ignore_index: int | Sequence[int] | None = None,
    class_axis: int = 1,
    include_background: bool = True,
    pool: Pool = "batch",
    absent: Absent = "skip",
    reduction: Reduction = "mean",
) -> ArrayT:
    r"""Return the Dice coefficient, :math:`2 T / (P + G)`, averaged over classes.

    Parameters
    ----------
    prediction, target : array
        Two bool masks of one shape (images first): the score of the one foreground class. Two
        integer arrays of one shape: labels of `num_classes` classes. Or a floating prediction with
        a class axis (probabilities or one-hot), and any target that the losses take.
    num_classes : int, optional
        Needed for integer labels.
    pixel_weights, ignore_index, class_axis, include_background, pool, absent, reduction
        As for `DiceLoss`. With ``reduction="none"`` a class left out holds 1.

    Returns
    -------
    array
        From 0 to 1; 1 if nothing counts. NaN if a predicted label lies outside the classes.

    Raises
    ------
    TypeError
        If the kinds of prediction and target do not fit together.
    ValueError
        If shapes or options do not fit.

    See Also
    --------
    jaccard_index : the ratio of intersection and union.
    array_losses.DiceLoss : the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> prediction, target = np.asarray([[0, 1, 1, 2]]), np.asarray([[0, 1, 2, 2]])
    >>> round(float(al.dice_coefficient(prediction, target, num_classes=3)), 6)
    0.777778
    """
    loss = _SummedDice if reduction == "sum" else DiceLoss
    return _coefficient(
        prediction,
        target,
        num_classes,
        pixel_weights,
        loss(
            activation=None,
            ignore_index=ignore_index,
            class_axis=class_axis,
            include_background=include_background,
            pool=pool,
            absent=absent,
            reduction=reduction,
        ),
    )


def jaccard_index(
    prediction: ArrayT,
    target: Any,
    /,
    *,
    num_classes: int | None = None,
    pixel_weights: Any = None,
    ignore_index: int | Sequence[int] | None = None,
    class_axis: int = 1,
    include_background: bool = True,
    pool: Pool = "batch",
    absent: Absent = "skip",
    reduction: Reduction = "mean",
) -> ArrayT:
    r"""Return the Jaccard index (IoU), :math:`T / (P + G - T)`, averaged over classes.

    Parameters
    ----------
    prediction, target, num_classes
        As for `dice_coefficient`.
    pixel_weights, ignore_index, class_axis, include_background, pool, absent, reduction
        As for `JaccardLoss`. With ``reduction="none"`` a class left out holds 1.

    Returns
    -------
    array
        From 0 to 1; 1 if nothing counts. NaN if a predicted label lies outside the classes.

    Raises
    ------
    TypeError
        If the kinds of prediction and target do not fit together.
    ValueError
        If shapes or options do not fit.

    See Also
    --------
    dice_coefficient : twice the intersection over the sum of the sizes.
    array_losses.JaccardLoss : the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> prediction, target = np.asarray([[True, True, False]]), np.asarray([[True, False, False]])
    >>> float(al.jaccard_index(prediction, target))
    0.5
    """
    loss = _SummedJaccard if reduction == "sum" else JaccardLoss
    return _coefficient(
        prediction,
        target,
        num_classes,
        pixel_weights,
        loss(
            activation=None,
            ignore_index=ignore_index,
            class_axis=class_axis,
            include_background=include_background,
            pool=pool,
            absent=absent,
            reduction=reduction,
        ),
    )


def _coefficient(
    prediction: Any, target: Any, num_classes: int | None, pixel_weights: Any, loss: ClassLoss
) -> Any:
    xp = namespace_of(prediction=prediction, target=target, pixel_weights=pixel_weights)
    if is_real_floating(xp, prediction.dtype):
        _check_class_count(prediction, num_classes, loss.class_axis)
        found = loss(prediction, target, pixel_weights=pixel_weights)
    else:
        count = _number_of_classes(xp, prediction, target, num_classes)
        _check_layout(loss.class_axis)
        found = _loss_of_labels(xp, prediction, target, count, pixel_weights, loss)
    return found if loss.reduction == "sum" else 1.0 - found


def _number_of_classes(
    xp: Namespace, prediction: Array, target: Array, num_classes: int | None
) -> int:
    """Return 1 for masks, `num_classes` for labels, or raise an error if it is neither."""
    both_bool = is_bool(xp, prediction.dtype) and is_bool(xp, target.dtype)
    both_integer = is_integer(xp, prediction.dtype) and is_integer(xp, target.dtype)
    if not (both_bool or both_integer):
        msg = (
            "`prediction` and `target` must be two bool masks or two arrays of integer labels, or "
            f"`prediction` floating with a class axis, got {prediction.dtype} and {target.dtype}."
        )
        raise TypeError(msg)
    if prediction.ndim == 0 or tuple(prediction.shape) != tuple(target.shape):
        msg = (
            "`prediction` must have the shape of `target` and at least one axis, got "
            f"{tuple(prediction.shape)} and {tuple(target.shape)}."
        )
        raise ValueError(msg)
    if both_bool:
        return _only(num_classes, 1)
    if num_classes is None:
        msg = "`num_classes` must be given for integer labels, got None."
        raise ValueError(msg)
    return options.integer("num_classes", num_classes, lowest=2)


def _loss_of_labels(
    xp: Namespace,
    prediction: Array,
    target: Array,
    count: int,
    pixel_weights: Array | None,
    loss: ClassLoss,
) -> Array:
    """Return the loss of labels or masks: of their counts where these can be taken, by NumPy."""
    dtype = default_dtype(xp, device(prediction))
    near = as_numpy(prediction, target, pixel_weights)
    if near is None:
        one_hot = _as_probabilities(xp, prediction, count, dtype)
        return loss(one_hot, target, pixel_weights=pixel_weights)
    predicted, labels, weights = near
    here = namespace_of(prediction=predicted)
    images, *space = predicted.shape
    zero = here.zeros((), dtype=here.float64, device=device(predicted))
    only_a_shape = here.broadcast_to(zero, (images, count, *space))
    (batch,) = prepare(((1.0, loss),), only_a_shape, labels, weights, None)  # type: ignore[arg-type]
    totals = confusion(batch, predicted, loss.view, per_image=loss.per_image)
    value = divide(here, *loss.value(here, totals))
    return xp.asarray(value, dtype=dtype, device=device(prediction))


def _as_probabilities(xp: Namespace, prediction: Array, count: int, dtype: DType) -> Array:
    """Return a mask or labels as probabilities 0 and 1, with a class axis at 1."""
    images, *space = prediction.shape
    flat = xp.reshape(prediction, (images, 1, math.prod(space)))
    if count == 1:
        found = xp.astype(flat, dtype)
    else:
        found = xp.astype(Labels(xp, flat, count, traced=True).equal, dtype)
        found = xp.where(outside(xp, flat, count - 1), float("nan"), found)
    return xp.reshape(found, (images, count, *space))


def _only(num_classes: int | None, count: int) -> int:
    if num_classes not in (None, count):
        msg = f"`num_classes` must be None or {count} here, got {num_classes!r}."
        raise ValueError(msg)
    return count


def _check_class_count(prediction: Array, num_classes: int | None, class_axis: int) -> None:
    if num_classes is not None and -prediction.ndim <= class_axis < prediction.ndim:
        _only(num_classes, prediction.shape[class_axis])


def _check_layout(class_axis: int) -> None:
    if class_axis != 1:
        msg = f"`class_axis` must be 1 (the default) for masks and labels, got {class_axis}."
        raise ValueError(msg)

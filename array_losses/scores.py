"""The Dice coefficient and the Jaccard index, and which classes count in their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core.label_confusion import confusion
from array_losses.core.labels import outside
from array_losses.core.namespace import (
    Array,
    ArrayT,
    DType,
    Namespace,
    default_dtype,
    device,
    is_real_floating,
    namespace_of,
)
from array_losses.core.protocol import Call, Fraction, Sums, divide, prepare
from array_losses.frameworks import alike, as_numpy, library_of, of_namespace, plainly
from array_losses.losses.base import Reduction
from array_losses.losses.class_mean import ClassLoss, ClassPool
from array_losses.losses.overlap import DiceLoss, JaccardLoss
from array_losses.score_inputs import Reading, check_predicted, multi_hot, read

__all__ = ["dice_coefficient", "jaccard_index"]

ScoreAbsent: TypeAlias = Literal["nan", "skip", "one", "zero"]


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
    pool: ClassPool = "batch",
    absent: ScoreAbsent = "nan",
    reduction: Reduction = "mean",
) -> ArrayT:
    r"""Return the Dice coefficient, :math:`2 T / (P + G)`, averaged over classes.

    Parameters
    ----------
    prediction, target : array
        Two arrays of integer labels of the same shape, with `num_classes`. Or two bool masks of the
        same shape: a single class, the foreground. Or bool or integer masks of several classes
        along `class_axis`, with `num_classes`. Or a floating prediction with a class axis
        (probabilities or one-hot) and any target that the losses take. Arrays that could be read in
        two ways are an error that says what to pass.
    num_classes : int, optional
        Required for integers, for bool masks of several classes, and for a floating prediction and
        a target of the same shape.
    pixel_weights, ignore_index, class_axis, include_background, pool
        As for `DiceLoss`.
    absent : {"nan", "skip", "one", "zero"}
        How a class counts that is neither in the prediction nor in the target: left out of means
        and NaN on its own ("nan"), or counted as 1 or 0. With "skip", every class that is not in
        the target is left out, predicted or not.
    reduction : {"mean", "sum", "none"}
        "none" gives one number per class, or (images, classes); NaN for a class that is left out.

    Returns
    -------
    array
        From 0 to 1. If nothing counts, NaN; a sum is then 0. Also NaN if a predicted label is
        outside the classes and values cannot be inspected.

    Raises
    ------
    TypeError
        If the kinds of prediction and target do not match.
    ValueError
        If shapes or options do not match, if arrays can be read in two ways, or if a label is
        outside the classes (eager CPU arrays).

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
    score = _DiceCoefficient(
        activation=None,
        ignore_index=ignore_index,
        class_axis=class_axis,
        include_background=include_background,
        pool=pool,
        absent=absent,
        reduction=reduction,
    )
    return _evaluated(score, prediction, target, num_classes, pixel_weights)


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
    pool: ClassPool = "batch",
    absent: ScoreAbsent = "nan",
    reduction: Reduction = "mean",
) -> ArrayT:
    r"""Return the Jaccard index (IoU), :math:`T / (P + G - T)`, averaged over classes.

    Parameters
    ----------
    prediction, target, num_classes
        As for `dice_coefficient`.
    pixel_weights, ignore_index, class_axis, include_background, pool
        As for `JaccardLoss`.
    absent, reduction
        As for `dice_coefficient`.

    Returns
    -------
    array
        From 0 to 1. If nothing counts, NaN; a sum is then 0. Also NaN if a predicted label is
        outside the classes and values cannot be inspected.

    Raises
    ------
    TypeError
        If the kinds of prediction and target do not match.
    ValueError
        If shapes or options do not match, if arrays can be read in two ways, or if a label is
        outside the classes (eager CPU arrays).

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
    score = _JaccardIndex(
        activation=None,
        ignore_index=ignore_index,
        class_axis=class_axis,
        include_background=include_background,
        pool=pool,
        absent=absent,
        reduction=reduction,
    )
    return _evaluated(score, prediction, target, num_classes, pixel_weights)


@dataclass(frozen=True, kw_only=True)
class _Coefficient(ClassLoss):
    """Turns an overlap loss into a score: 1 - loss per class, reduced over the counted classes.

    The sums of the loss are true positives, false positives and false negatives; no smoothing.
    """

    absent: ScoreAbsent = "nan"  # type: ignore[assignment]

    @property
    def absents(self) -> tuple[str, ...]:
        """The values that `absent` may have."""
        return "nan", "skip", "one", "zero"

    def value_of(self, xp: Namespace, sums: Sums) -> tuple[Array, None]:
        """Return the scores of the classes, reduced; NaN if none counts."""
        pooled = self.pooled(xp, sums, self.pool_factors(xp, sums))
        scores, counted = self._scores(xp, pooled), self._counted(xp, pooled)
        if self.reduction == "none":
            table = xp.where(counted, scores, float("nan"))
            if self.over_classes:
                table = table[:, 0]
            return table if self.per_image else table[0, ...], None
        kept = xp.where(counted, scores, 0.0)
        if self.reduction == "sum":
            return xp.sum(kept), None
        numbers = xp.sum(xp.astype(counted, kept.dtype), axis=1)
        means = divide(xp, xp.sum(kept, axis=1), numbers)
        rows = xp.sum(xp.where(numbers == 0.0, 0.0, xp.ones_like(numbers)))
        return xp.where(rows == 0.0, float("nan"), divide(xp, xp.sum(means), rows)), None

    def fraction(self, xp: Namespace, sums: Sums, *, autodiff: bool) -> Fraction:
        """Return the same, and the sums."""
        return Fraction(*self.value_of(xp, sums), sums)

    def grad_sums(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d score / d sums."""
        factors, shape = self.pool_factors(xp, kept), kept[0].shape
        pooled = self.pooled(xp, kept, factors)
        each = xp.astype(self._counted(xp, pooled), pooled[0].dtype)
        if self.reduction == "mean":
            numbers = xp.sum(each, axis=1, keepdims=True)
            rows = xp.sum(xp.where(numbers == 0.0, 0.0, xp.ones_like(numbers)))
            each = divide(xp, each, numbers * rows)
        if self.over_classes and self.per_image and self.reduction == "none":
            d = d[:, None]
        _, kept = self.counted(xp, pooled, None)
        return self.unpooled(xp, self.grad_counted(xp, kept, -d * each), factors, shape)

    def _scores(self, xp: Namespace, sums: Sums) -> Array:
        """Return the score of each class, (images or 1, classes)."""
        in_neither = 1.0 if self.absent == "one" else 0.0
        return xp.where(_nowhere(sums), in_neither, 1.0 - self.class_losses(xp, sums))

    def _counted(self, xp: Namespace, sums: Sums) -> Array:
        """Return which scores count, (images or 1, classes); a score of NaN counts."""
        if self.absent == "nan":
            left_out = _nowhere(sums)
        elif self.absent == "skip":
            left_out = self.support(xp, sums) + 0.0 * sums[1] == 0.0
        else:
            left_out = xp.zeros_like(sums[0], dtype=xp.bool)
        if self.include_background or self.over_classes:
            return ~left_out
        numbers = range(left_out.shape[1])
        background = xp.asarray([n == 0 for n in numbers], dtype=xp.bool, device=device(left_out))
        return ~(left_out | background[None, :])


def _nowhere(sums: Sums) -> Array:
    """Return which classes are neither in the prediction nor in the target."""
    hits, false, missed = sums
    return hits + false + missed == 0.0


@dataclass(frozen=True, kw_only=True)
class _DiceCoefficient(_Coefficient, DiceLoss):
    """The Dice coefficient."""


@dataclass(frozen=True, kw_only=True)
class _JaccardIndex(_Coefficient, JaccardLoss):
    """The Jaccard index."""


@plainly
def _evaluated(
    score: _Coefficient, prediction: Any, target: Any, num_classes: int | None, pixel_weights: Any
) -> Any:
    """Return the score of arrays of any kind."""
    prediction, target, pixel_weights = alike(prediction, target, pixel_weights)
    xp = namespace_of(prediction=prediction, target=target, pixel_weights=pixel_weights)
    ignore_index = score.view.ignore_index
    reading = read(
        xp,
        prediction,
        target,
        num_classes=num_classes,
        class_axis=score.class_axis,
        ignore_index=ignore_index,
    )
    if is_real_floating(xp, prediction.dtype):
        return score(prediction, target, pixel_weights=pixel_weights)
    if not reading.by_class:
        return _score_of_labels(xp, prediction, target, pixel_weights, reading, score)
    hot = multi_hot(xp, prediction, default_dtype(xp, device(prediction)))
    found = score(hot, target, pixel_weights=pixel_weights)
    check_predicted(
        xp,
        prediction,
        target,
        pixel_weights,
        highest=1,
        ignore_index=ignore_index,
        class_axis=score.class_axis,
    )
    return _unless(xp, reading.doubtful, found)


def _score_of_labels(
    xp: Namespace,
    prediction: Array,
    target: Array,
    pixel_weights: Array | None,
    reading: Reading,
    score: _Coefficient,
) -> Array:
    """Return the score of labels or masks, from a confusion matrix if NumPy can read the arrays."""
    if score.per_image and prediction.ndim < 2:
        msg = (
            f"`pool` must not be {score.pool!r} for labels or masks without a batch axis, got "
            f"shape {tuple(prediction.shape)}; pass a single image as `prediction[None, ...]`."
        )
        raise ValueError(msg)
    dtype, count = default_dtype(xp, device(prediction)), reading.num_classes
    near = as_numpy(prediction, target, pixel_weights)
    if near is None:
        one_hot = _as_probabilities(xp, prediction, count, dtype)
        found = score(one_hot, target, pixel_weights=pixel_weights)
        check_predicted(
            xp,
            prediction,
            target,
            pixel_weights,
            highest=count - 1,
            ignore_index=score.view.ignore_index,
        )
        return _unless(xp, reading.doubtful, found)
    predicted, labels, weights = near
    here = namespace_of(prediction=predicted)
    images, *space = predicted.shape
    zero = here.zeros((), dtype=here.float64, device=device(predicted))
    only_a_shape = here.broadcast_to(zero, (images, count, *space))
    lib, terms = library_of(predicted), ((1.0, score),)
    (batch,) = prepare(lib, Call(terms, only_a_shape, labels, weights))  # type: ignore[arg-type]
    sums = confusion(lib, batch, predicted, score.view, per_image=score.per_image)
    value, _ = score.value_of(here, sums)
    return xp.asarray(value, dtype=dtype, device=device(prediction))


def _unless(xp: Namespace, doubtful: Array | None, found: Array) -> Array:
    """Return the score, or NaN where the reading of the arrays is in doubt."""
    return found if doubtful is None else xp.where(doubtful, float("nan"), found)


def _as_probabilities(xp: Namespace, prediction: Array, count: int, dtype: DType) -> Array:
    """Return a mask or labels as probabilities of 0 and 1, with the class axis at 1."""
    images, *space = prediction.shape
    flat = xp.reshape(prediction, (images, 1, math.prod(space)))
    if count == 1:
        found = xp.astype(flat, dtype)
    else:
        found = xp.astype(of_namespace(xp).compared_labels(flat, count).equal, dtype)
        found = xp.where(outside(xp, flat, count - 1), float("nan"), found)
    return xp.reshape(found, (images, count, *space))

"""Dice, Jaccard and Tversky: the overlap of prediction and target, class by class."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core import options
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import (
    Array,
    Namespace,
    inverse,
    kept_within,
    plus,
    quotient,
    smallest_divisor,
    times,
)
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Sums
from array_losses.losses.base import Activation, PerClass
from array_losses.losses.class_mean import ClassLoss, Pool, row
from array_losses.losses.confusion import (
    Intersection,
    Power,
    counts,
    counts_derivative,
    squares,
    squares_derivative,
)

__all__ = ["DiceLoss", "Form", "GeneralizedDiceLoss", "JaccardLoss", "TverskyLoss", "Weighting"]

Weighting: TypeAlias = Literal["square", "simple", "uniform"]
Form: TypeAlias = Literal["linear", "log", "log_cosh"]

# Where a logarithm or a power of less than 1 would be infinitely steep: below this, neither a
# coefficient nor a loss is told from it. The same in every dtype, and a number in each.
_NEXT_TO_0 = 1e-30


@dataclass(frozen=True, kw_only=True)
class _OverlapLoss(ClassLoss):
    """1 - (h T + s) / (h T + E + s'), with the errors E = a FP + b FN.

    All from three sums over pixels: the true positives T, the false positives FP and the false
    negatives FN. The loss is computed as (E + s' - s) / (h T + E + s'), which does not cancel near
    0, where 1 minus the coefficient would.
    """

    activation: Activation = "softmax"
    smooth: float | tuple[float, float] = 0.0
    power: Power = 1
    intersection: Intersection = "l1"
    form: Form = "linear"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self._set(smooth=options.smoothing_pair(self.smooth))
        options.choice("power", self.power, (1, 2))
        options.choice("intersection", self.intersection, ("l1", "product"))
        options.choice("form", self.form, ("linear", "log", "log_cosh"))

    @property
    def pools(self) -> tuple[str, ...]:
        """The values that `pool` may have."""
        return "batch", "image", "batch+class", "image+class"

    @property
    def hits(self) -> float:
        """The factor h of the true positives."""
        return 1.0

    @property
    def error_weights(self) -> tuple[float, float]:
        """The factors a of the false positives and b of the false negatives."""
        return 1.0, 1.0

    def exponents(self, num_classes: int) -> float | tuple[float, ...]:
        """Return the power to which the loss of a class is raised, one for all or one per class."""
        return 1.0

    def sums_of(self, pixels: Pixels) -> Sums:
        """Return T, FP and FN of each class; with squares T, FP + FN, FN and perhaps FP."""
        if self.power == 1:
            return counts(pixels, per_image=self.per_image, intersection=self.intersection)
        a, b = self.error_weights
        return squares(pixels, per_image=self.per_image, false_positives=a > b)

    def support(self, xp: Namespace, sums: Sums) -> Array:
        """Return T + FN, the target's weight."""
        return sums[0] + sums[2]

    def class_losses(self, xp: Namespace, sums: Sums) -> Array:
        """Return the loss of each class, 0 for 0 / 0."""
        hits, below, errors = self._fraction(xp, sums)
        return self._formed(xp, *self._followed(xp, hits, below, errors))[0]

    def counted(
        self, xp: Namespace, sums: Sums, there: Array | None
    ) -> tuple[Array, tuple[Any, ...]]:
        """Return the loss of each class, 0 where it is not there, and what its derivative needs."""
        hits, below, errors = self._fraction(xp, sums)
        below = self._divisor(xp, below, there)
        linear = errors / below
        if self.form == "linear" and self.exponents(linear.shape[1]) == 1.0:
            return linear, (hits, below, linear, None)
        coefficient = xp.where(linear >= 0.5, hits / below, 1.0 - linear)
        loss, steepness = self._formed(xp, linear, coefficient)
        return loss, (hits, below, linear, steepness)

    def _fraction(self, xp: Namespace, sums: Sums) -> tuple[Array, Array, Array]:
        """Return h T + s, h T + E + s', and E + s' - s, their difference without cancellation."""
        smooth = self.smooth
        above, below = smooth if isinstance(smooth, tuple) else (smooth, smooth)
        hits, *errors = (
            times(factor, one)
            for factor, one in zip((self.hits, *self._error_factors), sums, strict=True)
        )
        total = functools.reduce(operator.add, errors)
        return plus(hits, above), plus(hits + total, below), plus(total, below - above)

    @property
    def _error_factors(self) -> tuple[float, ...]:
        """The factors of the sums after the first in the errors."""
        a, b = self.error_weights
        if self.power == 1:
            return a, b
        return (a, b - a) if a <= b else (b, 0.0, a - b)

    def _divisor(self, xp: Namespace, denominator: Array, there: Array | None) -> Array:
        """Return what to divide by: infinity for 0 / 0, and for a class that is not there.

        Loss and derivative are 0 then. So they are where numbers below 0 in a soft target, as
        interpolation leaves them, prevail.
        """
        if there is None or self._may_vanish:
            divisible = denominator > 0.0
            there = divisible if there is None else divisible & there
        return xp.where(there, denominator, float("inf"))

    @property
    def _may_vanish(self) -> bool:
        """Whether the denominator of a class that counts may be next to 0.

        It is no less than the support of the class, if misses count.
        """
        return self.absent not in {"skip", "zero"} or self.error_weights[1] == 0.0

    def _followed(
        self, xp: Namespace, hits: Array, denominator: Array, errors: Array
    ) -> tuple[Array, Array]:
        """Return 1 - coefficient, and the coefficient (1 for 0 / 0), to be differentiated.

        The smaller of both is a quotient, so its derivative has no difference that cancels. No
        square of a denominator under- or overflows in it. Among numbers below the normal ones,
        where the quotient itself could not be differentiated, it is 0 or 1.
        """
        tiny = denominator < smallest_divisor(xp, denominator.dtype)
        below = xp.where(tiny, 1.0, denominator)
        coefficient = quotient(xp, hits, below)
        right = (hits >= errors) | (denominator <= 0.0)
        coefficient = xp.where(tiny, xp.astype(right, hits.dtype), coefficient)
        near = (coefficient > 0.5) & ~tiny
        return xp.where(near, quotient(xp, errors, below), 1.0 - coefficient), coefficient

    def _formed(
        self, xp: Namespace, linear: Array, coefficient: Array
    ) -> tuple[Array, Array | float]:
        """Return the loss in the asked-for form and power, and d loss / d linear."""
        loss, steepness = self._in_form(xp, linear, coefficient)
        exponents = self.exponents(loss.shape[1])
        if exponents == 1.0:
            return loss, steepness
        loss, by_power = _power(xp, loss, exponents)
        return loss, steepness * by_power

    def _in_form(
        self, xp: Namespace, linear: Array, coefficient: Array
    ) -> tuple[Array, Array | float]:
        if self.form == "log":
            low = coefficient < _NEXT_TO_0
            kept = xp.where(low, _NEXT_TO_0, coefficient)
            near = kept > 0.5
            log = xp.where(
                near,
                xp.log1p(-xp.where(near, linear, 0.0)),
                xp.log(xp.where(near, 1.0, kept)),
            )
            return -log, xp.where(low, 0.0, 1.0 / kept)
        if self.form == "log_cosh":
            size = xp.where(linear < 0.0, -linear, linear)
            large = size > 1.0
            sinh = xp.sinh(xp.where(large, 1.0, linear))
            straight = size - (math.log(2.0) - xp.log1p(xp.exp(-2.0 * size)))
            return xp.where(large, straight, 0.5 * xp.log1p(sinh * sinh)), xp.tanh(linear)
        return linear, 1.0

    def grad_counted(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return the derivative, by the quotient rule: -h linear by T, coefficient by E.

        By squares that is d loss / d sums; of counts d loss / d (TP - FN) and d loss / d FP: no
        logit moves TP + FN.
        """
        hits, below, linear, steepness = kept
        coefficient = hits / below
        if self._may_vanish:
            # With room for what the derivative is multiplied by, a loss scale, say.
            below = kept_within(xp, below, 2.0**17 * smallest_divisor(xp, below.dtype))
        rate = d / below if steepness is None else d * steepness / below
        by_errors = rate * coefficient
        if self.power == 2:
            by_hit = -self.hits * (rate * linear)
            return by_hit, *(times(factor, by_errors) for factor in self._error_factors)
        a, b = self.error_weights
        # -h linear - b coefficient; linear and coefficient sum to 1.
        more, by_hit = self.hits - b, -b
        if more > 0.0:
            by_hit = -b - times(more, linear)
        elif more < 0.0:
            by_hit = more * coefficient - self.hits
        return by_hit * rate, times(a, by_errors)

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d probabilities: two numbers per class, if the target is hard."""
        if self.power == 2:
            return squares_derivative(pixels, grad_sums)
        return counts_derivative(pixels, *grad_sums, intersection=self.intersection)


def _power(xp: Namespace, x: Array, exponents: float | tuple[float, ...]) -> tuple[Array, Array]:
    """Return x ** exponent and its derivative, both 0 where x is 0, or as good as 0, or below."""
    exponent = row(xp, exponents, x) if isinstance(exponents, tuple) else exponents
    low = x < _NEXT_TO_0
    kept = xp.where(low, 1.0, x)
    power = xp.exp(exponent * xp.log(kept))
    return xp.where(low, 0.0, power), xp.where(low, 0.0, exponent * power / kept)


@dataclass(frozen=True, kw_only=True)
class DiceLoss(_OverlapLoss):
    r"""Dice loss, :math:`1 - 2T / (P + G)` for every class.

    T is the overlap of the probabilities p with the target g, P and G are their sums, all over the
    pixels of the batch (or of each image) and weighted by the pixel weights w.

    Parameters
    ----------
    class_axis : int, default 1
        The axis of the logits that holds the classes; -1 for channels-last.
    ignore_index : int or sequence of ints, optional
        Target values that do not count. An error with a floating target.
    class_weights : sequence of numbers >= 0, optional
        One per class; the mean over classes is weighted by them and divided by their sum.
    include_background : bool, default True
        Whether class 0 counts (it takes part in the softmax either way).
    reduction : {"mean", "sum", "none"}
        "none" gives one number per class, or (images, classes); a class left out holds 0.
    activation : {"softmax", "sigmoid", None}
        None: the input is probabilities already.
    pool : {"batch", "image", "batch+class", "image+class"}
        Over what the sums run. For "image" the counted classes of an image are averaged first,
        then the images that have any. With "+class" they run over the classes too, each times its
        class weight: one loss, or one an image.
    absent : {"skip", "keep", "zero"}
        What becomes of a class without a pixel in the target: left out of the mean, counted as it
        comes, or counted as 0.
    normalize : {"weights", "classes"}
        What the weighted mean over classes is divided by: the summed class weights, or the number,
        of the counted classes.
    smooth : number >= 0 or pair (numerator, denominator)
        Added to 2T and to P + G.
    power : {1, 2}
        2 sums the squares of p and g, as V-Net does.
    intersection : {"l1", "product"}
        For soft targets: (P + G - sum of w \|p - g\|) / 2, which makes p = g the minimum, or the
        sum of w p g. The same on hard targets, and with ``power=2``.
    form : {"linear", "log", "log_cosh"}
        The loss of a class: 1 minus the coefficient D; -log D; or log(cosh(1 - D)). A D below
        1e-30 counts as 1e-30 in the logarithm.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    JaccardLoss : divides by the union.
    TverskyLoss : weighs false positives and false negatives apart.

    References
    ----------
    F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric
    Medical Image Segmentation", 3DV 2016. Z. Wang et al., "Dice Semimetric Losses", MICCAI 2023.
    S. Jadon, "A Survey of Loss Functions for Semantic Segmentation", CIBCB 2020 (log-cosh).

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p = np.asarray([[[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]])
    >>> al.DiceLoss(activation=None, reduction="none")(p, np.asarray([[0, 0, 1]])).round(3)
    array([0.143, 0.2  ])
    """

    @property
    def hits(self) -> float:
        """The factor of the true positives: P + G holds them twice."""
        return 2.0


@dataclass(frozen=True, kw_only=True)
class JaccardLoss(_OverlapLoss):
    r"""Jaccard (IoU) loss, :math:`1 - T / (P + G - T)` for every class.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `DiceLoss`.
    pool, absent, normalize, power, intersection, form
        As for `DiceLoss`.
    smooth : number >= 0 or pair (numerator, denominator)
        Added to T and to P + G - T.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    DiceLoss : divides by the sum of the sizes; J = 2D / (1 + D) for a class's losses J and D.
    LovaszSoftmaxLoss : the convex extension of the Jaccard loss of a labelling.

    References
    ----------
    M. A. Rahman, Y. Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image
    Segmentation", ISVC 2016. Z. Wang, X. Ning, M. B. Blaschko, "Jaccard Metric Losses: Optimizing
    the Jaccard Index with Soft Labels", NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p = np.asarray([[[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]])
    >>> al.JaccardLoss(activation=None, reduction="none")(p, np.asarray([[0, 0, 1]])).round(3)
    array([0.25 , 0.333])
    """


@dataclass(frozen=True, kw_only=True)
class TverskyLoss(_OverlapLoss):
    r"""Tversky loss, :math:`1 - T / (T + a \, FP + b \, FN)` for every class.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `DiceLoss`.
    pool, absent, normalize, power, intersection, form
        As for `DiceLoss`.
    smooth : number >= 0 or pair (numerator, denominator)
        Added to T and to T + a FP + b FN.
    fp_weight, fn_weight : numbers >= 0, default 0.5
        The weights a of false positives and b of false negatives; not both 0. With 0.5 and 0.5 it
        is the Dice loss, with 1 and 1 the Jaccard loss (without smoothing).
    gamma : number > 0 or sequence of one per class, default 1
        The power to which the loss of each class is raised: the focal Tversky loss. The paper's
        :math:`\gamma` is the inverse, 4/3 for an exponent of ``gamma=0.75`` here.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    DiceLoss, JaccardLoss : equal weights.

    References
    ----------
    S. S. M. Salehi, D. Erdogmus, A. Gholipour, "Tversky Loss Function for Image Segmentation Using
    3D Fully Convolutional Deep Networks", MLMI 2017. N. Abraham, N. M. Khan, "A Novel Focal Tversky
    Loss Function with Improved Attention U-Net for Lesion Segmentation", ISBI 2019 (`gamma`).

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(al.TverskyLoss(fp_weight=0.3, fn_weight=0.7)(logits, target)), 6)
    0.529915
    """

    fp_weight: float = 0.5
    fn_weight: float = 0.5
    gamma: PerClass = 1.0

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self._set(fp_weight=options.non_negative("fp_weight", self.fp_weight))
        self._set(fn_weight=options.non_negative("fn_weight", self.fn_weight))
        if self.fp_weight == self.fn_weight == 0.0:
            msg = "`fp_weight` and `fn_weight` must not both be 0."
            raise ValueError(msg)
        self._set(gamma=options.per_class_or_number("gamma", self.gamma))
        if self.gamma == 0.0 or (isinstance(self.gamma, tuple) and 0.0 in self.gamma):
            msg = f"`gamma` must be above 0, got {self.gamma}."
            raise ValueError(msg)
        if isinstance(self.gamma, tuple) and self.over_classes:
            msg = f"`gamma` must be one number with pool={self.pool!r}, got {self.gamma}."
            raise ValueError(msg)

    @property
    def error_weights(self) -> tuple[float, float]:
        """The factors of the false positives and the false negatives."""
        return self.fp_weight, self.fn_weight

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number per class."""
        return ("gamma",)

    def exponents(self, num_classes: int) -> float | tuple[float, ...]:
        """Return the power to which the loss of a class is raised, one for all or one per class."""
        return tuple(self.gamma) if isinstance(self.gamma, Sequence) else self.gamma


@dataclass(frozen=True, kw_only=True)
class GeneralizedDiceLoss(_OverlapLoss):
    r"""Generalised Dice loss: one Dice loss of all classes, each weighted against its size.

    .. math:: 1 - \frac{2 \sum_c v_c T_c}{\sum_c v_c (P_c + G_c)}, \qquad v_c = \omega_c / G_c^2

    with the overlap T, the sums P of the probabilities and G of the target as for `DiceLoss`. A
    class that the target does not have weighs 0, not infinitely much.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, activation
        As for `DiceLoss`; the class weights are factors of the weights by size.
    reduction : {"mean", "sum", "none"}
        There is one loss, or one an image: "mean" and "sum" are over images, "none" gives shape ()
        or (images,).
    pool : {"batch", "image"}
        Over what the sums run, always over the classes too.
    absent : {"skip", "keep"}
        The weight of a class without a pixel in the target: 0, or as much as the largest of the
        other classes in that pool (1 with ``weighting="uniform"``, whatever the others are).
    normalize : {"weights", "classes"}
        Without effect: the classes share one loss.
    smooth : number >= 0 or pair (numerator, denominator)
        Added to the weighted sums of 2T and of P + G.
    power, intersection, form
        As for `DiceLoss`.
    weighting : {"square", "simple", "uniform"}
        The weights by size: 1 / G^2, 1 / G, or 1 for all.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    DiceLoss : one loss per class; with ``pool="batch+class", absent="keep"`` it is this loss with
        ``weighting="uniform", absent="keep"``.

    References
    ----------
    C. H. Sudre, W. Li, T. Vercauteren, S. Ourselin, M. J. Cardoso, "Generalised Dice Overlap as a
    Deep Learning Loss Function for Highly Unbalanced Segmentations", DLMIA 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p = np.asarray([[[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]])
    >>> loss = al.GeneralizedDiceLoss(activation=None)
    >>> round(float(loss(p, np.asarray([[0, 0, 1]]))), 6)  # 1 - 2 (1.5 / 4 + 1) / (3.5 / 4 + 2.5)
    0.185185
    """

    pool: Pool = "batch"
    weighting: Weighting = "square"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("absent", self.absent, ("skip", "keep"))
        options.choice("weighting", self.weighting, ("square", "simple", "uniform"))

    @property
    def over_classes(self) -> bool:
        """Whether the sums of the classes are added up to those of one: always."""
        return True

    @property
    def pools(self) -> tuple[str, ...]:
        """The values that `pool` may have."""
        return "batch", "image"

    @property
    def hits(self) -> float:
        """The factor of the true positives."""
        return 2.0

    def pool_factors(self, xp: Namespace, sums: Sums) -> Sums:
        """Return the weights of the classes, which no logit moves, as factors.

        One after the other: the square of a size may be no number where the size is one.
        """
        counted = super().pool_factors(xp, sums)
        if self.absent == "keep" and self.weighting == "uniform":
            return counted
        support = self.support(xp, sums)
        nothing = support == 0.0
        if self.weighting == "uniform":
            return xp.astype(~nothing, support.dtype), *counted
        each = xp.where(nothing, 0.0, inverse(xp, xp.where(nothing, 1.0, support)))
        each = self._without(xp, each)
        if self.absent == "keep":
            largest = xp.max(each, axis=1, keepdims=True)
            each = xp.where(nothing, largest, each)
        return (each, each, *counted) if self.weighting == "square" else (each, *counted)

"""Matthews correlation of prediction and target, class by class."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from array_losses.core import options
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array, Namespace, is_tiny, quotient
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Sums
from array_losses.losses.base import Activation
from array_losses.losses.class_mean import ClassLoss, Pool, only
from array_losses.losses.confusion import (
    Intersection,
    counts,
    counts_derivative,
    true_negatives,
)

__all__ = ["MCCLoss"]


@dataclass(frozen=True, kw_only=True)
class MCCLoss(ClassLoss):
    r"""Matthews correlation loss of every class against the rest, from 0 to 2.

    .. math::
        1 - \frac{TP \cdot TN - FP \cdot FN}
                 {\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}

    from the soft counts :math:`TP = \sum w p g`, :math:`FP = \sum w p (1 - g)`,
    :math:`FN = \sum w (1 - p) g` and :math:`TN = \sum w (1 - p)(1 - g)`.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `DiceLoss`.
    pool : {"batch", "image"}
        Over what the counts run.
    absent : {"skip", "keep", "zero"}
        As for `DiceLoss`, of a class that no pixel has, or that every pixel has: there is nothing
        to correlate with. Kept, its loss is 1.
    normalize, intersection
        As for `DiceLoss`.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    JaccardLoss : does not look at true negatives.

    Notes
    -----
    The correlation is 0 where it is 0 / 0, also where a probability is 0, or 1, at every pixel.
    Without any pixel the loss is 0.

    References
    ----------
    K. Abhishek, G. Hamarneh, "Matthews Correlation Coefficient Loss for Deep Convolutional
    Networks: Application to Skin Lesion Segmentation", ISBI 2021.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p = np.asarray([[[1.0, 1.0, 0.0, 0.0]]])  # TP, FP, FN and TN are 1
    >>> float(al.MCCLoss(activation=None)(p, np.asarray([[1, 0, 1, 0]])))
    1.0
    """

    pool: Pool = "batch"
    activation: Activation = "softmax"
    intersection: Intersection = "l1"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("intersection", self.intersection, ("l1", "product"))

    def sums_of(self, pixels: Pixels) -> Sums:
        """Return TP, FP, FN and TN of each class."""
        per_image, intersection = self.per_image, self.intersection
        found = counts(pixels, per_image=per_image, intersection=intersection)
        rest = true_negatives(pixels, per_image=per_image, intersection=intersection)
        return (*found, rest)

    def support(self, xp: Namespace, sums: Sums) -> Array:
        """Return the lesser weight, of the class or of the rest: 0 where one of them is."""
        tp, fp, fn, tn = sums
        return xp.minimum(tp + fn, fp + tn)

    def class_losses(self, xp: Namespace, sums: Sums) -> Array:
        """Return the loss of each class, 1 for 0 / 0, but 0 without any pixel."""
        return _losses(xp, _shares(xp, sums, partial(quotient, xp)))

    def counted(
        self, xp: Namespace, sums: Sums, there: Array | None
    ) -> tuple[Array, tuple[Any, ...]]:
        """Return the class losses, 0 where not `there`, and what `grad_counted` needs."""
        shares = _shares(xp, sums, operator.truediv)
        return only(xp, there, _losses(xp, shares)), (shares, there)

    def grad_counted(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d (TP - FN) and d loss / d (FP - TN): no logit moves TP + FN or FP + TN.

        They are -(TN / Q + FP / P) / (2 D) and (TP / P + FN / Q) / (2 D), with D the root.
        """
        shares, there = kept
        root = shares.predicted_root * shares.there_root * shares.not_there_root
        d = only(xp, there, xp.where(shares.empty, 0.0, 0.5 * d / shares.every)) / root
        (right, wrong), (right_not, wrong_not) = shares.found, shares.not_found
        return -d * (right_not + wrong), d * (right + wrong_not)

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d probabilities: two numbers per class, if the target is hard."""
        return counts_derivative(pixels, *grad_sums, intersection=self.intersection)


class _Shares(NamedTuple):
    """The four counts as shares of all pixels, and in what they are to each other.

    Where one of their sums is 0, or as good as 0, it comes as 1.

    Attributes
    ----------
    every : all pixels
    counts : TP, FP, FN and TN
    predicted_root : the root of P Q, with P = TP + FP and Q = TN + FN
    there, not_there : G = TP + FN and H = TN + FP
    there_root, not_there_root : their roots
    found : TP / P and FP / P
    not_found : TN / Q and FN / Q
    empty : whether one of the sums is 0
    nowhere : whether all are
    """

    every: Array
    counts: Sums
    predicted_root: Array
    there: Array
    not_there: Array
    there_root: Array
    not_there_root: Array
    found: Sums
    not_found: Sums
    empty: Array
    nowhere: Array


def _shares(xp: Namespace, sums: Sums, divided: Callable[[Array, Array], Array]) -> _Shares:
    """Return them; `divided` divides."""
    tp, fp, fn, tn = sums
    every = (tp + fn) + (fp + tn)
    nowhere = every == 0.0
    every = xp.where(nowhere, 1.0, every)
    tp, fp, fn, tn = counts = tuple(divided(one, every) for one in sums)
    margins = (tp + fp, tn + fn, tp + fn, tn + fp)
    empty = is_tiny(xp, xp.minimum(xp.minimum(*margins[:2]), xp.minimum(*margins[2:])))
    p, q, there, not_there = (xp.where(empty, 1.0, one) for one in margins)
    return _Shares(
        every,
        counts,
        xp.sqrt(p) * xp.sqrt(q),
        there,
        not_there,
        xp.sqrt(there),
        xp.sqrt(not_there),
        (divided(tp, p), divided(fp, p)),
        (divided(tn, q), divided(fn, q)),
        empty,
        nowhere,
    )


def _losses(xp: Namespace, shares: _Shares) -> Array:
    """Return the loss of each class.

    Near a correlation r of 1 as K / (G H (1 + r)), with

        K = TP / P * TN / Q * (FP + FN) + FP / P * FN / Q * (TP + TN),

    which does not cancel, where 1 - r would.
    """
    tp, fp, fn, tn = shares.counts
    (right, wrong), (right_not, wrong_not) = shares.found, shares.not_found
    agreed, crossed = right * right_not, wrong * wrong_not
    correlation = (agreed - crossed) * shares.predicted_root
    correlation = correlation / shares.there_root / shares.not_there_root
    correlation = xp.where(shares.empty, 0.0, correlation)
    near = correlation > 0.5
    cross = agreed * (fp + fn) + crossed * (tp + tn)
    rest = cross / shares.there / shares.not_there / xp.where(near, 1.0 + correlation, 1.0)
    loss = xp.where(near & ~shares.empty, rest, 1.0 - correlation)
    return xp.where(shares.nowhere, 0.0, loss)

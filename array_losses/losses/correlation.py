"""Matthews correlation of prediction and target, class by class."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import options
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array, Namespace, is_tiny, quotient
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Sums
from array_losses.losses.base import Activation
from array_losses.losses.class_mean import ClassLoss, Pool
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
        """Return the loss of each class, 1 for 0 / 0, but 0 without any pixel.

        Near a correlation r of 1 as K / (G H (1 + r)), with

            K = TP / P * TN / Q * (FP + FN) + FP / P * FN / Q * (TP + TN),

        which does not cancel, where 1 - r would.
        """
        shares = _shares(xp, sums)
        tp, fp, fn, tn = shares.counts
        (right, wrong), (right_not, wrong_not) = shares.found, shares.not_found
        pair = xp.sqrt(shares.predicted) * xp.sqrt(shares.not_predicted)
        correlation = (right * right_not - wrong * wrong_not) * pair
        correlation = correlation / xp.sqrt(shares.there) / xp.sqrt(shares.not_there)
        correlation = xp.where(shares.empty, 0.0, correlation)
        near = correlation > 0.5
        cross = right * right_not * (fp + fn) + wrong * wrong_not * (tp + tn)
        rest = cross / shares.there / shares.not_there / xp.where(near, 1.0 + correlation, 1.0)
        return xp.where(
            sum(sums) == 0.0, 0.0, xp.where(near & ~shares.empty, rest, 1.0 - correlation)
        )

    def grad_class_losses(self, xp: Namespace, sums: Sums, d: Array) -> Sums:
        """Return d loss / d (TP - FN) and d loss / d (FP - TN): no logit moves TP + FN or FP + TN.

        They are -(TN / Q + FP / P) / (2 D) and (TP / P + FN / Q) / (2 D), with D the root.
        """
        shares = _shares(xp, sums)
        (right, wrong), (right_not, wrong_not) = shares.found, shares.not_found
        root = xp.sqrt(shares.predicted) * xp.sqrt(shares.not_predicted)
        root = root * xp.sqrt(shares.there) * xp.sqrt(shares.not_there)
        d = xp.where(shares.empty, 0.0, 0.5 * d / _whole(xp, sums))
        return -d * (right_not + wrong) / root, d * (right + wrong_not) / root

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d probabilities: two numbers per class, if the target is hard."""
        return counts_derivative(pixels, *grad_sums, intersection=self.intersection)


@dataclass(frozen=True)
class _Shares:
    """The four counts as shares of all pixels, and in what they are to each other.

    Where one of the sums is 0, or as good as 0, it comes as 1.

    Attributes
    ----------
    counts : TP, FP, FN and TN
    predicted, not_predicted : P = TP + FP and Q = TN + FN
    there, not_there : G = TP + FN and H = TN + FP
    found : TP / P and FP / P
    not_found : TN / Q and FN / Q
    empty : whether one of the sums is 0
    """

    counts: Sums
    predicted: Array
    not_predicted: Array
    there: Array
    not_there: Array
    found: Sums
    not_found: Sums
    empty: Array


def _shares(xp: Namespace, sums: Sums) -> _Shares:
    every = _whole(xp, sums)
    tp, fp, fn, tn = counts = tuple(quotient(xp, one, every) for one in sums)
    margins = (tp + fp, tn + fn, tp + fn, tn + fp)
    empty = is_tiny(xp, xp.minimum(xp.minimum(*margins[:2]), xp.minimum(*margins[2:])))
    p, q, there, not_there = (xp.where(empty, 1.0, one) for one in margins)
    found = quotient(xp, tp, p), quotient(xp, fp, p)
    not_found = quotient(xp, tn, q), quotient(xp, fn, q)
    return _Shares(counts, p, q, there, not_there, found, not_found, empty)


def _whole(xp: Namespace, sums: Sums) -> Array:
    tp, fp, fn, tn = sums
    every = (tp + fn) + (fp + tn)
    return xp.where(every == 0.0, 1.0, every)

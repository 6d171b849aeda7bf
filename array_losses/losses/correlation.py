"""Matthews correlation: how far prediction and target vary together, class by class."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import options
from array_losses.core.formula import Totals
from array_losses.core.namespace import Array, Namespace, quotient
from array_losses.core.pixels import Pixels
from array_losses.losses.base import Activation
from array_losses.losses.class_mean import ClassLoss, Pool
from array_losses.losses.confusion import Intersection, counts, counts_slope, true_negatives

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
        options.choice("activation", self.activation, ("softmax", "sigmoid", None))
        options.choice("intersection", self.intersection, ("l1", "product"))

    additive = True

    def totals(self, pixels: Pixels) -> Totals:
        """Return TP, FP, FN and TN of each class."""
        per_image, intersection = self.per_image, self.intersection
        found = counts(pixels, per_image=per_image, intersection=intersection)
        rest = true_negatives(pixels, per_image=per_image, intersection=intersection)
        return (*found, rest)

    def mass(self, xp: Namespace, totals: Totals) -> Array:
        """Return the lesser mass, of the class or of the rest: 0 where one of them is."""
        tp, fp, fn, tn = totals
        return xp.minimum(tp + fn, fp + tn)

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class, 1 for 0 / 0, but 0 without any pixel.

        Above a correlation of 0 as (D^2 - N^2) / (D (D + N)), the fraction being N / D, with

            D^2 - N^2 = TP TN (FP + FN) + FP FN (TP + TN)    (in shares of all pixels),

        which does not cancel near 0, where 1 - N / D would.
        """
        (tp, fp, fn, tn), difference, root, _ = _fraction(xp, totals)
        cross = tp * tn * (fp + fn) + fp * fn * (tp + tn)
        above = difference > 0.0
        # One after the other: the square of their product would underflow in the derivative.
        near = (cross / root) / xp.where(above, root + difference, 1.0)
        loss = xp.where(above, near, 1.0 - difference / root)
        return xp.where(sum(totals) == 0.0, 0.0, loss)

    def class_rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d (TP, FP, FN, TN): the quotient rule."""
        (tp, fp, fn, tn), difference, root, nothing = _fraction(xp, totals)
        half = 0.5 * difference / root

        def part(sum_of_two: Array) -> Array:
            return half / xp.where(nothing, 1.0, sum_of_two)

        found, there, not_there, rest = (part(x) for x in (tp + fp, tp + fn, tn + fp, tn + fn))
        d = xp.where(nothing, 0.0, d / _whole(xp, totals))
        return (
            d * (found + there - tn / root),
            d * (found + not_there + fn / root),
            d * (there + rest + fp / root),
            d * (not_there + rest - tp / root),
        )

    def slope(self, pixels: Pixels, rates: Totals) -> Array:
        """Return d loss / d logits."""
        by_tp, by_fp, by_fn, by_tn = rates
        return counts_slope(pixels, by_tp - by_fn, by_fp - by_tn, intersection=self.intersection)


def _whole(xp: Namespace, totals: Totals) -> Array:
    tp, fp, fn, tn = totals
    every = (tp + fn) + (fp + tn)
    return xp.where(every == 0.0, 1.0, every)


def _fraction(xp: Namespace, totals: Totals) -> tuple[Totals, Array, Array, Array]:
    """Return the four as shares of all pixels, TP TN - FP FN, the root below it, and if that is 0.

    Where it is 0 the two come as 0 and 1.
    """
    every = _whole(xp, totals)
    tp, fp, fn, tn = shares = tuple(quotient(xp, one, every) for one in totals)
    # Two roots of two factors each: all four at once would underflow.
    pair, other = (tp + fp) * (tn + fn), (tp + fn) * (tn + fp)
    empty = (pair == 0.0) | (other == 0.0)
    root = xp.sqrt(xp.where(empty, 1.0, pair)) * xp.sqrt(xp.where(empty, 1.0, other))
    return shares, xp.where(empty, 0.0, tp * tn - fp * fn), root, empty

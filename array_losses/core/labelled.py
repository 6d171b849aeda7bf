"""A labelled softmax: the probability of the labelled class at every pixel, and the way back.

The exponential of the labelled class is kept apart from those of the others. Then the sum of the
others is small where the label is sure, with no subtraction: `not_p` and `log_p` keep their
relative accuracy. With e the exponential of the labelled class and S the sum of the others:
p = e / (S + e), log p = -log(1 + S / e).

Only for eager arrays: what is written in place here, automatic differentiation could not follow.
"""

from __future__ import annotations

import math

from array_losses.core.hard import HardView, chosen
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array, Namespace, is_numpy_namespace
from array_losses.core.once import once
from array_losses.core.products import over_both, over_pixels, times

__all__ = ["kept_softmax", "labelled_softmax"]

# Up to so many classes NumPy multiplies with all of them faster than it reads and writes at labels.
_FEW = 8


def labelled_softmax(xp: Namespace, logits: Array, labels: Labels, *, look: bool) -> HardView:
    """Return a labelled softmax, the quicker one if the values may be looked at and allow it."""
    if look and 0 not in logits.shape:
        highest = _highest_moderate(xp, logits)
        if xp.max(logits) < highest and xp.min(logits) > -highest:
            few_or_many = _Few if _are_few(xp, labels) else _Many
            return few_or_many(xp, xp.exp(logits), labels)
    return _LabelledSoftmax(xp, logits, labels)


def _highest_moderate(xp: Namespace, logits: Array) -> float:
    """Return what is far enough from the limits for products with weights of 1e-25 or 1e24."""
    return 0.25 * math.log(xp.finfo(logits.dtype).max) - 0.5 * math.log(logits.shape[1])


def kept_softmax(xp: Namespace, p: Array, labels: Labels) -> HardView:
    """Return a labelled softmax from the probabilities that were kept; they may change."""
    return _KeptFew(xp, p, labels) if _are_few(xp, labels) else _KeptMany(xp, p, labels)


def _are_few(xp: Namespace, labels: Labels) -> bool:
    return is_numpy_namespace(xp) and labels.num_classes <= _FEW


class _Moderate(HardView):
    """Of exponentials that neither overflow nor vanish; probabilities serve as well.

    Subclasses give `_exp`, of the label, and `_sum_others`, (images, 1, pixels).
    """

    def __init__(self, xp: Namespace, exp: Array, labels: Labels) -> None:
        super().__init__(xp, None)
        self._every = exp
        self._labels = labels

    @once
    def _exp(self) -> Array:
        raise NotImplementedError

    @once
    def _sum_others(self) -> Array:
        raise NotImplementedError

    @once
    def _inverse(self) -> Array:
        return 1.0 / (self._sum_others + self._exp)

    @once
    def every_p(self) -> Array:
        """The probability of each class."""
        return self._every * self._inverse

    def _make_p(self) -> Array:
        return self._exp * self._inverse

    def _make_not_p(self) -> Array:
        return self._sum_others * self._inverse

    def _make_log_p(self) -> Array:
        return -self.xp.log1p(self._sum_others / self._exp)

    def _backward(self, dp: Array, weights: Array | None) -> Array:
        """Return p (dp - sum of p dp); `dp` changes.

        The slope of a class that is almost sure is a small difference of large numbers, unless dp
        is measured from its own: so a number near that is taken away first.
        """
        p = self.every_p
        dp -= self._near_the_surest(dp)
        dp -= over_both(self.xp, p, dp)
        dp *= p
        return times(weights, dp)

    def _near_the_surest(self, dp: Array) -> Array:
        """Return a number near the dp of the likeliest class, (images, 1, pixels).

        Where no class is next to impossible, that is the mean: from the dp of a sure class it
        differs by that class's slope and by rounding, which the mean of the differences tells.
        """
        xp, p = self.xp, self.every_p
        if xp.min(p) > 0.01 * xp.finfo(p.dtype).eps:
            return over_both(xp, p, dp)
        return self._at_the_surest(dp)

    def _at_the_surest(self, dp: Array) -> Array:
        p = self.every_p
        highest = self.xp.max(p, axis=1, keepdims=True)
        return over_both(self.xp, self.xp.astype(p == highest, p.dtype), dp)

    def kept(self) -> Array | None:
        """Return the probability of each class."""
        return self.every_p


class _Few(_Moderate):
    """Of few classes: the target as numbers 0 and 1."""

    @once
    def _share(self) -> Array:
        return self.xp.astype(self._labels.equal, self._every.dtype)

    @once
    def _rest(self) -> Array:
        return 1.0 - self._share

    @once
    def _exp(self) -> Array:
        return over_both(self.xp, self._share, self._every)

    @once
    def _sum_others(self) -> Array:
        return over_both(self.xp, self._rest, self._every)

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog (target - p)."""
        slope = self._rest * self._every
        slope *= -dlog * self._inverse
        slope += self._share * (dlog * self.not_p)
        return slope

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        outside = over_pixels(self.xp, self._rest, times(weights, self.every_p))
        inside = over_pixels(self.xp, self._share, times(weights, self.p))
        missed = over_pixels(self.xp, self._share, times(weights, self.not_p))
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return p (dp - sum of p dp)."""
        return self._backward(chosen(self.xp, self._share, inside, outside), weights)

    def errors(self) -> Array:
        """Return p, but 1 - p for the labelled class."""
        errors = self._rest * self._every
        errors += self._share * self._sum_others
        errors *= _inverse_in_order(self.xp, self._every)
        return errors

    def backward_errors(self, d: Array) -> Array:
        """Return p (dp - sum of p dp), with minus its d for the label."""
        d *= 1.0 - 2.0 * self._share
        return self._backward(d, None)


class _Many(_Moderate):
    """Of many classes: read and written at the labels."""

    @once
    def _exp(self) -> Array:
        return self._labels.pick(self._every)

    @once
    def _others(self) -> Array:
        """The exponentials with 0 for the labelled class; those of all are gone."""
        exp = self._exp
        every, self._every = self._every, None
        return self._labels.put(every, self.xp.zeros_like(exp))

    @once
    def _sum_others(self) -> Array:
        return self.xp.sum(self._others, axis=1, keepdims=True)

    @once
    def every_p(self) -> Array:
        """The probability of each class."""
        if self._every is not None:
            return self._every * _inverse_in_order(self.xp, self._every)
        return self._labels.put(self._others * self._inverse, self.p)

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog (target - p)."""
        return self._labels.put(self._others * (-dlog * self._inverse), dlog * self.not_p)

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        outside = over_pixels(self.xp, self._others, times(weights, self._inverse))
        inside, missed = (self._labels.sums(times(weights, x)) for x in (self.p, self.not_p))
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return p (dp - sum of p dp)."""
        dp = self.xp.broadcast_to(outside, self.every_p.shape) + 0.0
        dp = self._labels.put(dp, self._labels.of_class(inside))
        return self._backward(dp, weights)

    def errors(self) -> Array:
        """Return p, but 1 - p for the labelled class."""
        every = self._labels.put(self._others + 0.0, self._exp)
        inverse = _inverse_in_order(self.xp, every)
        return self._labels.put(self._others * inverse, self._sum_others * inverse)

    def backward_errors(self, d: Array) -> Array:
        """Return p (dp - sum of p dp), with minus its d for the label."""
        return self._backward(self._labels.put(d, -self._labels.pick(d)), None)


class _KeptFew(_Few):
    """The same from probabilities."""

    @property
    def every_p(self) -> Array:
        """The probability of each class."""
        return self._every


class _KeptMany(_Many):
    """The same from probabilities."""

    def __init__(self, xp: Namespace, p: Array, labels: Labels) -> None:
        super().__init__(xp, p, labels)
        self.every_p = p

    @once
    def _others(self) -> Array:
        return self._labels.put(self.every_p + 0.0, self.xp.zeros_like(self._exp))


class _LabelledSoftmax(_Many):
    """The same for all logits: the largest one is subtracted first.

    Then log p = z - log(1 + (S + (e - 1))) with the labelled logit z. Either e = 1, and nothing is
    lost, or the largest term, which is 1, is in S.
    """

    def __init__(self, xp: Namespace, logits: Array, labels: Labels) -> None:
        shifted = logits - xp.max(logits, axis=1, keepdims=True)
        super().__init__(xp, xp.exp(shifted), labels)
        self._shifted = labels.pick(shifted)

    def _make_log_p(self) -> Array:
        return self._shifted - self.xp.log1p(self._sum_others + (self._exp - 1.0))

    def _near_the_surest(self, dp: Array) -> Array:
        return self._at_the_surest(dp)

    def kept(self) -> None:
        """Return None: a logarithm cannot be had from a probability of 0."""


def _inverse_in_order(xp: Namespace, every: Array) -> Array:
    """Return 1 over the total of all classes in their order, whatever the label.

    So errors of pixels of equal logits are equal, and told apart by their places, not by rounding.
    """
    return 1.0 / xp.sum(every, axis=1, keepdims=True)

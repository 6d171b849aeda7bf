"""Hard targets: the probability of what is so, at every pixel, and the way back to the logits.

With exclusive classes one of them is so, the labelled one; with classes apart each is there or not.
Each view offers `p`, `not_p` and `log_p` of that, to full relative accuracy, and the sums by class.
Only for eager arrays: what is written in place here, automatic differentiation could not follow
(but it may take the probabilities of `LabelledProbabilities`, which are not).
"""

from __future__ import annotations

import math

from array_losses.core import activations
from array_losses.core.activations import Activation
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array, Namespace
from array_losses.core.products import over_both, over_classes, over_pixels

__all__ = ["Apart", "HardView", "LabelledProbabilities", "OneHot", "labelled_softmax"]


class HardView(Activation):
    """What the views share. `backward_log` goes from log p of what is so to all logits."""

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives of each class.

        Sums over pixels, (images, classes).
        """
        raise NotImplementedError

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return d loss / d logits for d loss / d p = `inside` where the class is, else `outside`.

        Both hold one number a class, (images or 1, classes, 1); the weights multiply them.
        """
        raise NotImplementedError

    def errors(self) -> Array:
        """Return |target - p| of each class."""
        raise NotImplementedError

    def backward_errors(self, d: Array) -> Array:
        """Return d loss / d logits from d loss / d errors."""
        raise NotImplementedError


def labelled_softmax(xp: Namespace, logits: Array, labels: Labels, *, look: bool) -> HardView:
    """Return a labelled softmax, the quicker one if the values may be looked at and allow it."""
    if look and 0 not in logits.shape:
        # Far enough from the limits for products with weights of 1e-25 or 1e24.
        highest = 0.25 * math.log(xp.finfo(logits.dtype).max) - 0.5 * math.log(logits.shape[1])
        if xp.max(logits) < highest and xp.min(logits) > -highest:
            return _ModerateLabelledSoftmax(xp, logits, labels)
    return _LabelledSoftmax(xp, logits, labels)


class _ModerateLabelledSoftmax(HardView):
    """A softmax, with the exponential of the labelled class taken out of the array of all.

    Then the sum of the others is small where the label is sure, with no subtraction: `not_p` and
    `log_p` keep their relative accuracy. With e the exponential of the labelled class and S the sum
    of the others: p = e / (S + e), log p = -log(1 + S / e). For logits whose exponentials neither
    overflow nor vanish.
    """

    def __init__(self, xp: Namespace, logits: Array, labels: Labels) -> None:
        super().__init__(xp, logits)
        self._labels = labels
        exp = self._exponentials()
        self._exp = labels.pick(exp)
        self._others = labels.put(exp, xp.zeros_like(self._exp))
        self._sum_others = xp.sum(self._others, axis=1, keepdims=True)
        self._inverse = 1.0 / (self._sum_others + self._exp)

    def _exponentials(self) -> Array:
        return self.xp.exp(self.logits)

    def _make_p(self) -> Array:
        return self._exp * self._inverse

    def _make_not_p(self) -> Array:
        return self._sum_others * self._inverse

    def _make_log_p(self) -> Array:
        return -self.xp.log1p(self._sum_others / self._exp)

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog (target - p)."""
        return self._labels.put(self._others * (-dlog * self._inverse), dlog * self.not_p)

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        outside = over_pixels(self.xp, self._others, _times(weights, self._inverse))
        inside, missed = (self._labels.sums(_times(weights, x)) for x in (self.p, self.not_p))
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return p (dp - sum of p dp), dp measured from the likeliest class's."""
        inside = self._labels.of_class(inside)
        top, others_win = self._top
        reference = over_classes(self.xp, outside, top)
        reference = others_win * reference + (1.0 - others_win) * inside
        return self._backward(outside - reference, inside - reference, weights)

    @property
    def _top(self) -> tuple[Array, Array]:
        """Return 1 for the likeliest one of the other classes, and 1 where it beats the label."""
        xp = self.xp
        highest = xp.max(self._others, axis=1, keepdims=True)
        top = xp.astype(self._others == highest, self._others.dtype)
        return top, xp.astype(highest > self._exp, top.dtype)

    def _backward(self, outside: Array, inside: Array, weights: Array | None) -> Array:
        """Return p (dp - sum of p dp) from the dp of the other classes and of the label.

        The dp of the likeliest class must be 0: its own slope is then minus the sum, and no small
        difference of large numbers. `outside` may change.
        """
        mean = over_both(self.xp, outside, self._others) * self._inverse
        mean += self.p * inside
        outside -= mean
        outside *= self._others
        outside *= _times(weights, self._inverse)
        return self._labels.put(outside, _times(weights, self.p) * (inside - mean))

    def errors(self) -> Array:
        """Return p, but 1 - p for the labelled class.

        With the total of all classes in their order, whatever the label: pixels of equal logits
        then have equal errors, which are told apart by their places and not by rounding.
        """
        every = self._labels.put(self._others, self._exp)
        inverse = 1.0 / self.xp.sum(every, axis=1, keepdims=True)
        errors = self._labels.put(every * inverse, self._sum_others * inverse)
        self._others = self._labels.put(every, self.xp.zeros_like(self._exp))
        return errors

    def backward_errors(self, d: Array) -> Array:
        """Return p (dp - sum of p dp), with minus its d for the label."""
        top, others_win = self._top
        inside = -self._labels.pick(d)
        reference = others_win * over_both(self.xp, d, top) + (1.0 - others_win) * inside
        return self._backward(d - reference, inside - reference, None)


class _LabelledSoftmax(_ModerateLabelledSoftmax):
    """The same for all logits: the largest one is subtracted first.

    Then log p = z - log(1 + (S + (e - 1))) with the labelled logit z. Either e = 1, and nothing is
    lost, or the largest term, which is 1, is in S.
    """

    def _exponentials(self) -> Array:
        shifted = self.logits - self.xp.max(self.logits, axis=1, keepdims=True)
        self._shifted = self._labels.pick(shifted)
        return self.xp.exp(shifted)

    def _make_log_p(self) -> Array:
        return self._shifted - self.xp.log1p(self._sum_others + (self._exp - 1.0))


class LabelledProbabilities(HardView):
    """Probabilities of exclusive classes, given as they are."""

    def __init__(self, xp: Namespace, p: Array, labels: Labels) -> None:
        super().__init__(xp, p)
        self._labels = labels
        # NaN in another class shows in the labelled one too.
        seen = labels.pick(p) + 0.0 * xp.sum(p, axis=1, keepdims=True)
        self._at = activations.Probabilities(xp, seen)

    def _make_p(self) -> Array:
        return self._at.p

    def _make_not_p(self) -> Array:
        return self._at.not_p

    def _make_log_p(self) -> Array:
        return self._at.log_p

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog / p at the labelled class and 0 elsewhere."""
        return self._labels.put(self.xp.zeros_like(self.logits), self._at.backward_log(dlog))

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        others = self._labels.put(self.logits + 0.0, self.xp.zeros_like(self.p))
        outside = self.xp.sum(_times(weights, others), axis=2)
        inside, missed = (self._labels.sums(_times(weights, x)) for x in (self.p, self.not_p))
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return `inside` at the label and `outside` elsewhere."""
        slope = self.xp.zeros_like(self.logits) + outside
        return _times(weights, self._labels.put(slope, self._labels.of_class(inside)))

    def errors(self) -> Array:
        """Return p, but 1 - p for the labelled class."""
        return self._labels.put(self.logits + 0.0, self.not_p)

    def backward_errors(self, d: Array) -> Array:
        """Return d, with the other sign at the labelled class."""
        return self._labels.put(d + 0.0, -self._labels.pick(d))


class Apart(HardView):
    """Classes for themselves: the probability that each is there, or that it is not.

    Parameters
    ----------
    so : Activation
        Of the logits times `sign`, or of given probabilities turned over where `sign` is -1.
    share, sign : arrays of the logits' shape
        1 and 1 where the class is there, 0 and -1 where it is not.
    """

    def __init__(self, so: Activation, share: Array, sign: Array) -> None:
        super().__init__(so.xp, so.logits)
        self._so = so
        self._share = share
        self._sign = sign

    def _make_p(self) -> Array:
        return self._so.p

    def _make_not_p(self) -> Array:
        return self._so.not_p

    def _make_log_p(self) -> Array:
        return self._so.log_p

    def backward_log(self, dlog: Array) -> Array:
        """Return d loss / d logits."""
        slope = self._so.backward_log(dlog)
        slope *= self._sign
        return slope

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        there, absent = _times(weights, self._share), _times(weights, 1.0 - self._share)
        pairs = ((there, self.p), (absent, self.not_p), (there, self.not_p))
        inside, outside, missed = (over_pixels(self.xp, *pair) for pair in pairs)
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return d loss / d logits: p has the same slope as 1 - p, but for the sign."""
        dp = self._share * inside
        dp += (1.0 - self._share) * outside
        return self._so.backward(_times(weights, dp))

    def errors(self) -> Array:
        """Return the probability of what is not so."""
        return self.not_p

    def backward_errors(self, d: Array) -> Array:
        """Return d loss / d logits."""
        return -self._sign * self._so.backward(d)


class OneHot(HardView):
    """Exclusive classes by a one-hot or multi-hot target: no single one needs to be so.

    Parameters
    ----------
    every : Activation
    share : array of the logits' shape, 1 where the class is there, else 0
    """

    def __init__(self, every: Activation, share: Array) -> None:
        super().__init__(every.xp, every.logits)
        self._every = every
        self._share = share

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        there, absent = _times(weights, self._share), _times(weights, 1.0 - self._share)
        p, not_p = self._every.p, self._every.not_p
        pairs = ((there, p), (absent, p), (there, not_p))
        inside, outside, missed = (over_pixels(self.xp, *pair) for pair in pairs)
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return d loss / d logits."""
        dp = self._share * inside
        dp += (1.0 - self._share) * outside
        return self._every.backward(_times(weights, dp))

    def errors(self) -> Array:
        """Return p, but 1 - p where the class is there."""
        errors = self._share * self._every.not_p
        errors += (1.0 - self._share) * self._every.p
        return errors

    def backward_errors(self, d: Array) -> Array:
        """Return d loss / d logits."""
        return self._every.backward(d * (1.0 - 2.0 * self._share))


def _times(weights: Array | None, x: Array) -> Array:
    return x if weights is None else weights * x

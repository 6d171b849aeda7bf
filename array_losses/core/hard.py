"""Hard targets: the target probability p_t at every pixel, and the backward pass to the logits.

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
from array_losses.core.products import over_pixels, times

__all__ = [
    "Apart",
    "HardView",
    "LabelledProbabilities",
    "OneHot",
    "apart",
    "chosen",
    "kept_apart",
]


class HardView(Activation):
    """What the views share. `backward_log` goes from log p_t to all logits."""

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
        """Return d loss / d logits from d loss / d errors; `d` may change."""
        raise NotImplementedError

    def kept(self) -> Array | None:
        """Return an array of the logits' shape from which the view can be had again, or None."""


class LabelledProbabilities(HardView):
    """Probabilities of exclusive classes, given as they are."""

    def __init__(self, xp: Namespace, p: Array, labels: Labels) -> None:
        super().__init__(xp, p)
        self._labels = labels
        # NaN in another class shows in the labelled one too.
        seen = labels.pick(p) + 0.0 * xp.sum(p, axis=1, keepdims=True)
        if labels.traced:  # An ignored label may be none: its logarithm must be finite.
            one = xp.any(labels.equal, axis=1, keepdims=True)
            seen = xp.where(one, seen, 0.5 + 0.0 * seen)
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
        outside = self.xp.sum(times(weights, others), axis=2)
        inside, missed = (self._labels.sums(times(weights, x)) for x in (self.p, self.not_p))
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return `inside` at the label and `outside` elsewhere."""
        slope = self.xp.zeros_like(self.logits) + outside
        return times(weights, self._labels.put(slope, self._labels.of_class(inside)))

    def errors(self) -> Array:
        """Return p, but 1 - p for the labelled class."""
        return self._labels.put(self.logits + 0.0, self.not_p)

    def backward_errors(self, d: Array) -> Array:
        """Return d, with the other sign at the labelled class."""
        return self._labels.put(d + 0.0, -self._labels.pick(d))


def kept_apart(xp: Namespace, odds: Array, share: Array) -> HardView:
    """Return classes apart from the odds that were kept."""
    return _ModerateApart(xp, odds, share, None)


def apart(xp: Namespace, logits: Array, share: Array, *, look: bool) -> HardView:
    """Return classes apart after a sigmoid, the quicker way if the values allow it.

    `share` is 1 where the class is there, else 0; both arrays have one shape.
    """
    minus = _minus(share)
    against = logits * minus
    if (
        look
        and 0 not in logits.shape
        and xp.max(against) < 0.9 * math.log(xp.finfo(logits.dtype).max)
    ):
        return _ModerateApart(xp, xp.exp(against), share, minus)
    return Apart(activations.sigmoid(xp, -against, look=look), share, -minus)


class _ModerateApart(HardView):
    """Classes apart after a sigmoid, from the odds against the target, which do not overflow.

    Parameters
    ----------
    odds : array, exp(-z) where the class is there, exp(z) where it is not
    share, minus : arrays of the same shape
        1 and -1 where the class is there, 0 and 1 where it is not; None, to be made when needed.
    """

    def __init__(self, xp: Namespace, odds: Array, share: Array, minus: Array | None) -> None:
        super().__init__(xp, None)
        self._odds = odds
        self._share = share
        self._given_minus = minus

    @property
    def _minus(self) -> Array:
        if self._given_minus is None:
            self._given_minus = _minus(self._share)
        return self._given_minus

    def _make_p(self) -> Array:
        p = 1.0 + self._odds
        return 1.0 / p

    def _make_not_p(self) -> Array:
        return self._odds * self.p

    def _make_log_p(self) -> Array:
        return -self.xp.log1p(self._odds)

    def backward_log(self, dlog: Array) -> Array:
        """Return d loss / d logits."""
        slope = self.not_p * -dlog
        slope *= self._minus
        return slope

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        return _confusion_apart(self, self._share, weights)

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return d loss / d logits: p has the same slope as 1 - p, but for the sign."""
        slope = chosen(self.xp, self._share, inside, outside)
        slope *= self.p
        slope *= self.not_p
        return times(weights, slope)

    def errors(self) -> Array:
        """Return the probability of what is not so."""
        return self.not_p

    def backward_errors(self, d: Array) -> Array:
        """Return d loss / d logits."""
        slope = self.p * self.not_p
        slope *= self._minus
        slope *= d
        return slope

    def kept(self) -> Array:
        """Return the odds."""
        return self._odds


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
        return _confusion_apart(self, self._share, weights)

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return d loss / d logits: p has the same slope as 1 - p, but for the sign."""
        dp = self._share * inside
        dp += (1.0 - self._share) * outside
        return self._so.backward(times(weights, dp))

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
        there, absent = times(weights, self._share), times(weights, 1.0 - self._share)
        p, not_p = self._every.p, self._every.not_p
        pairs = ((there, p), (absent, p), (there, not_p))
        inside, outside, missed = (over_pixels(self.xp, *pair) for pair in pairs)
        return inside, outside, missed

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return d loss / d logits."""
        dp = self._share * inside
        dp += (1.0 - self._share) * outside
        return self._every.backward(times(weights, dp))

    def errors(self) -> Array:
        """Return p, but 1 - p where the class is there."""
        errors = self._share * self._every.not_p
        errors += (1.0 - self._share) * self._every.p
        return errors

    def backward_errors(self, d: Array) -> Array:
        """Return d loss / d logits."""
        return self._every.backward(d * (1.0 - 2.0 * self._share))


def _minus(share: Array) -> Array:
    """Return -1 where the class is there, else 1."""
    minus = -2.0 * share
    minus += 1.0
    return minus


def _confusion_apart(
    so: Activation, share: Array, weights: Array | None
) -> tuple[Array, Array, Array]:
    there, absent = times(weights, share), times(weights, 1.0 - share)
    pairs = ((there, so.p), (absent, so.not_p), (there, so.not_p))
    inside, outside, missed = (over_pixels(so.xp, *pair) for pair in pairs)
    return inside, outside, missed


def chosen(xp: Namespace, share: Array, inside: Array, outside: Array) -> Array:
    """Return `inside` where the share is 1 and `outside` where it is 0, by arithmetic.

    Both hold one number a class. Next to a much larger number a smaller one would be lost in the
    difference of both, which takes fewer passes over the share.
    """
    size, other = xp.abs(inside), xp.abs(outside)
    if xp.any(size + other > _FAR * xp.minimum(size, other)):
        return share * inside + (1.0 - share) * outside
    result = share * (inside - outside)
    result += outside
    return result


_FAR = 64.0  # of it, six bits are lost

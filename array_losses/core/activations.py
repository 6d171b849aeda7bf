"""From logits to probabilities and back: softmax, sigmoid, or probabilities given as they are.

Each class offers `p`, `not_p` (1 - p, never formed by a subtraction that cancels) and `log_p` of a
block (images, classes, pixels), all made when first asked for, and the way back: `backward` from
d loss / d p, `backward_log` from d loss / d log p, both to d loss / d logits.

What is here computes eagerly, and by arithmetic rather than by choice: at random places NumPy's
`where` costs seven times an exponential. `traced` has the same for automatic differentiation.
"""

from __future__ import annotations

import math

from array_losses.core.namespace import Array, Namespace

__all__ = ["Activation", "ModerateSigmoid", "Probabilities", "Sigmoid", "Softmax", "sigmoid"]


class Activation:
    """What all share: probabilities made once, when first asked for."""

    def __init__(self, xp: Namespace, logits: Array) -> None:
        self.xp = xp
        self.logits = logits
        self._p: Array = None
        self._not_p: Array = None
        self._log_p: Array = None

    @property
    def p(self) -> Array:
        """The probability of each class."""
        if self._p is None:
            self._p = self._make_p()
        return self._p

    @property
    def not_p(self) -> Array:
        """The probability that it is not this class, to full relative accuracy."""
        if self._not_p is None:
            self._not_p = self._make_not_p()
        return self._not_p

    @property
    def log_p(self) -> Array:
        """The logarithm of `p`, to full relative accuracy."""
        if self._log_p is None:
            self._log_p = self._make_log_p()
        return self._log_p

    def backward(self, dp: Array) -> Array:
        """Return d loss / d logits from d loss / d p."""
        raise NotImplementedError

    def backward_log(self, dlog: Array) -> Array:
        """Return d loss / d logits from d loss / d log p."""
        raise NotImplementedError

    def _make_p(self) -> Array:
        raise NotImplementedError

    def _make_not_p(self) -> Array:
        raise NotImplementedError

    def _make_log_p(self) -> Array:
        raise NotImplementedError


class Softmax(Activation):
    """Exclusive classes: p_c = exp(z_c - z_k) / (1 + others), k the class of the largest logit.

    `others` is the sum of exp(z_j - z_k) over the classes j other than k.
    """

    def __init__(self, xp: Namespace, logits: Array) -> None:
        super().__init__(xp, logits)
        self._shifted = logits - xp.max(logits, axis=1, keepdims=True)
        self._exp = xp.exp(self._shifted)
        self._others = self._sum_others()
        self._inverse = 1.0 / (1.0 + self._others)

    def _sum_others(self) -> Array:
        """Return the sum without the largest term, which is exactly 1, by arithmetic alone.

        In NumPy an argmax costs five times the exponential. Taking away the integer part takes away
        the 1. Should two terms round to 1, the whole sum is at least 2, and
        subtracting 1 from that loses nothing.
        """
        xp = self.xp
        small = xp.sum(self._exp - xp.floor(self._exp), axis=1, keepdims=True)
        whole = xp.sum(self._exp, axis=1, keepdims=True)
        return xp.where(whole < 1.5, small, whole - 1.0)

    def _make_p(self) -> Array:
        return self._exp * self._inverse

    def _make_not_p(self) -> Array:
        return (self._others + (1.0 - self._exp)) * self._inverse

    def _make_log_p(self) -> Array:
        return self._shifted - self.xp.log1p(self._others)

    def backward(self, dp: Array) -> Array:
        """Return p (dp - sum of p dp), dp measured from the top class's so that nothing cancels."""
        xp = self.xp
        dp = dp - xp.sum(xp.floor(self._exp) * dp, axis=1, keepdims=True)
        return self.p * (dp - xp.sum(self.p * dp, axis=1, keepdims=True))

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog - p (sum of dlog), each class's own share with its not_p."""
        total = self.xp.sum(dlog, axis=1, keepdims=True)
        return self.not_p * dlog - self.p * (total - dlog)


class Sigmoid(Activation):
    """Each class for itself: p = 1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows.

    The smaller of p and 1 - p is q = exp(-|z|) / (1 + exp(-|z|)), the larger 1 - q.
    """

    def __init__(self, xp: Namespace, logits: Array) -> None:
        super().__init__(xp, logits)
        self._exp = xp.exp(-xp.abs(logits))
        self._smaller: Array = None

    @property
    def smaller(self) -> Array:
        """The smaller one of p and 1 - p."""
        if self._smaller is None:
            self._smaller = self._exp / (1.0 + self._exp)
        return self._smaller

    def _make_p(self) -> Array:
        return self._where(self.logits >= 0.0)

    def _make_not_p(self) -> Array:
        return self._where(self.logits < 0.0)

    def _where(self, larger: Array) -> Array:
        """Return 1 - q where it is the larger one that is asked for, and else q."""
        return self.xp.abs(self.xp.astype(larger, self._exp.dtype) - self.smaller)

    def _make_log_p(self) -> Array:
        # An array of zeros: next to a number, NumPy's minimum is twice as slow.
        low = self.xp.minimum(self.logits, self.xp.zeros_like(self.logits))
        low -= self.xp.log1p(self._exp)
        return low

    def backward(self, dp: Array) -> Array:
        """Return p (1 - p) dp."""
        return dp * (self.smaller * (1.0 - self.smaller))

    def backward_log(self, dlog: Array) -> Array:
        """Return (1 - p) dlog."""
        return dlog * self.not_p


class ModerateSigmoid(Activation):
    """The same where no exp(-z) overflows: then the formula needs no cases, and half the passes."""

    def __init__(self, xp: Namespace, logits: Array) -> None:
        super().__init__(xp, logits)
        self._exp = xp.exp(-logits)

    def _make_p(self) -> Array:
        return 1.0 / (1.0 + self._exp)

    def _make_not_p(self) -> Array:
        return self._exp * self.p

    def _make_log_p(self) -> Array:
        return -self.xp.log1p(self._exp)

    def backward(self, dp: Array) -> Array:
        """Return p (1 - p) dp."""
        return dp * (self.p * self.not_p)

    def backward_log(self, dlog: Array) -> Array:
        """Return (1 - p) dlog."""
        return dlog * self.not_p


def sigmoid(xp: Namespace, logits: Array, *, look: bool) -> Activation:
    """Return a sigmoid, the quicker one if the values may be looked at and allow it."""
    if look and 0 not in logits.shape:
        lowest = -0.9 * math.log(xp.finfo(logits.dtype).max)
        if xp.min(logits) > lowest:
            return ModerateSigmoid(xp, logits)
    return Sigmoid(xp, logits)


class Probabilities(Activation):
    """Probabilities given as they are; nothing is clipped, so log 0 is minus infinity."""

    def _make_p(self) -> Array:
        return self.logits

    def _make_not_p(self) -> Array:
        return 1.0 - self.logits

    def _make_log_p(self) -> Array:
        return self.xp.log(self.logits)

    def backward(self, dp: Array) -> Array:
        """Return dp itself."""
        return dp

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog / p, and 0 for 0 / 0: what counts for nothing may be impossible."""
        return dlog / self.xp.where((dlog == 0.0) & (self.p == 0.0), 1.0, self.p)

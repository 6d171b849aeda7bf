"""From logits to probabilities and back: softmax, sigmoid, or probabilities given as they are.

Each class offers `p`, `not_p` (1 - p, never formed by a subtraction that cancels) and `log_p` of a
block (images, classes, pixels), all made when first asked for, and the way back: `backward` from
d loss / d p, `backward_log` from d loss / d log p, both to d loss / d logits.

Every expression is exact under automatic differentiation of any order, at ties and at 0 too: masks
come from comparisons, which carry no gradient, and each branch of a `where` is the whole formula,
finite on both sides. The textbook forms with abs, maximum and clip are not: JAX and PyTorch choose
different derivatives at their kinks (jax#37820).
"""

from __future__ import annotations

from array_losses.core.labels import Labels
from array_losses.core.namespace import Array, Namespace, device

__all__ = ["Activation", "Probabilities", "Sigmoid", "Softmax", "activate"]


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

    def flipped(self, sign: Array) -> Activation:
        """Return the same with `p` and `not_p` exchanged where `sign` is -1, not 1."""
        raise NotImplementedError

    def at_target(self, labels: Labels) -> Activation:
        """Return the probabilities of the labelled class of each pixel."""
        raise NotImplementedError

    def backward_at_target(self, dlog: Array, labels: Labels, at: Activation) -> Array:
        """Return d loss / d logits from d loss / d log p of the labelled class."""
        raise NotImplementedError

    def backward_by_class(
        self, inside: Array, outside: Array, labels: Labels, at: Activation
    ) -> Array:
        """Return `backward` of dp = `inside` at the label, `outside` elsewhere, by class."""
        raise NotImplementedError

    def _make_p(self) -> Array:
        raise NotImplementedError

    def _make_not_p(self) -> Array:
        raise NotImplementedError

    def _make_log_p(self) -> Array:
        raise NotImplementedError


class Softmax(Activation):
    """Exclusive classes: p_c = exp(z_c - z_k) / (1 + others), k the class of the largest logit.

    `others` is the sum of exp(z_j - z_k) over the classes j other than k. With k held fixed this is
    an identity in all logits, so its derivatives are exact wherever they are taken.
    """

    def __init__(self, xp: Namespace, logits: Array, *, traced: bool) -> None:
        super().__init__(xp, logits)
        if traced:
            best = xp.argmax(logits, axis=1, keepdims=True)
            classes = xp.arange(logits.shape[1], dtype=best.dtype, device=device(logits))
            top = classes[None, :, None] == best
            peak = xp.sum(xp.where(top, logits, 0.0), axis=1, keepdims=True)
            self.shifted = logits - peak
            # At the top it is 1 (NaN, if that is) and flat: what is steep in 1 - p must not pass
            # through it, where it would cancel.
            self.exp = xp.where(top, 1.0 + 0.0 * peak, xp.exp(self.shifted))
            self.others = xp.sum(xp.where(top, 0.0, self.exp), axis=1, keepdims=True)
        else:
            self.shifted = logits - xp.max(logits, axis=1, keepdims=True)
            self.exp = xp.exp(self.shifted)
            self.others = self._sum_others()
        self.total = 1.0 + self.others

    def _sum_others(self) -> Array:
        """Return the sum without the largest term, which is exactly 1, by arithmetic alone.

        In NumPy an argmax costs five times the exponential, and a `where` twice. Taking away the
        integer part takes away the 1. Should two terms round to 1, the whole sum is at least 2, and
        subtracting 1 from that loses nothing.
        """
        xp = self.xp
        small = xp.sum(self.exp - xp.floor(self.exp), axis=1, keepdims=True)
        whole = xp.sum(self.exp, axis=1, keepdims=True)
        return xp.where(whole < 1.5, small, whole - 1.0)

    def _make_p(self) -> Array:
        return self.exp * (1.0 / self.total)

    def _make_not_p(self) -> Array:
        return (self.others + (1.0 - self.exp)) * (1.0 / self.total)

    def _make_log_p(self) -> Array:
        return self.shifted - self.xp.log1p(self.others)

    def backward(self, dp: Array) -> Array:
        """Return p (dp - sum of p dp), dp measured from the top class's so that nothing cancels."""
        xp = self.xp
        dp = dp - xp.sum(xp.floor(self.exp) * dp, axis=1, keepdims=True)
        return self.p * (dp - xp.sum(self.p * dp, axis=1, keepdims=True))

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog - p (sum of dlog), each class's own share with its not_p."""
        total = self.xp.sum(dlog, axis=1, keepdims=True)
        return self.not_p * dlog - self.p * (total - dlog)

    def at_target(self, labels: Labels) -> Activation:
        """Return the probabilities of the labelled class."""
        return _SoftmaxAtTarget(self, labels)

    def backward_at_target(self, dlog: Array, labels: Labels, at: Activation) -> Array:
        """Return dlog (target - p)."""
        return labels.put(self.exp * (dlog * (-1.0 / self.total)), dlog * at.not_p)

    def backward_by_class(
        self, inside: Array, outside: Array, labels: Labels, at: Activation
    ) -> Array:
        """Return `backward` of dp = `inside` at the label and `outside` elsewhere."""
        xp = self.xp
        inside = labels.of_class(inside)
        others = labels.put(self.exp * (1.0 / self.total), xp.zeros_like(at.p))
        pull = xp.sum(others * outside, axis=1, keepdims=True) - inside * at.not_p
        return labels.put(others * (outside - (inside + pull)), -at.p * pull)


class _SoftmaxAtTarget(Activation):
    """The labelled class of a softmax, with only that class computed."""

    def __init__(self, every: Softmax, labels: Labels) -> None:
        super().__init__(every.xp, every.logits)
        self._every = every
        self._labels = labels
        self._exp = labels.pick(every.exp)

    def _make_p(self) -> Array:
        return self._exp / self._every.total

    def _make_not_p(self) -> Array:
        return (self._every.others + (1.0 - self._exp)) / self._every.total

    def _make_log_p(self) -> Array:
        return self._labels.pick(self._every.shifted) - self.xp.log1p(self._every.others)


class Sigmoid(Activation):
    """Each class for itself: p = 1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows.

    With `low` and `high` the smaller of 0 and z, and of 0 and -z, one of exp(low) and exp(high) is
    1 and the other exp(-|z|): p = exp(low) / (1 + exp(low) exp(high)).
    """

    def __init__(self, xp: Namespace, logits: Array, *, traced: bool) -> None:
        super().__init__(xp, logits)
        self.traced = traced
        if traced:
            negative = logits < 0.0
            self.low = xp.where(negative, logits, 0.0)
            self.high = xp.where(negative, 0.0, -logits)
        else:  # The same, four times as fast in NumPy; but `clip` has no agreed derivative at 0.
            self.low = xp.clip(logits, max=0.0)
            self.high = xp.clip(-logits, max=0.0)
        self._exp: Array = None

    @property
    def exp(self) -> Array:
        """exp(-|z|)."""
        if self._exp is None:
            self._exp = self.xp.exp(self.low + self.high)
        return self._exp

    def _make_p(self) -> Array:
        return self.xp.exp(self.low) / (1.0 + self.exp)

    def _make_not_p(self) -> Array:
        return self.xp.exp(self.high) / (1.0 + self.exp)

    def _make_log_p(self) -> Array:
        return self.low - self.xp.log1p(self.exp)

    def backward(self, dp: Array) -> Array:
        """Return p (1 - p) dp."""
        return dp * (self.p * self.not_p)

    def backward_log(self, dlog: Array) -> Array:
        """Return (1 - p) dlog."""
        return dlog * self.not_p

    def flipped(self, sign: Array) -> Activation:
        """Return the sigmoid of the logits times `sign`."""
        return Sigmoid(self.xp, self.logits * sign, traced=self.traced)


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
        """Return dlog / p."""
        return dlog / self.p

    def flipped(self, sign: Array) -> Activation:
        """Return 1 - p where `sign` is -1."""
        return Probabilities(self.xp, self.xp.where(sign < 0.0, 1.0 - self.p, self.p))

    def at_target(self, labels: Labels) -> Activation:
        """Return the probability of the labelled class; NaN in another class shows in it too."""
        others = self.xp.sum(self.p, axis=1, keepdims=True)
        return Probabilities(self.xp, labels.pick(self.p) + 0.0 * others)

    def backward_at_target(self, dlog: Array, labels: Labels, at: Activation) -> Array:
        """Return dlog / p at the labelled class and 0 elsewhere."""
        return labels.put(self.xp.zeros_like(self.p), at.backward_log(dlog))

    def backward_by_class(
        self, inside: Array, outside: Array, labels: Labels, at: Activation
    ) -> Array:
        """Return `inside` at the label and `outside` elsewhere."""
        return labels.put(self.xp.zeros_like(self.p) + outside, labels.of_class(inside))


def activate(xp: Namespace, logits: Array, activation: str | None, *, traced: bool) -> Activation:
    """Return the probabilities of a block of logits."""
    if activation == "softmax":
        return Softmax(xp, logits, traced=traced)
    if activation == "sigmoid":
        return Sigmoid(xp, logits, traced=traced)
    return Probabilities(xp, logits)

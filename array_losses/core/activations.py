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

from collections.abc import Callable

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

    def flipped(self, where: Array) -> Activation:
        """Return the same with `p` and `not_p` exchanged where asked."""
        raise NotImplementedError

    def at_target(self, pick: Callable[[Array], Array]) -> Activation:
        """Return the probabilities of the labelled class; `pick` takes it out of axis 1."""
        raise NotImplementedError

    def backward_at_target(self, dlog: Array, target: Array, at: Activation) -> Array:
        """Return d loss / d logits from d loss / d log p of the labelled class, seen `at` it."""
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
            classes = xp.arange(logits.shape[1], device=device(logits))[None, :, None]
            self.top = classes == xp.argmax(logits, axis=1, keepdims=True)
            peak = xp.sum(xp.where(self.top, logits, 0.0), axis=1, keepdims=True)
        else:
            peak = xp.max(logits, axis=1, keepdims=True)
            self.top = logits == peak
        self.shifted = logits - peak
        self.exp = xp.exp(self.shifted)
        self.others = xp.sum(xp.where(self.top, 0.0, self.exp), axis=1, keepdims=True)
        if not traced:
            # Where several share the largest logit, `top` marks them all; then the whole sum is at
            # least 2, and taking 1 from it loses nothing.
            total = xp.sum(self.exp, axis=1, keepdims=True)
            self.others = xp.where(total < 1.5, self.others, total - 1.0)
        self.total = 1.0 + self.others

    def _make_p(self) -> Array:
        return self.exp * (1.0 / self.total)

    def _make_not_p(self) -> Array:
        others = self.xp.where(self.top, self.others, self.total - self.exp)
        return others * (1.0 / self.total)

    def _make_log_p(self) -> Array:
        return self.shifted - self.xp.log1p(self.others)

    def backward(self, dp: Array) -> Array:
        """Return p (dp - sum of p dp), dp measured from the top class's so that nothing cancels."""
        xp = self.xp
        dp = dp - xp.sum(xp.where(self.top, dp, 0.0), axis=1, keepdims=True)
        return self.p * (dp - xp.sum(self.p * dp, axis=1, keepdims=True))

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog - p (sum of dlog), each class's own share with its not_p."""
        total = self.xp.sum(dlog, axis=1, keepdims=True)
        return self.not_p * dlog - self.p * (total - dlog)

    def at_target(self, pick: Callable[[Array], Array]) -> Activation:
        """Return the probabilities of the labelled class."""
        return _SoftmaxAtTarget(self, pick)

    def backward_at_target(self, dlog: Array, target: Array, at: Activation) -> Array:
        """Return dlog (target - p)."""
        away = self.exp * (dlog * (-1.0 / self.total))
        return self.xp.where(target, dlog * at.not_p, away)


class _SoftmaxAtTarget(Activation):
    """The labelled class of a softmax, with only that class computed."""

    def __init__(self, whole: Softmax, pick: Callable[[Array], Array]) -> None:
        super().__init__(whole.xp, whole.logits)
        self._whole = whole
        self._pick = pick

    def _make_p(self) -> Array:
        return self._pick(self._whole.exp) / self._whole.total

    def _make_not_p(self) -> Array:
        whole = self._whole
        top = self._pick(whole.top)
        others = self.xp.where(top, whole.others, whole.total - self._pick(whole.exp))
        return others / whole.total

    def _make_log_p(self) -> Array:
        return self._pick(self._whole.shifted) - self.xp.log1p(self._whole.others)


class Sigmoid(Activation):
    """Each class for itself: p = 1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows."""

    def __init__(self, xp: Namespace, logits: Array) -> None:
        super().__init__(xp, logits)
        self.negative = logits < 0.0
        self.exp = xp.exp(xp.where(self.negative, logits, -logits))

    def _make_p(self) -> Array:
        return self.xp.where(self.negative, self.exp, 1.0) / (1.0 + self.exp)

    def _make_not_p(self) -> Array:
        return self.xp.where(self.negative, 1.0, self.exp) / (1.0 + self.exp)

    def _make_log_p(self) -> Array:
        return self.xp.where(self.negative, self.logits, 0.0) - self.xp.log1p(self.exp)

    def backward(self, dp: Array) -> Array:
        """Return p (1 - p) dp."""
        return dp * self.p * self.not_p

    def backward_log(self, dlog: Array) -> Array:
        """Return (1 - p) dlog."""
        return dlog * self.not_p

    def flipped(self, where: Array) -> Activation:
        """Return the sigmoid of minus the logits where asked."""
        return Sigmoid(self.xp, self.xp.where(where, -self.logits, self.logits))


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

    def flipped(self, where: Array) -> Activation:
        """Return 1 - p where asked."""
        return Probabilities(self.xp, self.xp.where(where, 1.0 - self.p, self.p))

    def at_target(self, pick: Callable[[Array], Array]) -> Activation:
        """Return the probability of the labelled class."""
        return Probabilities(self.xp, pick(self.p))

    def backward_at_target(self, dlog: Array, target: Array, at: Activation) -> Array:
        """Return dlog / p at the labelled class and 0 elsewhere."""
        return self.xp.where(target, at.backward_log(dlog), 0.0)


def activate(xp: Namespace, logits: Array, activation: str | None, *, traced: bool) -> Activation:
    """Return the probabilities of a block of logits."""
    if activation == "softmax":
        return Softmax(xp, logits, traced=traced)
    if activation == "sigmoid":
        return Sigmoid(xp, logits)
    return Probabilities(xp, logits)

"""Softmax, sigmoid and given probabilities in forms that automatic differentiation follows.

Every expression is exact under automatic differentiation of any order, at ties and at 0 too: masks
come from comparisons, which carry no gradient, and each branch of a `where` is the whole formula,
finite on both sides. The textbook forms with abs, maximum and clip are not: JAX and PyTorch choose
different derivatives at their kinks (jax#37820). These forms go forward only.
"""

from __future__ import annotations

from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, device, near_constant

__all__ = ["Given", "LabelledGiven", "LabelledSoftmax", "Sigmoid", "Softmax"]


class _Probability:
    """A probability, its complement and its logarithm, made when first asked for."""

    def __init__(self, lib: Library) -> None:
        self.lib = lib
        self.xp = lib.xp
        self._p: Array = None
        self._one_minus_p: Array = None
        self._log_p: Array = None

    @property
    def p(self) -> Array:
        """The probability."""
        if self._p is None:
            self._p = self._make_p()
        return self._p

    @property
    def one_minus_p(self) -> Array:
        """1 - p, to full relative accuracy."""
        if self._one_minus_p is None:
            self._one_minus_p = self._make_one_minus_p()
        return self._one_minus_p

    @property
    def log_p(self) -> Array:
        """The logarithm of p, to full relative accuracy."""
        if self._log_p is None:
            self._log_p = self._make_log_p()
        return self._log_p

    def _make_p(self) -> Array:
        raise NotImplementedError

    def _make_one_minus_p(self) -> Array:
        raise NotImplementedError

    def _make_log_p(self) -> Array:
        raise NotImplementedError


class Softmax(_Probability):
    """Exclusive classes: p_c = exp(z_c - z_k) / (1 + others), k the class of the largest logit.

    `others` is the sum of exp(z_j - z_k) over the classes j other than k. With k held fixed this is
    an identity in all logits, so its derivatives are exact wherever they are taken.
    """

    def __init__(self, lib: Library, logits: Array) -> None:
        super().__init__(lib)
        xp = lib.xp
        best = xp.argmax(logits, axis=1, keepdims=True)
        classes = xp.arange(logits.shape[1], dtype=best.dtype, device=device(logits))
        top = classes[None, :, None] == best
        peak = xp.sum(xp.where(top, logits, 0.0), axis=1, keepdims=True)
        # At the top it is 0 (NaN, if that is infinite) and flat: what passed through it would
        # cancel, but for rounding, which a sure pixel's small derivative does not bear.
        self.shifted = xp.where(top, 0.0 * peak, logits - peak)
        self.exp = xp.exp(self.shifted)
        self.others = xp.sum(xp.where(top, 0.0, self.exp), axis=1, keepdims=True)
        self.total = 1.0 + self.others

    def _make_p(self) -> Array:
        return self.exp * (1.0 / self.total)

    def _make_one_minus_p(self) -> Array:
        return (self.others + (1.0 - self.exp)) * (1.0 / self.total)

    def _make_log_p(self) -> Array:
        return self.shifted - self.xp.log1p(self.others)


class Sigmoid(_Probability):
    """Each class for itself: p = 1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows.

    With `low` and `high` the smaller of 0 and z, and of 0 and -z, one of exp(low) and exp(high) is
    1 and the other exp(-|z|): p = exp(low) / (1 + exp(low) exp(high)).
    """

    def __init__(self, lib: Library, logits: Array) -> None:
        super().__init__(lib)
        xp = lib.xp
        negative = logits < 0.0
        self._low = xp.where(negative, logits, 0.0)
        self._high = xp.where(negative, 0.0, -logits)
        self._exp = xp.exp(self._low + self._high)

    def _make_p(self) -> Array:
        return self.xp.exp(self._low) / (1.0 + self._exp)

    def _make_one_minus_p(self) -> Array:
        return self.xp.exp(self._high) / (1.0 + self._exp)

    def _make_log_p(self) -> Array:
        return self._low - self.xp.log1p(self._exp)


class LabelledSoftmax(Sigmoid):
    """The label's p_t of a softmax, from the distance of its logit to all the others.

    With L = log sum exp(z_j) over the classes j other than the label y, p_y = sigmoid(z_y - L).
    What all logits share is taken away before anything is added to them, which would round it.
    """

    def __init__(self, lib: Library, logits: Array, labels: Labels) -> None:
        xp = lib.xp
        apart = xp.where(labels.equal, -float("inf"), logits)
        # Any number near the largest serves, if there is one: then the total is at least 1.
        near = near_constant(xp, xp.max(apart, axis=1, keepdims=True))
        near = xp.where(near == -float("inf"), 0.0, near)
        self._exp_others = xp.exp(apart - near)
        total = xp.sum(self._exp_others, axis=1, keepdims=True)
        alone = total == 0.0
        self._total = xp.where(alone, 1.0, total)
        log_others = xp.where(alone, -float("inf"), xp.log(self._total))
        labelled = labels.pick(logits)
        # As the largest of all, infinity is no number to compare with; a sigmoid would bear it.
        labelled = xp.where(labelled == float("inf"), float("nan"), labelled)
        super().__init__(lib, (labelled - near) - log_others)

    @property
    def p_others(self) -> Array:
        """The probability of each class, 0 for the label."""
        return self._exp_others * (self.one_minus_p / self._total)


class Given(_Probability):
    """Probabilities given as they are; nothing is clipped, so log 0 is minus infinity."""

    def __init__(self, lib: Library, p: Array) -> None:
        super().__init__(lib)
        self._p = p

    def _make_one_minus_p(self) -> Array:
        return 1.0 - self._p

    def _make_log_p(self) -> Array:
        return self.xp.log(self._p)


class LabelledGiven(Given):
    """The label's p_t of given probabilities of exclusive classes."""

    def __init__(self, lib: Library, p: Array, labels: Labels) -> None:
        xp = lib.xp
        # NaN in another class shows in the label's too.
        seen = labels.pick(p) + 0.0 * xp.sum(p, axis=1, keepdims=True)
        # An ignored label may be none: its logarithm must be finite.
        one = xp.any(labels.equal, axis=1, keepdims=True)
        super().__init__(lib, xp.where(one, seen, 0.5 + 0.0 * seen))

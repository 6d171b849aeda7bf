"""Softmax and sigmoid that a compiler or automatic differentiation follows.

Every expression is exact under automatic differentiation of any order, at ties and at 0 too: masks
come from comparisons, which carry no gradient, and each branch of a `where` is the whole formula,
finite on both sides. The textbook forms with abs, maximum and clip are not: JAX and PyTorch choose
different derivatives at their kinks (jax#37820). Neither do these forms need a way back.
"""

from __future__ import annotations

from array_losses.core.activations import Activation
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array, Namespace, device, near_constant

__all__ = ["LabelledSoftmax", "Sigmoid", "Softmax"]


class Softmax(Activation):
    """Exclusive classes: p_c = exp(z_c - z_k) / (1 + others), k the class of the largest logit.

    `others` is the sum of exp(z_j - z_k) over the classes j other than k. With k held fixed this is
    an identity in all logits, so its derivatives are exact wherever they are taken.
    """

    def __init__(self, xp: Namespace, logits: Array) -> None:
        super().__init__(xp, logits)
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

    def _make_not_p(self) -> Array:
        return (self.others + (1.0 - self.exp)) * (1.0 / self.total)

    def _make_log_p(self) -> Array:
        return self.shifted - self.xp.log1p(self.others)


class Sigmoid(Activation):
    """Each class for itself: p = 1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows.

    With `low` and `high` the smaller of 0 and z, and of 0 and -z, one of exp(low) and exp(high) is
    1 and the other exp(-|z|): p = exp(low) / (1 + exp(low) exp(high)).
    """

    def __init__(self, xp: Namespace, logits: Array) -> None:
        super().__init__(xp, logits)
        negative = logits < 0.0
        self._low = xp.where(negative, logits, 0.0)
        self._high = xp.where(negative, 0.0, -logits)
        self._exp = xp.exp(self._low + self._high)

    def _make_p(self) -> Array:
        return self.xp.exp(self._low) / (1.0 + self._exp)

    def _make_not_p(self) -> Array:
        return self.xp.exp(self._high) / (1.0 + self._exp)

    def _make_log_p(self) -> Array:
        return self._low - self.xp.log1p(self._exp)


class LabelledSoftmax(Sigmoid):
    """The labelled class of a softmax, from the distance of its logit to all the others.

    With L = log sum exp(z_j) over the classes j other than the label y, p_y = sigmoid(z_y - L).
    What all logits share is taken away before anything is added to them, which would round it.
    """

    def __init__(self, xp: Namespace, logits: Array, labels: Labels) -> None:
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
        super().__init__(xp, (labelled - near) - log_others)

    @property
    def p_others(self) -> Array:
        """The probability of each class but the labelled one, which has 0 here."""
        return self._exp_others * (self.not_p / self._total)

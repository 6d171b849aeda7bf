"""Softmax and sigmoid that a compiler or automatic differentiation follows.

Every expression is exact under automatic differentiation of any order, at ties and at 0 too: masks
come from comparisons, which carry no gradient, and each branch of a `where` is the whole formula,
finite on both sides. The textbook forms with abs, maximum and clip are not: JAX and PyTorch choose
different derivatives at their kinks (jax#37820). Neither do these forms need a way back.
"""

from __future__ import annotations

from array_losses.core.activations import Activation
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array, Namespace, device

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
        self.shifted = logits - peak
        # At the top it is 1 (NaN, if that is) and flat: what is steep in 1 - p must not pass
        # through it, where it would cancel.
        self.exp = xp.where(top, 1.0 + 0.0 * peak, xp.exp(self.shifted))
        self.others = xp.sum(xp.where(top, 0.0, self.exp), axis=1, keepdims=True)
        self.total = 1.0 + self.others

    def _make_p(self) -> Array:
        return self.exp * (1.0 / self.total)

    def _make_not_p(self) -> Array:
        return (self.others + (1.0 - self.exp)) * (1.0 / self.total)

    def _make_log_p(self) -> Array:
        return self.shifted - self.xp.log1p(self.others)


class LabelledSoftmax(Activation):
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

"""Softmax and labels for compilers: few passes over the logits, and nothing of their size kept.

The same numbers as `LabelledSoftmax` in other expressions. A compiler fuses what reads the logits
in the same order, but what is used twice it may write to memory, above all an exponential on a CPU.
So what is as large as the logits is made from them anew wherever it is needed, and each exponential
is written in a way of its own; what is kept is a few numbers per pixel.
"""

from __future__ import annotations

from array_losses.core.derivative import Derivative
from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, sum_pixels
from array_losses.core.probability import once, times
from array_losses.core.target_probability import LabelledSoftmax, SoftCounts, label_and_others

__all__ = ["FusedSoftmax"]


class FusedSoftmax(LabelledSoftmax):
    """Softmax and labels, read by comparison."""

    def __init__(self, lib: Library, logits: Array, labels: Labels) -> None:
        peak = lib.largest_class(logits)
        self._shifted = logits - peak
        super().__init__(lib, lib.xp.exp(self._shifted), labels, can_inspect=False)
        self._log_e = labels.pick(logits) - peak

    @once
    def _split(self) -> tuple[Array, Array]:
        xp = self.xp
        return xp.exp(self._log_e), xp.where(self._labels.equal, 0.0, self._exp)

    @once
    def _log_total(self) -> Array:
        # Either the label's is 1, or one of the others.
        return self.xp.log1p(self._sum_others + (self._split[0] - 1.0))

    @once
    def log_p(self) -> Array:
        """The logarithm of p_t."""
        return self._log_e - self._log_total

    @once
    def _p_each(self) -> Array:
        """The probability of each class."""
        return self.xp.exp(self._shifted - self._log_total)

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        xp, equal = self.xp, self._labels.equal
        hit, each, missed = (times(weights, x) for x in (self.p, self._p_each, self.one_minus_p))
        pieces = xp.where(equal, hit, 0.0), xp.where(equal, 0.0, each), xp.where(equal, missed, 0.0)
        tp, fp, fn = (sum_pixels(xp, piece, per_image=per_image) for piece in pieces)
        return tp, fp, fn

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, as `LabelledSoftmax.backward`."""
        xp, equal = self.xp, self._labels.equal
        r: Array = d.log_p_t
        label, others = label_and_others(self._labels, d, weights)
        if others is None:
            return xp.where(equal, r * self.one_minus_p, -r * self._p_each)
        # Measured from the likeliest class, lest the difference from the mean be lost to rounding.
        likeliest = xp.where(self._shifted == 0.0, xp.where(equal, label, others), -float("inf"))
        start = self.lib.largest_class(likeliest)
        root = xp.exp(0.5 * self._shifted)
        others_mean = self.lib.over_classes(xp.where(equal, 0.0, root * root * (others - start)))
        mean = start + (others_mean * self._inverse + self.p * (label - start))
        of_label = self.p * (label - mean)
        if r is not None:
            of_label, mean = of_label + r * self.one_minus_p, mean + r
        return xp.where(equal, of_label, self._p_each * (others - mean))

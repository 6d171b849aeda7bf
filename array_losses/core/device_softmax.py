"""Target probability p_t of labels and softmax on a device: few large kernels, nothing inspected.

On a CPU blocks stay in the cache and what counts is the arithmetic (`target_probability`). On a
device what counts is how often a large array is read or written, and how many kernels are started:
the framework's fused softmax, both ways, and one array that all is worked out in. It holds the
probabilities, and in place of the label's own whatever is needed there.
"""

from __future__ import annotations

from array_losses.core.derivative import Derivative
from array_losses.core.labels import DeviceLabels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, device, sum_pixels, wide_dtype
from array_losses.core.probability import once
from array_losses.core.target_probability import HardTarget, SoftCounts, label_and_others

__all__ = ["DeviceSoftmax"]


class DeviceSoftmax(HardTarget):
    """Softmax and labels.

    Parameters
    ----------
    logits : array (images, classes, pixels)
    labels : DeviceLabels
    """

    def __init__(self, lib: Library, logits: Array, labels: DeviceLabels) -> None:
        super().__init__(lib)
        self._logits = logits
        self._labels = labels
        self._array = lib.softmax(logits)
        # What the array holds at the label: at first p_t.
        self._at_label: Array | None = None

    def _with_label(self, values: Array) -> Array:
        """Return the probabilities of the other classes, beside values at the label."""
        if values is not self._at_label:
            self._array = self._labels.put(self._array, values)
            self._at_label = values
        return self._array

    @once
    def p(self) -> Array:
        """p_t."""
        # Once it is not in the array any more, the logarithm is known, or wanted.
        known = self._at_label is not None
        return self.xp.exp(self.log_p) if known else self._labels.pick(self._array)

    @once
    def one_minus_p(self) -> Array:
        """1 - p_t, the sum of the others."""
        others = self._with_label(self.xp.zeros_like(self._array[:, :1, :]))
        return self._labels.spoiled(self.lib.over_classes(others))

    @once
    def log_p(self) -> Array:
        """The logarithm of p_t."""
        xp, rest = self.xp, self.one_minus_p
        log_p = self._labels.pick(self.lib.log_softmax(self._logits))
        return xp.where(rest < 0.5, xp.log1p(-rest), log_p)

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives.

        Sums over the label alone are differences: of the sums over all pixels with something at the
        label, and with 0. In the wide dtype they lose nothing.
        """
        xp = self.xp
        p, missed = self.p, self.one_minus_p
        others = self._with_label(xp.zeros_like(p))
        every = others if weights is None else weights * others

        def total(x: Array) -> Array:
            wide = wide_dtype(xp, x.dtype, device(x))
            return sum_pixels(xp, x, per_image=per_image, dtype=wide)

        def with_label(values: Array) -> Array:
            if weights is None:
                return self._with_label(values)
            return self._labels.put(every, weights * values)

        outside = total(every)
        fn = total(with_label(missed)) - outside
        tp = total(with_label(p)) - outside
        # A bad label spoils every class.
        return tp, outside + 0.0 * xp.sum(fn, axis=1, keepdims=True), fn

    def errors(self) -> Array:
        """Return p, but 1 - p for the label."""
        errors = self._with_label(self.one_minus_p)
        errors += 0.0 * self.one_minus_p  # A bad label spoils every class.
        return errors

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, in place of the probabilities: it can be asked for once.

        As `LabelledSoftmax.backward`.
        """
        label, others = label_and_others(self._labels, d, weights)
        grad_logits = None if others is None else self._through_softmax(label, others)
        if d.log_p_t is None:
            return grad_logits
        of_log = self._with_label(-self.one_minus_p)
        if grad_logits is not None:
            return self.lib.add_product(grad_logits, of_log, -d.log_p_t)
        of_log *= -d.log_p_t
        return of_log

    def _through_softmax(self, label: Array, others: Array) -> Array:
        """Return p (dp - mean of dp), with dp less that of the likeliest class.

        Where one class is almost sure, its dp is nearly the mean, and their difference would be
        lost to rounding.
        """
        lib, xp, p_t = self.lib, self.xp, self.p
        p = self._with_label(p_t)
        start = xp.where(p_t > 0.5, label, lib.take_class(others, lib.likeliest_class(p)))
        dp = self._labels.put(others - start, label - start)
        return lib.softmax_backward(p, dp)

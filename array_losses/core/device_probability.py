"""Target probability p_t on a device: few large kernels, nothing inspected.

On a CPU blocks stay in the cache and what counts is the arithmetic (`target_probability`). On a
device what counts is how often a large array is read or written, and how many kernels are started:
the framework's fused softmax and sigmoid, choices in place of products, no shift of its own.
"""

from __future__ import annotations

from typing import Any

from array_losses.core.derivative import Derivative
from array_losses.core.labels import DeviceLabels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, Namespace, sum_pixels
from array_losses.core.probability import ElementWise, EveryClass, once, times
from array_losses.core.target_probability import (
    EachProbability,
    HardTarget,
    SoftCounts,
    label_and_others,
)

__all__ = [
    "DeviceEveryClass",
    "DeviceMultilabel",
    "DeviceOneHot",
    "DeviceSigmoid",
    "DeviceSoftmax",
]


class DeviceEveryClass(EveryClass):
    """Softmax of every class; what the likeliest one, k, is sure of comes from all others."""

    def __init__(self, lib: Library, logits: Array) -> None:
        super().__init__(lib)
        self._logits = logits

    @once
    def _softmax(self) -> tuple[Array, Any]:
        return self.lib.softmax(self._logits)

    @once
    def p(self) -> Array:
        """The probability."""
        return self._softmax[0]

    @once
    def _k(self) -> Array:
        return self.lib.likeliest_class(self.p)

    @once
    def _p_k(self) -> Array:
        return self.lib.take_class(self.p, self._k)

    @once
    def _rest(self) -> Array:
        """1 - p of the class k."""
        lib, p_k = self.lib, self._p_k
        rest = lib.over_classes(lib.put_class(self.p, self._k, 0.0))
        lib.put_class(self.p, self._k, p_k)
        return rest

    @once
    def one_minus_p(self) -> Array:
        """1 - p."""
        return self.lib.put_class(1.0 - self.p, self._k, self._rest)

    @once
    def log_p(self) -> Array:
        """The logarithm of p."""
        lib, rest = self.lib, self._rest
        log_p = lib.log_softmax(self._logits, self._softmax[1])
        sure = self.xp.log1p(-rest)
        at_k = self.xp.where(rest < 0.5, sure, lib.take_class(log_p, self._k))
        return lib.put_class(log_p, self._k, at_k)

    def backward(self, d: Derivative) -> Array:
        """Return d loss / d logits, from p and log p, whose derivatives may change."""
        lib, grad_logits = self.lib, None
        if d.p is not None:
            dp = d.p - lib.take_class(d.p, self._k)
            grad_logits = lib.softmax_backward(self.p, dp)
        if d.log_p is not None:
            of_log = self._of_log(d.log_p)
            grad_logits = of_log if grad_logits is None else grad_logits + of_log
        return grad_logits

    def _of_log(self, dlog: Array) -> Array:
        """Return dlog - p sum dlog; for the class k its own part is with its 1 - p."""
        lib = self.lib
        at_k = lib.take_class(dlog, self._k)
        others = lib.put_class(dlog, self._k, 0.0)
        of_others = lib.over_classes(others)
        grad_logits = lib.add_product(others, self.p, -(of_others + at_k))
        return lib.put_class(grad_logits, self._k, self._rest * at_k - self._p_k * of_others)


class DeviceSigmoid(ElementWise):
    """Sigmoid of every class."""

    def __init__(self, lib: Library, logits: Array) -> None:
        super().__init__(lib)
        self._logits = logits

    @once
    def p(self) -> Array:
        """The probability."""
        return self.lib.sigmoid(self._logits)

    @once
    def one_minus_p(self) -> Array:
        """1 - p."""
        return self.lib.sigmoid(-self._logits)

    @once
    def log_p(self) -> Array:
        """The logarithm of p."""
        return self.lib.log_sigmoid(self._logits)

    def chain(self, dp: Array | None, dlog: Array | None) -> Array | None:
        """Return (p dp + dlog) (1 - p)."""
        if dp is not None:
            dp = dp * self.p
            dlog = dp if dlog is None else dp + dlog
        return None if dlog is None else dlog * self.one_minus_p

    def from_log_one_minus_p(self, dlog: Array) -> Array:
        """Return -p dlog."""
        return -dlog * self.p


class DeviceSoftmax(HardTarget):
    """Softmax and labels: one array, with the probabilities, that all is worked out in.

    In place of the label's own it holds whatever is needed there.

    Parameters
    ----------
    logits : array (images, classes, pixels)
    labels : DeviceLabels
    """

    def __init__(self, lib: Library, logits: Array, labels: DeviceLabels) -> None:
        super().__init__(lib)
        self._logits = logits
        self._labels = labels
        self._array, self._known = lib.softmax(logits)
        # What the array holds at the label: None for p_t, as it was.
        self._at_label: Array | float | None = None

    def _with_label(self, values: Array | float) -> Array:
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
        return self._labels.spoiled(self.lib.over_classes(self._with_label(0.0)))

    @once
    def _minus_rest(self) -> Array:
        return -self.one_minus_p

    @once
    def log_p(self) -> Array:
        """The logarithm of p_t."""
        xp, rest = self.xp, self.one_minus_p
        log_p = self.lib.log_softmax_at(self._logits, self._known, self._labels.index)
        # So that a rest of NaN is not hidden.
        return xp.where(rest >= 0.5, log_p, xp.log1p(self._minus_rest))

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives.

        What is summed by label is put into an array of zeros: sums of all pixels in a fixed order
        repeat bit for bit, those by place need not.
        """
        xp, put = self.xp, self._labels.put
        p, missed = self.p, self.one_minus_p
        others = times(weights, self._with_label(0.0))
        outside = sum_pixels(xp, others, per_image=per_image)
        room = xp.zeros_like(others)
        tp = sum_pixels(xp, put(room, times(weights, p)), per_image=per_image)
        fn = sum_pixels(xp, put(room, times(weights, missed)), per_image=per_image)
        # A bad label spoils every class.
        return tp, outside + 0.0 * xp.sum(fn, axis=1, keepdims=True), fn

    def errors(self) -> Array:
        """Return p, but 1 - p for the label."""
        _ = self.p  # while the array holds it
        errors = self._with_label(self.one_minus_p)
        # A bad label spoils every class.
        return self.lib.add_multiple(errors, self.one_minus_p, 0.0)

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, in place of the probabilities: it can be asked for once.

        As `LabelledSoftmax.backward`.
        """
        label, others = label_and_others(self._labels, d, weights)
        grad_logits = None if others is None else self._through_softmax(label, others)
        if d.log_p_t is None:
            return grad_logits
        of_log = self._with_label(self._minus_rest)
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
        if others.shape == p.shape:
            others -= start
        else:
            others = others - start
        return lib.softmax_backward(p, self._labels.put(others, label - start))


class DeviceMultilabel(EachProbability):
    """Sigmoid, each class there or not: that of the logits, negative where the class is not there.

    Parameters
    ----------
    logits : array (images, classes, pixels)
    there : bool array of that shape
    """

    def __init__(self, lib: Library, logits: Array, there: Array) -> None:
        self._there = there
        super().__init__(DeviceSigmoid(lib, lib.xp.where(there, logits, -logits)))

    def _with_sign(self, x: Array) -> Array:
        return self.xp.where(self._there, x, -x)

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        wrong = times(weights, self.one_minus_p)
        return _counts(
            self.xp, self._there, (times(weights, self.p), wrong, wrong), per_image=per_image
        )

    def errors(self) -> Array:
        """Return 1 - p_t."""
        return self.one_minus_p

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, by way of p_t."""
        xp, dp = self.xp, None
        if d.by_class is not None:
            present, absent = d.by_class
            dp = times(weights, xp.where(self._there, present, -absent))
        if d.p is not None:
            of_p = self._with_sign(d.p)
            dp = of_p if dp is None else dp + of_p
        if d.error is not None:
            dp = -d.error if dp is None else dp - d.error
        return self._with_sign(self._at.chain(dp, d.log_p_t))


class DeviceOneHot(HardTarget):
    """Exclusive classes by a one-hot or multi-hot target: not one class alone need be so.

    Parameters
    ----------
    every : EveryClass
    there : bool array of the logits' shape
    """

    def __init__(self, every: EveryClass, there: Array) -> None:
        super().__init__(every.lib)
        self._every = every
        self._there = there

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        p, missed = (times(weights, x) for x in (self._every.p, self._every.one_minus_p))
        return _counts(self.xp, self._there, (p, p, missed), per_image=per_image)

    def errors(self) -> Array:
        """Return p, but 1 - p where the target has the class."""
        return self.xp.where(self._there, self._every.one_minus_p, self._every.p)

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits."""
        xp, there, dp = self.xp, self._there, d.p
        if d.by_class is not None:
            of_class = times(weights, xp.where(there, *d.by_class))
            dp = of_class if dp is None else dp + of_class
        if d.error is not None:
            of_error = xp.where(there, -d.error, d.error)
            dp = of_error if dp is None else dp + of_error
        return self._every.backward(Derivative(p=dp))


def _counts(xp: Namespace, there: Array, arrays: SoftCounts, *, per_image: bool) -> SoftCounts:
    """Return the sums of what counts where the target has the class, where not, and where."""
    hit, false, missed = arrays
    chosen = (
        xp.where(there, hit, 0.0),
        xp.where(there, 0.0, false),
        xp.where(there, missed, 0.0),
    )
    tp, fp, fn = (sum_pixels(xp, x, per_image=per_image) for x in chosen)
    return tp, fp, fn

"""From logits to probabilities, and from a derivative back to logits: softmax, sigmoid, or given.

The forms for explicit derivatives; `autodiff` has those that automatic differentiation follows.
Each offers `p`, `one_minus_p` (never formed by a subtraction that cancels) and `log_p`, arrays
(images, classes, pixels) made when first asked for. With a hard target there is one such
probability per pixel, or per class of a pixel if multilabel: p_t, that of what the target says.

What is here computes by arithmetic rather than by choice: at random places NumPy's `where` costs
seven times an exponential. And it changes in place what it has just made itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar, overload

from array_losses.core.derivative import Derivative, PerClass
from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array

__all__ = [
    "EveryClass",
    "Given",
    "HardTarget",
    "LabelledGiven",
    "LabelledSoftmax",
    "ModerateSigmoid",
    "Multilabel",
    "OneHot",
    "Probability",
    "SoftCounts",
    "Softmax",
    "once",
    "sigmoid",
    "signs",
    "times",
]

_T = TypeVar("_T")
SoftCounts: TypeAlias = tuple[Array, Array, Array]


class once(Generic[_T]):  # noqa: N801 - it stands where `property` stands
    """A property that is computed when first asked for, and then an attribute like any other.

    What `functools.cached_property` is from Python 3.12 on. Before, that holds one lock for all
    instances while it computes (python/cpython#87634): threads that work on blocks of their own
    would wait for each other.
    """

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> once[_T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> once[_T] | _T:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


def times(weights: Array | None, x: Array) -> Array:
    """Return `x` times the weights, None for 1."""
    return x if weights is None else weights * x


class Probability:
    """A probability, its complement and its logarithm."""

    def __init__(self, lib: Library) -> None:
        self.lib = lib
        self.xp = lib.xp

    @once
    def p(self) -> Array:
        """The probability."""
        raise NotImplementedError

    @once
    def one_minus_p(self) -> Array:
        """1 - p, to full relative accuracy."""
        raise NotImplementedError

    @once
    def log_p(self) -> Array:
        """The logarithm of p, to full relative accuracy."""
        raise NotImplementedError


# --- every class: soft targets, and losses that read all probabilities ----------------------------


class EveryClass(Probability):
    """The probability of every class, and the way back from all of them."""

    def backward(self, d: Derivative) -> Array:
        """Return d loss / d logits, from p, log p and log (1 - p)."""
        raise NotImplementedError


class Softmax(EveryClass):
    """p_c = exp(z_c - z_k) / (1 + others), k a class of the largest logit.

    `others` is the sum of exp(z_j - z_k) over the classes j other than k.
    """

    def __init__(self, lib: Library, logits: Array, *, can_inspect: bool) -> None:
        super().__init__(lib)
        xp = self.xp
        self._can_inspect = can_inspect
        self._shifted, self._exp = _exponentials(lib, logits)
        # Their sum without the largest, which is 1, by arithmetic: in NumPy an argmax costs five
        # times the exponential. Taking away the integer part takes away the 1. If two terms round
        # to 1, the whole sum is at least 2, and subtracting 1 from that loses nothing.
        small = lib.over_classes(self._exp - xp.floor(self._exp))
        whole = lib.over_classes(self._exp)
        self._others = xp.where(whole < 1.5, small, whole - 1.0)
        self._inverse = 1.0 / (1.0 + self._others)

    @once
    def p(self) -> Array:
        """The probability."""
        return self._exp * self._inverse

    @once
    def one_minus_p(self) -> Array:
        """1 - p."""
        return (self._others + (1.0 - self._exp)) * self._inverse

    @once
    def log_p(self) -> Array:
        """The logarithm of p."""
        return self._shifted - self.xp.log1p(self._others)

    def backward(self, d: Derivative) -> Array:
        """Return d loss / d logits, from p and log p: p (dp - mean of dp), and dlog - p sum dlog.

        Of the latter each class's own part is with its 1 - p.
        """
        grad_logits = None
        if d.p is not None:
            grad_logits = _through_softmax(self.lib, self.p, d.p, can_inspect=self._can_inspect)
        if d.log_p is not None:
            of_log = self.one_minus_p * d.log_p - self.p * self._sum_of_others(d.log_p)
            grad_logits = of_log if grad_logits is None else grad_logits + of_log
        return grad_logits

    def _sum_of_others(self, x: Array) -> Array:
        """Return for each class the sum of all other classes' entries.

        Not by a difference that cancels where the likeliest class has most of the sum.
        """
        lib = self.lib
        at_top = lib.xp.floor(self._exp) * x
        rest = x - at_top
        return (lib.over_classes(rest) - rest) + (lib.over_classes(at_top) - at_top)


class ElementWise(EveryClass):
    """Each class for itself."""

    def backward(self, d: Derivative) -> Array:
        """Return d loss / d logits, from p, log p and log (1 - p)."""
        grad_logits = self.chain(d.p, d.log_p)
        if d.log_one_minus_p is None:
            return grad_logits
        of_rest = self.from_log_one_minus_p(d.log_one_minus_p)
        return of_rest if grad_logits is None else grad_logits + of_rest

    def chain(self, dp: Array | None, dlog: Array | None) -> Array | None:
        """Return d loss / d logits from d loss / d p, which may change, and d loss / d log p."""
        raise NotImplementedError

    def from_log_one_minus_p(self, dlog: Array) -> Array:
        """Return d loss / d logits from d loss / d log (1 - p)."""
        raise NotImplementedError


class Sigmoid(ElementWise):
    """p = 1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows.

    The smaller of p and 1 - p is q = exp(-|z|) / (1 + exp(-|z|)), the larger 1 - q.
    """

    def __init__(self, lib: Library, logits: Array) -> None:
        super().__init__(lib)
        self._logits = logits

    @once
    def _exp(self) -> Array:
        return self.xp.exp(-self.xp.abs(self._logits))

    @once
    def _smaller(self) -> Array:
        return self._exp / (1.0 + self._exp)

    @once
    def p(self) -> Array:
        """The probability."""
        return self._where(self._logits >= 0.0)

    @once
    def one_minus_p(self) -> Array:
        """1 - p."""
        return self._where(self._logits < 0.0)

    def _where(self, larger: Array) -> Array:
        """Return 1 - q where it is the larger one that is asked for, and else q."""
        return self.xp.abs(self.xp.astype(larger, self._exp.dtype) - self._smaller)

    @once
    def log_p(self) -> Array:
        """The logarithm of p."""
        # An array of zeros: next to a number, NumPy's minimum is twice as slow.
        low = self.xp.minimum(self._logits, self.xp.zeros_like(self._logits))
        low -= self.xp.log1p(self._exp)
        return low

    def chain(self, dp: Array | None, dlog: Array | None) -> Array | None:
        """Return p (1 - p) dp + (1 - p) dlog."""
        of_p = None if dp is None else dp * (self._smaller * (1.0 - self._smaller))
        if dlog is None:
            return of_p
        of_log = dlog * self.one_minus_p
        return of_log if of_p is None else of_p + of_log

    def from_log_one_minus_p(self, dlog: Array) -> Array:
        """Return -p dlog."""
        return -dlog * self.p


class ModerateSigmoid(ElementWise):
    """The same from the odds against, exp(-z), that do not overflow: no cases, half the passes."""

    def __init__(self, lib: Library, odds: Array) -> None:
        super().__init__(lib)
        self.odds = odds

    @once
    def p(self) -> Array:
        """The probability."""
        p = 1.0 + self.odds
        return 1.0 / p

    @once
    def one_minus_p(self) -> Array:
        """1 - p."""
        return self.odds * self.p

    @once
    def log_p(self) -> Array:
        """The logarithm of p."""
        return -self.xp.log1p(self.odds)

    def chain(self, dp: Array | None, dlog: Array | None) -> Array | None:
        """Return (p dp + dlog) (1 - p)."""
        if dp is None:
            return None if dlog is None else dlog * self.one_minus_p
        dp *= self.p
        if dlog is not None:
            dp += dlog
        dp *= self.one_minus_p
        return dp

    def from_log_one_minus_p(self, dlog: Array) -> Array:
        """Return -p dlog."""
        return -dlog * self.p


def sigmoid(lib: Library, logits: Array, *, can_inspect: bool) -> ElementWise:
    """Return a sigmoid, the quicker one if the values can be inspected and allow it."""
    xp = lib.xp
    if can_inspect and 0 not in logits.shape:
        against = -logits
        if xp.max(against) < 0.9 * math.log(xp.finfo(logits.dtype).max):
            return ModerateSigmoid(lib, xp.exp(against))
    return Sigmoid(lib, logits)


class Given(ElementWise):
    """Probabilities given as they are; nothing is clipped, so log 0 is minus infinity."""

    def __init__(self, lib: Library, p: Array) -> None:
        super().__init__(lib)
        self._p = p

    @once
    def p(self) -> Array:
        """The probability."""
        return self._p

    @once
    def one_minus_p(self) -> Array:
        """1 - p."""
        return 1.0 - self._p

    @once
    def log_p(self) -> Array:
        """The logarithm of p."""
        return self.xp.log(self._p)

    def chain(self, dp: Array | None, dlog: Array | None) -> Array | None:
        """Return dp + dlog / p."""
        if dlog is None:
            return dp
        of_log = self._over(dlog, self.p)
        return of_log if dp is None else dp + of_log

    def from_log_one_minus_p(self, dlog: Array) -> Array:
        """Return -dlog / (1 - p)."""
        return -self._over(dlog, self.one_minus_p)

    def _over(self, dlog: Array, p: Array) -> Array:
        """Return the quotient, 0 for 0 / 0: what counts for nothing may be impossible."""
        return dlog / self.xp.where((dlog == 0.0) & (p == 0.0), 1.0, p)


def _exponentials(lib: Library, logits: Array) -> tuple[Array, Array]:
    """Return the logits less the largest of each pixel, and their exponentials."""
    shifted = logits - lib.largest_class(logits)
    return shifted, lib.xp.exp(shifted)


def _through_softmax(lib: Library, p: Array, dp: Array, *, can_inspect: bool) -> Array:
    """Return p (dp - mean of dp)."""
    extreme = not can_inspect or _is_extreme(lib, p)
    grad_logits, _, mean = _less_the_mean(lib, p, dp, None, extreme=extreme)
    grad_logits -= mean
    grad_logits *= p
    return grad_logits


def _less_the_mean(
    lib: Library, p: Array, dp: Array, label: tuple[Array, Array] | None, *, extreme: bool
) -> tuple[Array, Array, Array]:
    """Return dp less a number per pixel, that number, and the mean by p of what is left.

    For a class that is almost sure dp - mean is a small difference of large numbers, unless dp is
    first measured from near that class's own. The mean is near it: they differ by that difference
    and by rounding, which the mean of what is left tells. Where it may be below all rounding
    (`extreme`), the class's own it is.

    Parameters
    ----------
    p, dp : arrays (images, classes, pixels); dp may hold one number per class, and may change
    label : p and dp of the label, where both arrays do not hold them; p is 0 there
    """

    def mean(dp: Array, start: Array | float) -> Array:
        total = lib.sum_classes(dp, p)
        return total if label is None else total + label[0] * (label[1] - start)

    start = _of_the_likeliest(lib, p, dp, label) if extreme else mean(dp, 0.0)
    if dp.shape == p.shape:
        dp -= start
    else:
        dp = dp - start
    return dp, start, mean(dp, start)


def _of_the_likeliest(
    lib: Library, p: Array, dp: Array, label: tuple[Array, Array] | None
) -> Array:
    """Return dp of the likeliest class; of several that are, any number as large."""
    highest = lib.largest_class(p)
    near = lib.sum_classes(dp, lib.xp.astype(p == highest, p.dtype))
    if label is None:
        return near
    return lib.xp.where(label[0] >= highest, label[1], near)


def _is_extreme(lib: Library, *probabilities: Array) -> bool:
    """Return whether some probability may be far below what rounds 1."""
    xp = lib.xp
    lowest = 0.01 * xp.finfo(probabilities[0].dtype).eps
    return not all(0 not in p.shape and xp.min(p) > lowest for p in probabilities)


# --- hard targets: the probability of what the target says ----------------------------------------


class HardTarget(Probability):
    """p_t, soft counts by class, errors, and the way back from all of them."""

    def confusion(self, weights: Array | None) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives of each class.

        Sums over pixels, (images, classes).
        """
        raise NotImplementedError

    def errors(self) -> Array:
        """Return |target - p| of each class."""
        raise NotImplementedError

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, from p_t and p; `by_class` is times the pixel weights."""
        raise NotImplementedError

    def kept(self) -> Array | None:
        """Return an array of the logits' shape from which it can be had again, or None."""


class LabelledSoftmax(HardTarget):
    """Softmax and labels: the label's exponential e apart from all others, whose sum is S.

    p_t = e / (S + e), 1 - p_t = S / (S + e). S is small where the label is sure, with no
    subtraction, so that both keep their relative accuracy, and log p_t = -log(1 + S / e).

    Parameters
    ----------
    exp : array (images, classes, pixels)
        Exponentials, or probabilities; they may change.
    labels : Labels
    shifted : array, optional
        The logarithms of `exp`, the largest of each pixel 0. Without them no `exp` vanishes.
    normalised : whether `exp` holds probabilities
    can_inspect : whether values can be inspected
    """

    def __init__(
        self,
        lib: Library,
        exp: Array,
        labels: Labels,
        *,
        shifted: Array | None = None,
        normalised: bool = False,
        can_inspect: bool,
    ) -> None:
        super().__init__(lib)
        self._exp = exp
        self._labels = labels
        self._log_e = None if shifted is None else labels.pick_beside_infinity(shifted)
        self._normalised = normalised
        self._can_inspect = can_inspect

    @classmethod
    def of_logits(
        cls, lib: Library, logits: Array, labels: Labels, *, can_inspect: bool
    ) -> LabelledSoftmax:
        """Return it without a shift if the values can be inspected and allow it."""
        xp = lib.xp
        if can_inspect and 0 not in logits.shape:
            # Far enough from the limits for products with weights of 1e-25 or 1e24.
            highest = 0.25 * math.log(xp.finfo(logits.dtype).max) - 0.5 * math.log(logits.shape[1])
            if xp.max(logits) < highest and xp.min(logits) > -highest:
                return cls(lib, xp.exp(logits), labels, can_inspect=True)
        shifted, exp = _exponentials(lib, logits)
        return cls(lib, exp, labels, shifted=shifted, can_inspect=can_inspect)

    @once
    def _split(self) -> tuple[Array, Array]:
        """The label's exponential, and all others with 0 at the label."""
        return self._labels.split(self._exp)

    @once
    def _sum_others(self) -> Array:
        return self.lib.over_classes(self._split[1])

    @once
    def _inverse(self) -> Array:
        return 1.0 / (self._sum_others + self._split[0])

    def _over_total(self, x: Array) -> Array:
        return x if self._normalised else x * self._inverse

    @once
    def p(self) -> Array:
        """p_t."""
        return self._over_total(self._split[0])

    @once
    def one_minus_p(self) -> Array:
        """1 - p_t."""
        return self._over_total(self._sum_others)

    @once
    def log_p(self) -> Array:
        """The logarithm of p_t."""
        xp, e = self.xp, self._split[0]
        if self._log_e is None:
            return -xp.log1p(self._sum_others / e)
        # Either e is 1, and nothing is lost, or the largest term, which is 1, is in S.
        return self._log_e - xp.log1p(self._sum_others + (e - 1.0))

    @once
    def _p_others(self) -> Array:
        """The probability of each class, 0 for the label."""
        return self._over_total(self._split[1])

    def confusion(self, weights: Array | None) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        outside = self.lib.sum_pixels(self._split[1], times(weights, self._inverse))
        inside, missed = (self._labels.sums(times(weights, x)) for x in (self.p, self.one_minus_p))
        return inside, outside, missed

    def errors(self) -> Array:
        """Return p, but 1 - p for the label.

        Over the total of all classes in their order, whatever the label: so errors of pixels of
        equal logits are equal, and told apart by their places, not by rounding.
        """
        e, others = self._split
        total = self.lib.over_classes(self._labels.join(e, others + 0.0))
        inverse = 1.0 / total
        return self._labels.join(self._sum_others * inverse, others * inverse)

    def kept(self) -> Array | None:
        """Return the probability of each class; a logarithm cannot be had from one of 0."""
        if self._log_e is not None:
            return None
        if self._labels.by_products:
            return self._exp * self._inverse
        return self._labels.join(self.p, self._split[1] * self._inverse)

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits.

        With D = d loss / d p and r = d loss / d log p_t: p (D - mean of D - r) for each class but
        the label, and p_t (D - mean of D) + r (1 - p_t) for the label.
        """
        if d.log_p_t is None and self._labels.by_products:
            return self._as_one_hot(d, weights)
        label, others = self._by_p(d, weights)
        r = 0.0 if d.log_p_t is None else d.log_p_t
        of_label = r * self.one_minus_p
        if others is None:
            return self._labels.join(of_label, self._split[1] * self._over_total(-r))
        grad_logits, start, mean = self._less_the_mean(others, label)
        grad_logits -= mean + r
        grad_logits *= self._p_others
        return self._labels.join(of_label + self.p * (label - start - mean), grad_logits)

    def _less_the_mean(self, others: Array, label: Array) -> tuple[Array, Array, Array]:
        extreme = not self._can_inspect or _is_extreme(self.lib, self.p, self.one_minus_p)
        return _less_the_mean(self.lib, self._p_others, others, (self.p, label), extreme=extreme)

    def _as_one_hot(self, d: Derivative, weights: Array | None) -> Array:
        """Return the same without r, the label among the others: for few classes that is faster."""
        one_hot = self._labels.one_hot(self._exp.dtype)
        dp = _by_p(self.lib, d, one_hot, weights, can_inspect=self._can_inspect)
        p = self._over_total(self._exp)
        return _through_softmax(self.lib, p, dp, can_inspect=self._can_inspect)

    def _by_p(self, d: Derivative, weights: Array | None) -> tuple[Array | None, Array | None]:
        """Return d loss / d p of the label and of the others, which may be one number per class."""
        label = others = None
        if d.by_class is not None:
            present, absent = d.by_class
            label = times(weights, self._labels.of_class(present))
            others = absent + 0.0 if weights is None else weights * absent  # to be changed
        for dense, sign in ((d.p, 1.0), (d.error, -1.0)):
            if dense is not None:
                here = sign * self._labels.pick(dense)
                label = here if label is None else label + here
                others = dense if others is None else others + dense
        return label, others


class LabelledGiven(HardTarget):
    """Probabilities of exclusive classes, given as they are, and labels."""

    def __init__(self, lib: Library, p: Array, labels: Labels) -> None:
        super().__init__(lib)
        self._every = p
        self._labels = labels
        # NaN in another class shows in the label's too.
        self._at = Given(lib, labels.pick(p) + 0.0 * lib.over_classes(p))

    @once
    def p(self) -> Array:
        """p_t."""
        return self._at.p

    @once
    def one_minus_p(self) -> Array:
        """1 - p_t."""
        return self._at.one_minus_p

    @once
    def log_p(self) -> Array:
        """The logarithm of p_t."""
        return self._at.log_p

    def confusion(self, weights: Array | None) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        _, others = self._labels.split(self._every + 0.0)
        outside = self.xp.sum(times(weights, others), axis=2)
        inside, missed = (self._labels.sums(times(weights, x)) for x in (self.p, self.one_minus_p))
        return inside, outside, missed

    def errors(self) -> Array:
        """Return p, but 1 - p for the label."""
        _, others = self._labels.split(self._every + 0.0)
        return self._labels.join(self.one_minus_p, others)

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d p."""
        every = self.xp.zeros_like(self._every)
        label = None
        if d.by_class is not None:
            present, absent = d.by_class
            every, label = every + times(weights, absent), self._labels.of_class(present)
            label = times(weights, label)
        for dense, sign in ((d.p, 1.0), (d.error, -1.0)):
            if dense is not None:
                here = sign * self._labels.pick(dense)
                every, label = every + dense, here if label is None else label + here
        label = self._at.chain(label, d.log_p_t)
        return self._labels.join(label, self._labels.split(every)[1])


class OneHot(HardTarget):
    """Exclusive classes by a one-hot or multi-hot target: not one class alone need be so.

    Parameters
    ----------
    every : EveryClass
    one_hot : array of the logits' shape, 1 where the target has the class, else 0
    """

    def __init__(self, every: EveryClass, one_hot: Array) -> None:
        super().__init__(every.lib)
        self._every = every
        self._one_hot = one_hot

    def confusion(self, weights: Array | None) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        there, absent = times(weights, self._one_hot), times(weights, 1.0 - self._one_hot)
        p, one_minus_p = self._every.p, self._every.one_minus_p
        pairs = ((there, p), (absent, p), (there, one_minus_p))
        inside, outside, missed = (self.lib.sum_pixels(*pair) for pair in pairs)
        return inside, outside, missed

    def errors(self) -> Array:
        """Return p, but 1 - p where the target has the class."""
        errors = self._one_hot * self._every.one_minus_p
        errors += (1.0 - self._one_hot) * self._every.p
        return errors

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits."""
        dp = _by_p(self.lib, d, self._one_hot, weights, can_inspect=False)
        return self._every.backward(Derivative(p=dp))


class Multilabel(HardTarget):
    """Each class there or not: the probability of that is p_t, once per class.

    Parameters
    ----------
    at : ElementWise
        p_t: of the logits times `sign`, or of given probabilities.
    one_hot : array of the logits' shape, 1 where the target has the class, else 0
    can_inspect : whether values can be inspected
    """

    def __init__(self, at: ElementWise, one_hot: Array, *, can_inspect: bool) -> None:
        super().__init__(at.lib)
        self._at = at
        self._one_hot = one_hot
        self._can_inspect = can_inspect

    @once
    def p(self) -> Array:
        """p_t."""
        return self._at.p

    @once
    def one_minus_p(self) -> Array:
        """1 - p_t."""
        return self._at.one_minus_p

    @once
    def log_p(self) -> Array:
        """The logarithm of p_t."""
        return self._at.log_p

    def confusion(self, weights: Array | None) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        there, absent = times(weights, self._one_hot), times(weights, 1.0 - self._one_hot)
        pairs = ((there, self.p), (absent, self.one_minus_p), (there, self.one_minus_p))
        inside, outside, missed = (self.lib.sum_pixels(*pair) for pair in pairs)
        return inside, outside, missed

    def errors(self) -> Array:
        """Return 1 - p_t."""
        return self.one_minus_p

    def kept(self) -> Array | None:
        """Return the odds, where they do not overflow."""
        return self._at.odds if isinstance(self._at, ModerateSigmoid) else None

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits: p has the derivative of p_t, but for the sign."""
        dp = _by_p(self.lib, d, self._one_hot, weights, can_inspect=self._can_inspect)
        dlog = None if d.log_p_t is None else signs(self._one_hot) * d.log_p_t
        return self._at.chain(dp, dlog)


def signs(one_hot: Array) -> Array:
    """Return 1 where the target has the class, else -1."""
    sign = 2.0 * one_hot
    sign -= 1.0
    return sign


def _by_p(
    lib: Library, d: Derivative, one_hot: Array, weights: Array | None, *, can_inspect: bool
) -> Array | None:
    """Return d loss / d p of each class, None where p_t alone is read, by its logarithm."""
    dp = None
    if d.by_class is not None:
        dp = times(weights, _by_target(lib, one_hot, d.by_class, can_inspect=can_inspect))
    if d.p is not None:
        dp = d.p if dp is None else dp + d.p
    if d.error is not None:
        of_error = signs(one_hot) * -d.error
        dp = of_error if dp is None else dp + of_error
    return dp


def _by_target(lib: Library, one_hot: Array, by_class: PerClass, *, can_inspect: bool) -> Array:
    """Return one number per class where the target has it, another where not, by arithmetic.

    Next to a much larger number a smaller one would be lost in the difference of both, which takes
    fewer passes over the target.
    """
    xp, (present, absent) = lib.xp, by_class
    if can_inspect:
        sizes = xp.abs(present), xp.abs(absent)
        if not xp.any(sizes[0] + sizes[1] > _FAR * xp.minimum(*sizes)):
            numbers = one_hot * (present - absent)
            numbers += absent
            return numbers
    return one_hot * present + (1.0 - one_hot) * absent


_FAR = 64.0  # of it, six bits are lost

"""From logits to the probability of every class, and back: softmax, sigmoid, or given.

The forms for explicit derivatives; `autodiff` has those that automatic differentiation follows.
Each offers `p`, `one_minus_p` (never formed by a subtraction that cancels) and `log_p`, arrays
(images, classes, pixels) made when first asked for, and the way back from a `Derivative`.

What is here computes by arithmetic rather than by choice: at random places NumPy's `where` costs
seven times an exponential. And it changes in place what it has just made itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from array_losses.core.derivative import Derivative
from array_losses.core.library import Library
from array_losses.core.namespace import Array

__all__ = [
    "ElementWise",
    "EveryClass",
    "Given",
    "ModerateSigmoid",
    "Probability",
    "Softmax",
    "exponentials",
    "is_extreme",
    "less_the_mean",
    "once",
    "sigmoid",
    "through_softmax",
    "times",
]

_T = TypeVar("_T")


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
        self._shifted, self._exp = exponentials(lib, logits)
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
            grad_logits = through_softmax(self.lib, self.p, d.p, can_inspect=self._can_inspect)
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


def exponentials(lib: Library, logits: Array) -> tuple[Array, Array]:
    """Return the logits less the largest of each pixel, and their exponentials."""
    shifted = logits - lib.largest_class(logits)
    return shifted, lib.xp.exp(shifted)


def through_softmax(lib: Library, p: Array, dp: Array, *, can_inspect: bool) -> Array:
    """Return p (dp - mean of dp)."""
    extreme = not can_inspect or is_extreme(lib, p)
    grad_logits, _, mean = less_the_mean(lib, p, dp, None, extreme=extreme)
    grad_logits -= mean
    grad_logits *= p
    return grad_logits


def less_the_mean(
    lib: Library, p: Array, dp: Array, label: tuple[Array, Array] | None, *, extreme: bool
) -> tuple[Array, Array, Array]:
    """Return dp less a number per pixel, that number, and the mean by p of what is left.

    Where one class is almost sure, its dp is nearly the mean, and their difference is lost to
    rounding. So a number near both is subtracted first, and the mean of what is left is computed
    anew, to its own precision. That number is the mean as first computed; where a probability may
    be smaller than rounding allows for (`extreme`), it is dp of the likeliest class.

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


def is_extreme(lib: Library, *probabilities: Array) -> bool:
    """Return whether some probability may be far below what rounds 1."""
    xp = lib.xp
    lowest = 0.01 * xp.finfo(probabilities[0].dtype).eps
    return not all(0 not in p.shape and xp.min(p) > lowest for p in probabilities)

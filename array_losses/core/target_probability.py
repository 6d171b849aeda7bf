"""Target probability p_t of hard targets, soft counts and errors, and the way back to the logits.

With labels there is one p_t per pixel, that of the label; if multilabel, one per class of a pixel,
that it is there or is not. Arrays (images, classes or 1, pixels), made when first asked for.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from array_losses.core.derivative import Derivative, PerClass
from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, Namespace
from array_losses.core.probability import (
    ElementWise,
    EveryClass,
    Given,
    ModerateSigmoid,
    Probability,
    exponentials,
    is_extreme,
    less_the_mean,
    once,
    through_softmax,
    times,
)

__all__ = [
    "EachProbability",
    "HardTarget",
    "LabelledGiven",
    "LabelledSoftmax",
    "Multilabel",
    "OneHot",
    "SoftCounts",
    "label_and_others",
    "pooled",
]

SoftCounts: TypeAlias = tuple[Array, Array, Array]


class HardTarget(Probability):
    """What all hard targets offer."""

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives of each class.

        Sums over pixels, (1, classes), or (images, classes).
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
        shifted, exp = exponentials(lib, logits)
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

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        outside = self.lib.sum_pixels(self._split[1], times(weights, self._inverse))
        inside, missed = (self._labels.sums(times(weights, x)) for x in (self.p, self.one_minus_p))
        return pooled(self.xp, (inside, outside, missed), per_image=per_image)

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
        """Return d loss / d logits, in place of what it is made of: it can be asked for once.

        With D = d loss / d p and r = d loss / d log p_t: p (D - mean of D - r) for each class but
        the label, and p_t (D - mean of D) + r (1 - p_t) for the label.
        """
        if d.log_p_t is None and self._labels.by_products:
            return self._as_one_hot(d, weights)
        label, others = label_and_others(self._labels, d, weights)
        r = 0.0 if d.log_p_t is None else d.log_p_t
        of_label = r * self.one_minus_p
        if others is None:
            grad_logits = self._split[1]
            grad_logits *= self._over_total(-r)
            return self._labels.join(of_label, grad_logits)
        extreme = not self._can_inspect or is_extreme(self.lib, self.p, self.one_minus_p)
        grad_logits, start, mean = less_the_mean(
            self.lib, self._p_others, others, (self.p, label), extreme=extreme
        )
        grad_logits -= mean + r
        grad_logits *= self._p_others
        return self._labels.join(of_label + self.p * (label - start - mean), grad_logits)

    def _as_one_hot(self, d: Derivative, weights: Array | None) -> Array:
        """Return the same without r, the label among the others: for few classes that is faster."""
        one_hot = self._labels.one_hot(self._exp.dtype)
        dp = _by_p(self.lib, d, one_hot, weights, can_inspect=self._can_inspect)
        p = self._over_total(self._exp)
        return through_softmax(self.lib, p, dp, can_inspect=self._can_inspect)


class EachProbability(HardTarget):
    """A hard target whose p_t is a probability by itself.

    Parameters
    ----------
    at : ElementWise
    """

    def __init__(self, at: ElementWise) -> None:
        super().__init__(at.lib)
        self._at = at

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


class LabelledGiven(EachProbability):
    """Probabilities of exclusive classes, given as they are, and labels."""

    def __init__(self, lib: Library, p: Array, labels: Labels) -> None:
        # NaN in another class shows in the label's too.
        super().__init__(Given(lib, labels.pick(p) + 0.0 * lib.over_classes(p)))
        self._every = p
        self._labels = labels

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        _, others = self._labels.split(self._every + 0.0)
        outside = self.xp.sum(times(weights, others), axis=2)
        inside, missed = (self._labels.sums(times(weights, x)) for x in (self.p, self.one_minus_p))
        return pooled(self.xp, (inside, outside, missed), per_image=per_image)

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

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        p, missed = self._every.p, self._every.one_minus_p
        counts = _counts(self.lib, self._one_hot, weights, p, p, missed)
        return pooled(self.xp, counts, per_image=per_image)

    def errors(self) -> Array:
        """Return p, but 1 - p where the target has the class."""
        errors = self._one_hot * self._every.one_minus_p
        errors += (1.0 - self._one_hot) * self._every.p
        return errors

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits."""
        dp = _by_p(self.lib, d, self._one_hot, weights, can_inspect=False)
        return self._every.backward(Derivative(p=dp))


class Multilabel(EachProbability):
    """Each class there or not: the probability of that is p_t, once per class.

    Parameters
    ----------
    at : ElementWise
        p_t: of the logits times `sign`, or of given probabilities.
    one_hot : array of the logits' shape, 1 where the target has the class, else 0
    can_inspect : whether values can be inspected
    """

    def __init__(self, at: ElementWise, one_hot: Array, *, can_inspect: bool) -> None:
        super().__init__(at)
        self._one_hot = one_hot
        self._can_inspect = can_inspect

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        p, wrong = self.p, self.one_minus_p
        counts = _counts(self.lib, self._one_hot, weights, p, wrong, wrong)
        return pooled(self.xp, counts, per_image=per_image)

    def errors(self) -> Array:
        """Return 1 - p_t."""
        return self.one_minus_p

    def kept(self) -> Array | None:
        """Return the odds, where they do not overflow."""
        return self._at.odds if isinstance(self._at, ModerateSigmoid) else None

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits: p has the derivative of p_t, but for the sign."""
        dp = _by_p(self.lib, d, self._one_hot, weights, can_inspect=self._can_inspect)
        dlog = None if d.log_p_t is None else _signs(self._one_hot) * d.log_p_t
        return self._at.chain(dp, dlog)


def label_and_others(
    labels: Labels, d: Derivative, weights: Array | None
) -> tuple[Array | None, Array | None]:
    """Return d loss / d p of the label and of the others, which may be one number per class."""
    label = others = None
    if d.by_class is not None:
        present, absent = d.by_class
        label = times(weights, labels.of_class(present))
        others = absent + 0.0 if weights is None else weights * absent  # to be changed
    for dense, sign in ((d.p, 1.0), (d.error, -1.0)):
        if dense is not None:
            here = sign * labels.pick(dense)
            label = here if label is None else label + here
            others = dense if others is None else others + dense
    return label, others


def _counts(
    lib: Library, one_hot: Array, weights: Array | None, hit: Array, false: Array, missed: Array
) -> SoftCounts:
    """Return the sums of what counts where the target has the class, where not, and where."""
    there, absent = times(weights, one_hot), times(weights, 1.0 - one_hot)
    pairs = ((there, hit), (absent, false), (there, missed))
    tp, fp, fn = (lib.sum_pixels(*pair) for pair in pairs)
    return tp, fp, fn


def pooled(xp: Namespace, sums: SoftCounts, *, per_image: bool) -> SoftCounts:
    """Return sums of each image, or of all images."""
    if per_image or sums[0].shape[0] == 1:
        return sums
    tp, fp, fn = (xp.sum(one, axis=0)[None, :] for one in sums)
    return tp, fp, fn


def _signs(one_hot: Array) -> Array:
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
        of_error = _signs(one_hot) * -d.error
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

"""Value and slope of a whole batch of labels after a softmax in closed form, as XLA likes it.

A compiler that differentiates the plain formula works out anew for each class what belongs to a
pixel, and keeps masks as large as the logits. Here the slope is written out: one exponential a
logit, and a few numbers a pixel. Everything is read by comparison and nothing written in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_losses.core.arguments import Batch
from array_losses.core.block import View
from array_losses.core.formula import (
    Terms,
    Totals,
    divide,
    finish,
    prepare,
    weighted_sum,
    whole,
)
from array_losses.core.hard import HardView
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array, Namespace, compute_dtype
from array_losses.core.pixels import Pixels

__all__ = ["each_value", "serves", "value", "value_and_slope"]


def serves(terms: Terms, logits: Array, target: Array) -> bool:
    """Return whether the losses have a slope in closed form here: softmax and labels, one number.

    The arrays need not have been checked.
    """
    if target.ndim != logits.ndim - 1:
        return False
    for _, formula in terms:
        axis = formula.class_axis
        one_number = formula.additive and formula.reduction != "none"
        if not one_number or not formula.by_label or formula.selects:
            return False
        if not -logits.ndim <= axis < logits.ndim or logits.shape[axis] < 2:
            return False
        if formula.view.activation != "softmax" or 0 in logits.shape:
            return False
    return any(weight != 0.0 for weight, _ in terms)


def value(terms: Terms, logits: Array, target: Array, pixel_weights: Array | None) -> Array:
    """Return the weighted sum of the losses."""
    return _Closed(terms, logits, target, pixel_weights).value


def each_value(
    terms: Terms, logits: Array, target: Array, pixel_weights: Array | None
) -> list[Array]:
    """Return the values of the losses without their weights."""
    return _Closed(terms, logits, target, pixel_weights).each


def value_and_slope(
    terms: Terms, logits: Array, target: Array, pixel_weights: Array | None
) -> tuple[Array, Array]:
    """Return the weighted sum, and its slope in the dtype of the sum."""
    closed = _Closed(terms, logits, target, pixel_weights)
    return closed.value, closed.slope()


class _Closed:
    """One evaluation of a sum of losses."""

    def __init__(
        self, terms: Terms, logits: Array, target: Array, pixel_weights: Array | None
    ) -> None:
        self.terms = terms
        self.batches = prepare(terms, logits, target, pixel_weights, None)
        self.xp: Namespace = self.batches[0].xp
        seen: dict[tuple[int, View], Pixels] = {}
        self.pixels: list[Pixels] = []
        for (_, formula), batch in zip(terms, self.batches, strict=True):
            key = (formula.class_axis, formula.view)
            if key not in seen:
                seen[key] = _ClosedPixels(whole(batch), formula.view, look=False, traced=True)
            self.pixels.append(seen[key])
        formulas = [formula for _, formula in terms]
        totals = [one.totals(pixels) for one, pixels in zip(formulas, self.pixels, strict=True)]
        self.totals, fractions = finish(self.xp, formulas, totals, None)
        self.divisors = [divisor for _, divisor in fractions]
        dtype = compute_dtype(self.xp, logits.dtype)
        self.each = [self.xp.astype(divide(self.xp, *one), dtype, copy=False) for one in fractions]
        self.value = weighted_sum(terms, self.each)

    def slope(self) -> Array:
        """Return d value / d logits."""
        total = None
        for n, (_, formula) in enumerate(self.terms):
            each = formula.slope(self.pixels[n], self._rates(n))
            each = _like_the_logits(self.xp, each, self.batches[n], formula.class_axis)
            total = each if total is None else total + each
        return total

    def _rates(self, n: int) -> Totals:
        xp, (weight, formula), dtype = self.xp, self.terms[n], self.pixels[n].dtype
        one = xp.ones((), dtype=self.totals[n][0].dtype, device=self.pixels[n].device)
        d = weight * one
        if self.divisors[n] is not None:
            d = divide(xp, d, self.divisors[n])
        rates = formula.rates(xp, self.totals[n], d)
        return tuple(xp.astype(rate, dtype, copy=False) for rate in rates)


def _like_the_logits(xp: Namespace, slope: Array, batch: Batch, class_axis: int) -> Array:
    """Return a slope (images, classes, pixels) in the shape of the logits."""
    slope = xp.reshape(slope, batch.logits.shape)
    axis = class_axis % slope.ndim
    if axis == 1:
        return slope
    axes = [0, *range(2, slope.ndim)]
    axes.insert(axis, 1)
    return xp.permute_dims(slope, tuple(axes))


class _ClosedPixels(Pixels):
    """The pixels of labels and a softmax, for losses that look at them `by_label`."""

    @property
    def hard_view(self) -> HardView:
        """The probabilities as the labels see them."""
        if self._made.hard_view is None:
            labels: Any = self.labels
            self._made.hard_view = _LabelledSoftmax(self.xp, self.logits, labels)
        return self._made.hard_view

    @property
    def so(self) -> HardView:
        """Target probability p_t: that of the label."""
        return self.hard_view

    def confusion(self, *, per_image: bool) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives, summed."""
        sums = self.hard_view.confusion(self.weights)
        return tuple(one if per_image else self.xp.sum(one, axis=0)[None, :] for one in sums)


class _LabelledSoftmax(HardView):
    """The labelled class of a softmax, with its exponential left out of the sum of all others.

    With e the exponential of the labelled class and S the sum of the others, both relative to the
    largest: p = e / (S + e) and log p = z - log(1 + (S + (e - 1))) with the labelled logit z.
    """

    def __init__(self, xp: Namespace, logits: Array, labels: Labels) -> None:
        super().__init__(xp, logits)
        self._labels = labels
        self._exp_all: Array | None = None
        self._peak = _over_classes(xp.max, xp.maximum, _itself, logits)
        self._shifted = labels.pick(logits) - self._peak
        self._exp_label = xp.exp(self._shifted)
        self._sum_others = self._sum(self._other, logits, labels.equal)
        self._inverse = 1.0 / (self._sum_others + self._exp_label)

    @property
    def _exp(self) -> Array:
        if self._exp_all is None:
            self._exp_all = self.xp.exp(self.logits - self._peak)
        return self._exp_all

    def _other(self, logits: Array, labelled: Array) -> Array:
        """Return the exponential where it is not the label's."""
        return self.xp.where(labelled, 0.0, self.xp.exp(logits - self._peak))

    def _sum(self, make: Callable[..., Array], *arrays: Array) -> Array:
        return _over_classes(self.xp.sum, self.xp.add, make, *arrays)

    def _make_p(self) -> Array:
        return self._exp_label * self._inverse

    def _make_not_p(self) -> Array:
        return self._sum_others * self._inverse

    def _make_log_p(self) -> Array:
        return self._shifted - self.xp.log1p(self._sum_others + (self._exp_label - 1.0))

    def backward_log(self, dlog: Array) -> Array:
        """Return dlog (target - p)."""
        slope = self.xp.where(self._labels.equal, self._sum_others, -self._exp)
        return slope * (dlog * self._inverse)

    def confusion(self, weights: Array | None) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives."""
        xp, there = self.xp, self._labels.equal
        share = self._inverse if weights is None else weights * self._inverse
        outside = xp.where(there, 0.0, self._exp * share)
        inside = xp.where(there, self._exp_label * share, 0.0)
        missed = xp.where(there, self._sum_others * share, 0.0)
        return tuple(xp.sum(one, axis=2) for one in (inside, outside, missed))

    def backward_by_class(self, inside: Array, outside: Array, weights: Array | None) -> Array:
        """Return p (dp - sum of p dp), dp measured from a likeliest class's.

        Its own slope is then minus the sum, and no small difference of large numbers.
        """
        xp = self.xp
        dp = xp.where(self._labels.equal, inside, outside)
        likeliest = _over_classes(xp.max, xp.maximum, self._if_likeliest, dp, self.logits)
        dp = dp - likeliest
        mean = self._sum(_product, dp, self._exp) * self._inverse
        share = self._inverse if weights is None else weights * self._inverse
        return self._exp * (dp - mean) * share

    def _if_likeliest(self, dp: Array, logits: Array) -> Array:
        return self.xp.where(logits == self._peak, dp, -float("inf"))


# More classes than these would make long programs.
_FEW = 32


def _over_classes(
    reduction: Callable[..., Array],
    operation: Callable[[Array, Array], Array],
    make: Callable[..., Array],
    *arrays: Array,
) -> Array:
    """Return a reduction over the classes of what is made of arrays; the operation is of two.

    On a CPU, XLA reduces over an axis that is not the last one number after the other: there it is
    written out, class by class.
    """
    classes = arrays[0].shape[1]
    if classes > _FEW:
        return reduction(make(*arrays), axis=1, keepdims=True)
    parts = [make(*(x[:, c : c + 1, :] for x in arrays)) for c in range(classes)]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [operation(a, b) for a, b in pairs] + rest
    return _made_once(parts[0])


def _itself(x: Array) -> Array:
    return x


def _product(x: Array, y: Array) -> Array:
    return x * y


def _made_once(x: Array) -> Array:
    """Return `x`, a number a pixel, such that XLA does not compute it anew for each class.

    It never computes a division twice, and cannot tell that this one is by 1.
    """
    return x / (1.0 + 0.0 * x)

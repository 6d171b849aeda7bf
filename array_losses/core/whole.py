"""A sum of losses over the whole batch as one block, with nothing inspected and nothing written.

For compilers and automatic differentiation: either the framework differentiates it (`autodiff`), or
it gives its gradient itself, in closed form, which XLA compiles to less than what it would make of
the differentiated formula: one exponential per logit, and a few numbers per pixel.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from array_losses.core.arguments import Batch
from array_losses.core.block import Block, View
from array_losses.core.derivative import Derivative
from array_losses.core.library import Library
from array_losses.core.namespace import Array, compute_dtype, device, number_of
from array_losses.core.pixels import Mode, Pixels
from array_losses.core.protocol import (
    Call,
    Formula,
    Strategy,
    Sums,
    Terms,
    divide,
    finish,
    is_map,
    prepare,
    weighted_sum,
)

__all__ = ["WholeEvaluation", "check_values", "has_closed_form", "whole"]


class WholeEvaluation:
    """One evaluation of a sum of losses.

    Parameters
    ----------
    autodiff : bool
        Whether the framework will differentiate it; else `gradient` gives the gradient.

    Attributes
    ----------
    value : the weighted sum
    each_value : the values of the losses without their weights
    """

    def __init__(self, lib: Library, call: Call, *, autodiff: bool) -> None:
        self.terms = terms = call.terms
        self.lib, self.xp = lib, lib.xp
        self.batches = prepare(lib, call)
        self._dtype = compute_dtype(self.xp, call.logits.dtype)
        self.pixels = self._as_seen(Mode(traced=True, autodiff=autodiff))
        formulas = [formula for _, formula in terms]
        summed = [i for i, formula in enumerate(formulas) if not is_map(formula)]
        self._by_error: dict[int, Array] = {}
        found = [self._sums(i, formulas[i], autodiff=autodiff) for i in summed]
        fractions = finish(
            self.xp, [formulas[i] for i in summed], found, call.all_reduce, autodiff=autodiff
        )
        self._fractions = dict(zip(summed, fractions, strict=True))
        # Sums may be wider than what they are the sums of.
        self.each_value = [
            self.xp.astype(self._value(i, formula), self._dtype, copy=False)
            for i, formula in enumerate(formulas)
        ]
        self.value = weighted_sum(terms, self.each_value)

    def _as_seen(self, mode: Mode) -> list[Pixels]:
        """Return the batch as each loss sees it."""
        seen: dict[tuple[int, View], Pixels] = {}
        result = []
        for (_, formula), batch in zip(self.terms, self.batches, strict=True):
            key = (formula.class_axis, formula.view)
            if key not in seen:
                seen[key] = Pixels(whole(self.lib, batch), formula.view, mode)
            pixels = seen[key]
            result.append(self._hardest(formula, pixels) if formula.mines else pixels)
        return result

    def _hardest(self, formula: Formula, pixels: Pixels) -> Pixels:
        """Return those of all pixels that count."""
        hardness = formula.hardness(pixels)
        chosen = formula.hardest(self.lib, self.xp.reshape(hardness, (1, 1, -1)))
        return pixels.only(self.xp.reshape(chosen, hardness.shape))

    def _sums(self, i: int, formula: Formula, *, autodiff: bool) -> Sums:
        if autodiff or formula.strategy != "sorted":
            return formula.sums_of(self.pixels[i])
        sums, self._by_error[i] = formula.at_once(self.pixels[i])
        return sums

    def _value(self, i: int, formula: Formula) -> Array:
        if i in self._fractions:
            return divide(self.xp, *self._fractions[i][:2])
        logits = self.batches[i].logits
        shape = (logits.shape[0], *logits.shape[2:])
        return self.xp.reshape(formula.pixel_losses(self.pixels[i]), shape)

    def gradient(self, d: Array | None = None) -> Array:
        """Return d value / d logits, times `d`, in the compute dtype.

        Without `autodiff`, and of one number.
        """
        by_axis: dict[int, dict[View, tuple[Pixels, Derivative]]] = {}
        for i, (_, formula) in enumerate(self.terms):
            pixels = self.pixels[i]
            mine = self._derivative(i, formula, d)
            views = by_axis.setdefault(formula.class_axis, {})
            if formula.view in views:
                mine = views[formula.view][1] + mine
            views[formula.view] = (pixels, mine)
        total = None
        for axis, views in by_axis.items():
            for pixels, derivative in views.values():
                each = self._like_the_logits(pixels.backward(derivative), axis)
                total = each if total is None else total + each
        return total

    def _derivative(self, i: int, formula: Formula, d: Array | None) -> Derivative:
        pixels, grad_sums = self.pixels[i], self._grad_sums(i, d)
        if i not in self._by_error:
            return formula.derivative(pixels, grad_sums)
        return formula.error_derivative(pixels, self._by_error[i] * grad_sums[0][:, :, None])

    def _grad_sums(self, i: int, d: Array | None) -> Sums:
        xp, (weight, formula) = self.xp, self.terms[i]
        numerator, divisor, kept = self._fractions[i]
        share = weight * xp.ones((), dtype=numerator.dtype, device=self.pixels[i].device)
        grad_sums = formula.grad_sums(xp, kept, divide(xp, share, divisor))
        if d is not None:  # At the end: all else is known in the forward pass.
            grad_sums = tuple(d * one for one in grad_sums)
        return tuple(xp.astype(one, self._dtype, copy=False) for one in grad_sums)

    def _like_the_logits(self, gradient: Array, class_axis: int) -> Array:
        """Return a gradient (images, classes, pixels) in the shape of the logits."""
        xp = self.xp
        i = next(i for i, (_, one) in enumerate(self.terms) if one.class_axis == class_axis)
        gradient = xp.reshape(gradient, self.batches[i].logits.shape)
        axis = class_axis % gradient.ndim
        if axis == 1:
            return gradient
        axes = [0, *range(2, gradient.ndim)]
        axes.insert(axis, 1)
        return xp.permute_dims(gradient, tuple(axes))


def has_closed_form(call: Call, strategies: Collection[Strategy] = ("pixel", "sums")) -> bool:
    """Return whether `gradient` serves: softmax and labels, one number, and no mining.

    Pixels that are sorted must count 1 or not at all. The arrays need not have been checked.
    """
    logits, weights = call.logits, call.pixel_weights
    if call.all_reduce is not None or call.target.ndim != logits.ndim - 1 or 0 in logits.shape:
        return False
    for _, formula in call.terms:
        axis = formula.class_axis
        if formula.mines or formula.strategy not in strategies:
            return False
        if formula.strategy == "sorted" and weights is not None and str(weights.dtype) != "bool":
            return False
        if formula.reduction == "none" or formula.view.activation != "softmax":
            return False
        if not -logits.ndim <= axis < logits.ndim or logits.shape[axis] < 2:
            return False
    return any(weight != 0.0 for weight, _ in call.terms)


def whole(lib: Library, batch: Batch) -> Block:
    """Return the whole batch as one block."""
    xp = batch.xp
    images, classes, *space = batch.logits.shape
    classes, pixels = number_of(classes), math.prod(space)
    flat = (images, pixels)
    return Block(
        lib,
        (images, classes, pixels),
        compute_dtype(xp, batch.logits.dtype),
        device(batch.target),
        not batch.soft,
        lambda: xp.reshape(batch.logits, (images, classes, pixels)),
        xp.reshape(batch.target, flat if batch.labelled else (images, classes, pixels)),
        None if batch.pixel_weights is None else xp.reshape(batch.pixel_weights, flat),
    )


def check_values(lib: Library, terms: Terms, batches: list[Batch]) -> None:
    """Raise a ValueError for bad values in NumPy arrays, each batch as its loss sees it."""
    checked = set()
    for (_, formula), batch in zip(terms, batches, strict=True):
        key = (formula.class_axis, formula.view)
        if key not in checked:
            checked.add(key)
            pixels = Pixels(whole(lib, batch), formula.view, Mode(can_inspect=True))
            _ = pixels.read_target if formula.view.activation else pixels.logits

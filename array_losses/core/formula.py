"""What a loss offers to the engine, and the plain formula value(totals) of a whole batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from array_losses.core import arguments
from array_losses.core.block import Block, View
from array_losses.core.namespace import (
    Array,
    Namespace,
    compute_dtype,
    device,
    number_of,
    quotient,
)
from array_losses.core.pixels import Pixels
from array_losses.core.threads import Map

__all__ = [
    "AllReduce",
    "Formula",
    "Terms",
    "Totals",
    "divide",
    "evaluate",
    "finish",
    "inspect",
    "prepare",
    "weighted_sum",
    "whole",
]

AllReduce: TypeAlias = Callable[[Array], Array]
Totals: TypeAlias = tuple[Array, ...]
Fraction: TypeAlias = tuple[Array, Array | None]


class Formula(Protocol):
    """A loss as three small pieces: totals, value and slope."""

    @property
    def class_axis(self) -> int:
        """The axis of the logits that holds the classes."""

    @property
    def reduction(self) -> str:
        """How losses become one number, or "none"."""

    @property
    def view(self) -> View:
        """How it looks at pixels."""

    @property
    def additive(self) -> bool:
        """Whether the totals of two pieces of an image add up to the totals of the image."""

    @property
    def by_class(self) -> bool:
        """Whether value and slope together come best from all pixels of one class at a time."""

    @property
    def pixelwise(self) -> bool:
        """Whether it is a sum over pixels, so that its slope needs no totals but the divisor."""

    @property
    def per_image(self) -> bool:
        """Whether totals are kept for each image: (images, n) in place of (1, n)."""

    @property
    def mapped(self) -> bool:
        """Whether the value is a map over pixels; then it comes from `pixel_losses` alone."""

    @property
    def selects(self) -> bool:
        """Whether only some pixels count, chosen by comparing those of the whole batch."""

    @property
    def by_label(self) -> bool:
        """Whether, with labels, it reads the probabilities of the label and sums by class alone."""

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""

    def pixel_losses(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel, (images, 1, pixels); only where `mapped`."""

    def totals(self, pixels: Pixels) -> Totals:
        """Return what must be summed over pixels."""

    def summed(self, pixels: Pixels) -> Array:
        """Return the block's part of the numerator, (1, 1); only where `pixelwise`."""

    def divisor(self, pixels: Pixels) -> Array:
        """Return the block's part of the divisor, (1, 1); only where `pixelwise`."""

    def value(self, xp: Namespace, totals: Totals) -> Fraction:
        """Return the loss as a numerator and a divisor (None for 1) that no logit moves."""

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d totals, given `d` = d loss / d numerator."""

    def slope(self, pixels: Pixels, rates: Totals) -> Array:
        """Return d loss / d logits for these pixels; only where `additive`."""

    # Where it `selects`, before all else:

    def hardness(self, pixels: Pixels) -> Array:
        """Return by what pixels are compared, (images, 1, pixels); -inf for one never chosen."""

    def choose(self, xp: Namespace, hardness: Array) -> Array:
        """Return which pixels count, from the hardness of all, (1, 1, pixels)."""

    # Where `by_class`, in place of the slope:

    def errors(self, pixels: Pixels) -> Array:
        """Return how wrong each pixel is about each class, never below 0."""

    def one_class(
        self, xp: Namespace, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss and mass of one class, (1, 1), and d loss / d errors.

        Arrays are (rows, 1, pixels), all rows of one image or batch. What is returned may lie in
        place of the errors, and be worked out by `each`, which calls a function for each of a list.
        """

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits from d loss / d errors."""


Terms: TypeAlias = tuple[tuple[float, Formula], ...]


def divide(xp: Namespace, numerator: Array, divisor: Array | None) -> Array:
    """Return the quotient, 0 where the divisor is 0: nothing is counted there.

    But NaN where the numerator is NaN, which must not be hidden.
    """
    if divisor is None:
        return numerator
    nothing = divisor == 0.0
    counted = ~nothing | xp.isnan(numerator)
    return quotient(xp, xp.where(counted, numerator, 0.0), xp.where(nothing, 1.0, divisor))


def exchange(xp: Namespace, all_reduce: AllReduce, many: Sequence[Totals]) -> list[Totals]:
    """Return all totals summed over devices, in one call of `all_reduce` on one flat array."""
    flat = [xp.reshape(one, (-1,)) for totals in many for one in totals]
    if not flat:
        return list(many)
    mine = xp.concat(flat)
    summed = all_reduce(mine)
    if getattr(summed, "shape", None) != mine.shape:
        found = getattr(summed, "shape", summed)
        msg = (
            f"`all_reduce` must return the sum over devices, an array of shape {mine.shape}, "
            f"got {found}."
        )
        raise ValueError(msg)
    result, start = [], 0
    for totals in many:
        pieces = []
        for one in totals:
            stop = start + math.prod(one.shape)
            pieces.append(xp.reshape(summed[start:stop], one.shape))
            start = stop
        result.append(tuple(pieces))
    return result


def finish(
    xp: Namespace,
    formulas: Sequence[Formula],
    totals: Sequence[Totals],
    all_reduce: AllReduce | None,
) -> tuple[list[Totals], list[Fraction]]:
    """Return the totals over all devices, and each loss as numerator and divisor.

    Totals of the batch are exchanged before the value is taken. With one loss an image the totals
    stay at home, and what is exchanged is the sum of the images' losses and their number.
    """
    totals = list(totals)
    if all_reduce is None:
        return totals, [f.value(xp, t) for f, t in zip(formulas, totals, strict=True)]
    pooled = [i for i, formula in enumerate(formulas) if not formula.per_image]
    mine = exchange(xp, all_reduce, [totals[i] for i in pooled])
    for i, summed in zip(pooled, mine, strict=True):
        totals[i] = summed
    fractions = [f.value(xp, t) for f, t in zip(formulas, totals, strict=True)]
    apart = [i for i, f in enumerate(formulas) if f.per_image and f.reduction != "none"]
    mine = exchange(xp, all_reduce, [_present(fractions[i]) for i in apart])
    for i, summed in zip(apart, mine, strict=True):
        fractions[i] = (summed[0], summed[1] if len(summed) > 1 else None)
    return totals, fractions


def _present(fraction: Fraction) -> Totals:
    return tuple(part for part in fraction if part is not None)


def prepare(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None,
) -> list[arguments.Batch]:
    """Return the checked arrays as each loss sees them."""
    if not (all_reduce is None or callable(all_reduce)):
        msg = f"`all_reduce` must be callable or None, got {all_reduce!r}."
        raise TypeError(msg)
    batches: dict[int, arguments.Batch] = {}
    result = []
    unread = all(weight == 0.0 for weight, _ in terms)
    for _, formula in terms:
        axis = formula.class_axis
        if axis not in batches:
            batch = arguments.check(logits, target, pixel_weights, class_axis=axis)
            batches[axis] = batch.without_logits() if unread else batch
        batch = batches[axis]
        formula.check_classes(batch.logits.shape[1], soft=batch.soft)
        if all_reduce is not None and formula.selects:
            msg = (
                f"`all_reduce` cannot serve {formula}: it compares the pixels of the whole batch, "
                "and totals do not tell which are the hardest; without `all_reduce` each device "
                "chooses from its own."
            )
            raise ValueError(msg)
        if all_reduce is not None and not (formula.additive or formula.per_image):
            msg = (
                f"`all_reduce` cannot serve {formula}: it sorts the pixels of the whole batch, so "
                'its totals do not add up over devices; use pool="image" or `bins`.'
            )
            raise ValueError(msg)
        result.append(batch)
    return result


def whole(batch: arguments.Batch) -> Block:
    """Return the whole batch as one block."""
    xp = batch.xp
    images, classes, *space = batch.logits.shape
    classes, pixels = number_of(classes), math.prod(space)
    flat = (images, pixels)
    return Block(
        xp,
        (images, classes, pixels),
        compute_dtype(xp, batch.logits.dtype),
        device(batch.target),
        not batch.soft,
        lambda: xp.reshape(batch.logits, (images, classes, pixels)),
        xp.reshape(batch.target, flat if batch.labelled else (images, classes, pixels)),
        None if batch.pixel_weights is None else xp.reshape(batch.pixel_weights, flat),
    )


def inspect(terms: Terms, batches: Sequence[arguments.Batch]) -> None:
    """Raise a ValueError for bad values in NumPy arrays, each batch as its loss sees it."""
    inspected = set()
    for (_, formula), batch in zip(terms, batches, strict=True):
        key = (formula.class_axis, formula.view)
        if key not in inspected:
            inspected.add(key)
            pixels = Pixels(whole(batch), formula.view, look=True, traced=False)
            _ = pixels.counted if formula.view.activation else pixels.logits


def weighted_sum(terms: Terms, values: Sequence[Array]) -> Array:
    """Return the sum of weight times value."""
    total = None
    for (weight, formula), value in zip(terms, values, strict=True):
        if total is not None and total.shape != value.shape:
            msg = (
                f'`reduction` "none" gives the shape {tuple(value.shape)} for {formula}, but '
                f"{tuple(total.shape)} for the losses before it: they cannot be added."
            )
            raise ValueError(msg)
        weighted = value if weight == 1.0 else weight * value
        total = weighted if total is None else total + weighted
    return total


def evaluate(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None = None,
) -> Array:
    """Return the weighted sum by the plain formula, for the framework to differentiate."""
    return weighted_sum(terms, each_value(terms, logits, target, pixel_weights, all_reduce))


def each_value(
    terms: Terms,
    logits: Array,
    target: Array,
    pixel_weights: Array | None,
    all_reduce: AllReduce | None = None,
) -> list[Array]:
    """Return the values of the losses in a sum by the plain formula, without their weights."""
    batches = prepare(terms, logits, target, pixel_weights, all_reduce)
    xp = batches[0].xp
    seen: dict[tuple[int, View], Pixels] = {}
    values: list[Array] = []
    summed: list[tuple[Formula, Totals]] = []
    dtype = compute_dtype(xp, logits.dtype)
    for (_, formula), batch in zip(terms, batches, strict=True):
        key = (formula.class_axis, formula.view)
        if key not in seen:
            seen[key] = Pixels(whole(batch), formula.view, look=False, traced=True)
        pixels = _chosen(formula, seen[key]) if formula.selects else seen[key]
        if formula.mapped:
            shape = (batch.logits.shape[0], *batch.logits.shape[2:])
            values.append(xp.reshape(formula.pixel_losses(pixels), shape))
        else:
            values.append(None)
            summed.append((formula, formula.totals(pixels)))
    _, fractions = finish(xp, [f for f, _ in summed], [t for _, t in summed], all_reduce)
    found = iter(fractions)
    values = [divide(xp, *next(found)) if value is None else value for value in values]
    # Totals may be wider than what they are the totals of.
    return [xp.astype(value, dtype, copy=False) for value in values]


def _chosen(formula: Formula, pixels: Pixels) -> Pixels:
    """Return those of all pixels that count."""
    xp, hardness = pixels.xp, formula.hardness(pixels)
    chosen = formula.choose(xp, xp.reshape(hardness, (1, 1, -1)))
    return pixels.only(xp.reshape(chosen, hardness.shape))

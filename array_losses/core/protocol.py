"""What a loss offers to its evaluation, and what all evaluations have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from array_losses.core import arguments
from array_losses.core.block import View
from array_losses.core.derivative import Derivative
from array_losses.core.library import Library
from array_losses.core.namespace import Array, Namespace, quotient
from array_losses.core.pixels import Pixels
from array_losses.core.threads import Map

__all__ = [
    "AllReduce",
    "Call",
    "Formula",
    "Fraction",
    "LossByClass",
    "Strategy",
    "Sums",
    "Terms",
    "divide",
    "finish",
    "is_map",
    "prepare",
    "weighted_sum",
]

AllReduce: TypeAlias = Callable[[Array], Array]
# Arrays (1, n), or (images, n) of a loss with sums of each image; a number is known from sizes.
Sums: TypeAlias = tuple[Array, ...]
Strategy: TypeAlias = Literal["pixel", "sums", "sorted", "histogram"]


class Fraction(NamedTuple):
    """A loss as a numerator and a divisor (None for 1), and what `grad_sums` needs: small arrays.

    The value and its derivative have much in common, and on a GPU an operation on a few numbers
    takes as long as one on a million.
    """

    numerator: Array
    divisor: Array | float | None
    kept: tuple[Any, ...]


class LossByClass(NamedTuple):
    """In place of sums over pixels: the loss and the support of each class, (images or 1, classes).

    What remains of "sorted" and "histogram" losses whose classes were taken one by one.
    """

    losses: Array
    support: Array


class Formula(Protocol):
    """A loss; `losses.base.Loss` says what each member must satisfy."""

    @property
    def class_axis(self) -> int:
        """The axis of the logits that holds the classes."""

    @property
    def reduction(self) -> str:
        """How losses become one number, or "none"."""

    @property
    def view(self) -> View:
        """How it sees pixels."""

    @property
    def strategy(self) -> Strategy:
        """How value and derivative are found."""

    @property
    def per_image(self) -> bool:
        """Whether there are sums of each image."""

    @property
    def mines(self) -> bool:
        """Whether only the hardest pixels count."""

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""

    def sums_of(self, pixels: Pixels) -> Sums:
        """Return what must be summed over pixels."""

    def fraction(self, xp: Namespace, sums: Sums, *, autodiff: bool) -> Fraction:
        """Return the loss; with `autodiff`, so that the framework can differentiate it."""

    def grad_sums(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d sums, from what `fraction` kept."""

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d what it reads of a block."""

    # "pixel":

    def pixel_losses(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel, (images, 1, pixels)."""

    def divisor(self, pixels: Pixels) -> Array | float:
        """Return the block's part of the divisor, (1, 1), or a number."""

    # Where it mines, before all else:

    def hardness(self, pixels: Pixels) -> Array:
        """Return by what pixels are compared, (images, 1, pixels); -inf for one never chosen."""

    def hardest(self, lib: Library, hardness: Array) -> Array:
        """Return which pixels count, from the hardness of all, (1, 1, pixels)."""

    # "sorted" and "histogram":

    def errors(self, pixels: Pixels) -> Array:
        """Return how wrong each pixel is about each class, never below 0."""

    def one_class(
        self, lib: Library, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss and support of one class, (1, 1), and d loss / d errors.

        Arrays are (rows, 1, pixels), all rows of one image or batch. What is returned may lie in
        place of the errors, and be worked out by `each`, which calls a function for each of a list.
        """

    def at_once(self, pixels: Pixels) -> tuple[Sums, Array]:
        """Return loss and support of each class of a whole batch, and d loss / d errors.

        For compilers: nothing is written in place. Of labels, each of which counts 1 or not at all.
        """

    def all_classes(
        self, lib: Library, errors: Array, target: Array, counted: Array | None
    ) -> tuple[Array, Array, Array]:
        """Return loss and support of several classes, (rows, classes), and d loss / d errors.

        Of arrays (rows, classes, pixels) on a device: the pixels of the batch in one row, or of an
        image in each. The target is bool where it is hard. `counted` says how much each pixel
        counts: bool where that is 0 or 1, None where all count.
        """

    def error_derivative(self, pixels: Pixels, d: Array) -> Derivative:
        """Return the derivative from d loss / d errors."""


Terms: TypeAlias = tuple[tuple[float, Formula], ...]


class Call(NamedTuple):
    """A sum of losses and the arrays of a call."""

    terms: Terms
    logits: Array
    target: Array
    pixel_weights: Array | None = None
    all_reduce: AllReduce | None = None

    @property
    def arrays(self) -> tuple[Array, Array, Array | None]:
        """Logits, target and pixel weights."""
        return self.logits, self.target, self.pixel_weights


def is_map(formula: Formula) -> bool:
    """Return whether the value is a map over pixels; then it comes from `pixel_losses` alone."""
    return formula.strategy == "pixel" and formula.reduction == "none"


def divide(xp: Namespace, numerator: Array, divisor: Array | float | None) -> Array:
    """Return the quotient, to be differentiated, 0 where the divisor is 0: nothing is counted.

    But NaN where the numerator is NaN, which must not be hidden.
    """
    if divisor is None:
        return numerator
    if isinstance(divisor, float):
        return numerator / (divisor or 1.0)
    nothing = divisor == 0.0
    counted = ~nothing | xp.isnan(numerator)
    return quotient(xp, xp.where(counted, numerator, 0.0), xp.where(nothing, 1.0, divisor))


def exchange(xp: Namespace, all_reduce: AllReduce, many: Sequence[Sums]) -> list[Sums]:
    """Return all sums summed over devices, in one call of `all_reduce` on one flat array."""
    flat = [xp.reshape(one, (-1,)) for sums in many for one in sums]
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
    for sums in many:
        pieces = []
        for one in sums:
            stop = start + math.prod(one.shape)
            pieces.append(xp.reshape(summed[start:stop], one.shape))
            start = stop
        result.append(tuple(pieces))
    return result


def finish(
    xp: Namespace,
    formulas: Sequence[Formula],
    sums: Sequence[Sums],
    all_reduce: AllReduce | None,
    *,
    autodiff: bool = False,
) -> list[Fraction]:
    """Return each loss, from the sums over all devices.

    Sums of the batch are exchanged before the value is taken. With one loss per image the sums stay
    at home, and what is exchanged is the sum of the images' losses and their number.
    """
    sums = list(sums)
    if all_reduce is not None:
        pooled = [i for i, formula in enumerate(formulas) if not formula.per_image]
        mine = exchange(xp, all_reduce, [sums[i] for i in pooled])
        for i, summed in zip(pooled, mine, strict=True):
            sums[i] = summed
    pairs = zip(formulas, sums, strict=True)
    fractions = [formula.fraction(xp, one, autodiff=autodiff) for formula, one in pairs]
    if all_reduce is None:
        return fractions
    apart = [i for i, f in enumerate(formulas) if f.per_image and f.reduction != "none"]
    mine = exchange(xp, all_reduce, [_present(fractions[i]) for i in apart])
    for i, summed in zip(apart, mine, strict=True):
        divisor = summed[1] if len(summed) > 1 else None
        fractions[i] = fractions[i]._replace(numerator=summed[0], divisor=divisor)
    return fractions


def _present(fraction: Fraction) -> Sums:
    return tuple(part for part in fraction[:2] if part is not None)


def prepare(lib: Library, call: Call) -> list[arguments.Batch]:
    """Return the checked arrays as each loss sees them."""
    terms, all_reduce = call.terms, call.all_reduce
    if not (all_reduce is None or callable(all_reduce)):
        msg = f"`all_reduce` must be callable or None, got {all_reduce!r}."
        raise TypeError(msg)
    batches: dict[int, arguments.Batch] = {}
    result = []
    unread = all(weight == 0.0 for weight, _ in terms)
    for _, formula in terms:
        axis = formula.class_axis
        if axis not in batches:
            batch = arguments.check(lib, *call.arrays, class_axis=axis)
            batches[axis] = batch.without_logits() if unread else batch
        batch = batches[axis]
        formula.check_classes(batch.logits.shape[1], soft=batch.soft)
        if all_reduce is not None:
            _check_adds_up(formula)
        result.append(batch)
    return result


def _check_adds_up(formula: Formula) -> None:
    """Raise a ValueError if sums over devices do not tell the loss."""
    if formula.mines:
        msg = (
            f"`all_reduce` cannot serve {formula}: it compares the pixels of the whole batch, "
            "and sums do not tell which are the hardest; without `all_reduce` each device "
            "chooses from its own."
        )
        raise ValueError(msg)
    if formula.strategy == "sorted" and not formula.per_image:
        msg = (
            f"`all_reduce` cannot serve {formula}: it sorts the pixels of the whole batch, so "
            'its sums do not add up over devices; use pool="image" or `bins`.'
        )
        raise ValueError(msg)


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

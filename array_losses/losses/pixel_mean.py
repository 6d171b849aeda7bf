"""Losses that are a sum over pixels: the target terms of each, and their mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core import options
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array, Namespace
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Strategy, Sums
from array_losses.core.target_terms import Term, target_terms
from array_losses.losses.base import Activation, Loss, PerClass

__all__ = ["NORMALIZE", "Normalize", "Numbers", "PixelLoss", "SidedLoss", "numbers", "product"]

Normalize: TypeAlias = Literal[
    "weights",
    "valid",
    "all",
    "valid_pixels",
    "all_pixels",
    "valid_elements",
    "all_elements",
]
Numbers: TypeAlias = float | tuple[float, ...]

NORMALIZE = (
    "weights",
    "valid",
    "all",
    "valid_pixels",
    "all_pixels",
    "valid_elements",
    "all_elements",
)


@dataclass(frozen=True, kw_only=True)
class PixelLoss(Loss):
    """A loss that is a sum over pixels, and its mean."""

    activation: Activation = "softmax"
    normalize: Normalize = "weights"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("normalize", self.normalize, self.divisors)

    @property
    def divisors(self) -> tuple[str, ...]:
        """The values that `normalize` may have."""
        return NORMALIZE

    @property
    def strategy(self) -> Strategy:
        """One pass: the divisor of the mean does not depend on the logits."""
        return "pixel"

    def terms_of(self, pixels: Pixels) -> tuple[Term, ...]:
        """Return the target terms of each pixel."""
        return target_terms(pixels)

    def factor(self, term: Term) -> Array | float:
        """Return the constant with which a term counts."""
        raise NotImplementedError

    def may_be_0(self, term: Term) -> bool:
        """Return whether the factor may be 0."""
        return False

    def pixel_loss(self, term: Term) -> Array:
        """Return the loss of a term that the target says."""
        raise NotImplementedError

    def pixel_derivative(self, term: Term) -> tuple[Array | float, Array | None]:
        """Return the derivative of `pixel_loss` in two parts, both by log p, which are added.

        The part that comes from `log_p`, and the part that comes from p (None for 0). A soft target
        may use different means for the two.
        """
        raise NotImplementedError

    def pixel_losses(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel, (images, 1, pixels)."""
        total = None
        for term, factor in self._with_factors(pixels):
            each = term.weighted(factor, self.pixel_loss(term))
            if each.shape[1] != 1:
                each = pixels.xp.sum(each, axis=1, keepdims=True)
            total = each if total is None else total + each
        return total

    def summed(self, pixels: Pixels) -> Array:
        """Return the summed losses of a block, (1, 1)."""
        return pixels.xp.sum(self.pixel_losses(pixels))[None, None]

    def sums_of(self, pixels: Pixels) -> Sums:
        """Return the summed losses and the divisor of their mean."""
        return self.summed(pixels), self.divisor(pixels)

    def divisor(self, pixels: Pixels) -> Array | float:
        """Return the weight of a block in the divisor of the mean: an array (1, 1).

        A number where sizes alone tell it.
        """
        xp, factors = pixels.xp, self.class_factors(pixels.num_classes)
        _, classes, _ = pixels.shape
        what, _, unit = self.normalize.partition("_")
        by_class = unit == "elements" or (unit == "" and not pixels.multiclass)
        if what == "all":
            each = (classes if self.include_background else classes - 1) if by_class else 1
            if pixels.chosen is not None:
                return float(each) * pixels.number_chosen()
            return _number(pixels, each)
        if pixels.multiclass and what == "weights" and not self._counts_pixels(pixels):
            counted = pixels.one_hot
            if factors != 1.0:
                counted = pixels.of_target(pixels.per_class(_spread(pixels, factors)))
            return xp.sum(pixels.sum(counted), axis=1, keepdims=True)
        factors = factors if what == "weights" else self.foreground(classes)
        if pixels.weights is None:
            return _number(pixels, sum(_spread(pixels, factors)) if by_class else 1)
        counts = pixels.counts(by_class=by_class)
        if by_class:
            counts = _times(pixels, factors, counts[:, :, None])[:, :, 0]
        return xp.sum(counts, axis=1, keepdims=True)

    def _counts_pixels(self, pixels: Pixels) -> bool:
        """Return whether every pixel has one class, and all classes weigh 1."""
        return pixels.labelled and self.class_factors(pixels.num_classes) == 1.0

    def foreground(self, num_classes: int) -> Numbers:
        """Return 1 for each class that counts, 0 for a background left out."""
        return 1.0 if self.include_background else (0.0, *(1.0,) * (num_classes - 1))

    def value_of(self, xp: Namespace, sums: Sums) -> tuple[Array, Array | float | None]:
        """Return the sum of the losses and, for the mean, its divisor."""
        losses, divisor = sums
        if self.reduction != "mean":
            return losses[0, 0], None
        return losses[0, 0], divisor if isinstance(divisor, float) else divisor[0, 0]

    def grad_sums(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d summed losses."""
        return (d,)

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d probabilities; `grad_sums` may also hold a map over the pixels."""
        total, d = Derivative(), grad_sums[0]
        for term, factor in self._with_factors(pixels):
            total = total + term.derivative(factor, d, *self.pixel_derivative(term))
        return total

    def _with_factors(self, pixels: Pixels) -> Iterator[tuple[Term, Array | float]]:
        for term in self.terms_of(pixels):
            factor = self.factor(term)
            is_0 = factor == 0.0 if isinstance(factor, float) else self.may_be_0(term)
            yield (term.without_log_0(factor) if is_0 else term), factor


@dataclass(frozen=True, kw_only=True)
class SidedLoss(PixelLoss):
    """A pixel loss whose positive side may weigh more than its negative one."""

    pos_weight: PerClass | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        if self.pos_weight is not None:
            self._set(pos_weight=options.per_class_or_number("pos_weight", self.pos_weight))
            if self.activation == "softmax":
                msg = '`pos_weight` must be None with activation="softmax"; use `class_weights`.'
                raise ValueError(msg)

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number per class."""
        return ("pos_weight",)

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if self.pos_weight is not None and self.activation is None and num_classes > 1:
            msg = "`pos_weight` must be None where several classes exclude each other."
            raise ValueError(msg)

    def sides(self, term: Term) -> tuple[Numbers, Numbers]:
        """Return the factors of "it is there" and of "it is not", one per class or one for all."""
        factors = self.class_factors(term.pixels.num_classes)
        return product(factors, numbers(self.pos_weight)), factors

    def factor(self, term: Term) -> Array | float:
        """Return the class weight, times pos_weight where the class is there."""
        return term.choose(*self.sides(term))

    def may_be_0(self, term: Term) -> bool:
        """Return whether a class, or a side of it, weighs 0."""
        sides = self.sides(term)
        return any(side == 0.0 if isinstance(side, float) else 0.0 in side for side in sides)


def _number(pixels: Pixels, each: float) -> Array | float:
    """Return the number of pixels times that of each."""
    images, _, count = pixels.shape
    if not pixels.mode.traced:
        return float(images * count * each)
    # Of a size that a compiler leaves open there is no float.
    xp, number = pixels.xp, images * count
    return each * xp.full((1, 1), number, dtype=pixels.dtype, device=pixels.device)


def _times(pixels: Pixels, values: Numbers, x: Array) -> Array:
    return x if values == 1.0 else pixels.per_class(_spread(pixels, values)) * x


def _spread(pixels: Pixels, values: Numbers) -> tuple[float, ...]:
    return options.for_classes("values", values, pixels.num_classes)


def product(a: Numbers, b: Numbers) -> Numbers:
    """Return the product of two numbers, or of two lists of one per class."""
    if isinstance(a, float):
        return a * b if isinstance(b, float) else tuple(a * one for one in b)
    many = (b,) * len(a) if isinstance(b, float) else b
    return tuple(x * y for x, y in zip(a, many, strict=True))


def numbers(value: PerClass | None) -> Numbers:
    """Return a factor as a float or a tuple of floats, 1.0 for None."""
    if value is None:
        return 1.0
    return tuple(value) if isinstance(value, Sequence) else float(value)

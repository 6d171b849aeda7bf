"""How one loss a pixel becomes one number: outcomes and their shares, and the mean over pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from array_losses.core import options
from array_losses.core.formula import Fraction, Totals
from array_losses.core.namespace import Array, Namespace
from array_losses.core.outcomes import Outcome, outcomes
from array_losses.core.pixels import Pixels
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
        options.choice("activation", self.activation, ("softmax", "sigmoid", None))
        options.choice("normalize", self.normalize, self.divisors)

    additive = True
    by_class = False
    per_image = False

    @property
    def divisors(self) -> tuple[str, ...]:
        """The values that `normalize` may have."""
        return NORMALIZE

    @property
    def pixelwise(self) -> bool:
        """Whether no logit moves the divisor of the mean."""
        return True

    @property
    def mapped(self) -> bool:
        """Whether the value is a map over pixels."""
        return self.reduction == "none"

    def outcomes(self, pixels: Pixels) -> tuple[Outcome, ...]:
        """Return what can be so at each pixel."""
        return outcomes(pixels)

    def factor(self, outcome: Outcome) -> Array | float:
        """Return the constant with which an outcome counts."""
        raise NotImplementedError

    def silences(self, outcome: Outcome) -> bool:
        """Return whether the factor may be 0."""
        return False

    def surprise(self, outcome: Outcome) -> Array:
        """Return the loss of an outcome that is so."""
        raise NotImplementedError

    def rate(self, outcome: Outcome) -> Array | float:
        """Return d surprise / d log p."""
        raise NotImplementedError

    def pixel_losses(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel, (images, 1, pixels)."""
        total = None
        for outcome, factor in self._with_factors(pixels):
            each = outcome.weighted(factor, self.surprise(outcome))
            if each.shape[1] != 1:
                each = pixels.xp.sum(each, axis=1, keepdims=True)
            total = each if total is None else total + each
        return total

    def summed(self, pixels: Pixels) -> Array:
        """Return the summed losses of a block, (1, 1)."""
        return pixels.xp.sum(self.pixel_losses(pixels))[None, None]

    def totals(self, pixels: Pixels) -> Totals:
        """Return the summed losses and the divisor of their mean."""
        return self.summed(pixels), self.divisor(pixels)

    def divisor(self, pixels: Pixels) -> Array:
        """Return the weight of a block in the divisor of the mean, (1, 1)."""
        xp, omega = pixels.xp, self.omega(pixels.num_classes)
        images, classes, count = pixels.shape
        what, _, unit = self.normalize.partition("_")
        by_class = unit == "elements" or (unit == "" and not pixels.exclusive)
        if what == "all":
            each = (classes if self.include_background else classes - 1) if by_class else 1
            if pixels.chosen is not None:
                return float(each) * pixels.number_chosen()
            # Not as a float: of a size that a compiler leaves open there is none.
            number = images * count * each
            return xp.full((1, 1), number, dtype=pixels.dtype, device=pixels.device)
        if pixels.exclusive and what == "weights" and not self._counts_pixels(pixels):
            return xp.sum(pixels.sum(_times(pixels, omega, pixels.share)), axis=1, keepdims=True)
        counts = pixels.counts(by_class=by_class)
        if by_class:
            factors = omega if what == "weights" else self.foreground(classes)
            counts = _times(pixels, factors, counts[:, :, None])[:, :, 0]
        return xp.sum(counts, axis=1, keepdims=True)

    def _counts_pixels(self, pixels: Pixels) -> bool:
        """Return whether every pixel has one class, and all classes weigh 1."""
        return pixels.labelled and self.omega(pixels.num_classes) == 1.0

    def foreground(self, num_classes: int) -> Numbers:
        """Return 1 for each class that counts, 0 for a background left out."""
        return 1.0 if self.include_background else (0.0, *(1.0,) * (num_classes - 1))

    def value(self, xp: Namespace, totals: Totals) -> Fraction:
        """Return the sum of the losses and, for the mean, its divisor."""
        losses, divisor = (total[0, 0] for total in totals)
        return losses, divisor if self.reduction == "mean" else None

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d summed losses."""
        return (d,)

    def slope(self, pixels: Pixels, rates: Totals) -> Array:
        """Return d loss / d logits; `rates` may also hold a map over the pixels."""
        total = None
        for outcome, factor in self._with_factors(pixels):
            rate = self.rate(outcome) * rates[0]
            each = outcome.backward(outcome.weighted(factor, rate))
            total = each if total is None else total + each
        return total

    def _with_factors(self, pixels: Pixels) -> Iterator[tuple[Outcome, Array | float]]:
        for outcome in self.outcomes(pixels):
            factor = self.factor(outcome)
            silenced = factor == 0.0 if isinstance(factor, float) else self.silences(outcome)
            yield (outcome.kept_from_log_0(factor) if silenced else outcome), factor


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

    @property
    def by_label(self) -> bool:
        """Whether, with labels, it reads the probabilities of the label alone."""
        return True

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number a class."""
        return ("pos_weight",)

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if self.pos_weight is not None and self.activation is None and num_classes > 1:
            msg = "`pos_weight` must be None where several classes exclude each other."
            raise ValueError(msg)

    def sides(self, outcome: Outcome) -> tuple[Numbers, Numbers]:
        """Return the factors of "it is there" and of "it is not", one a class or one for all."""
        omega = self.omega(outcome.pixels.num_classes)
        return product(omega, numbers(self.pos_weight)), omega

    def factor(self, outcome: Outcome) -> Array | float:
        """Return the class weight, times pos_weight where the class is there."""
        return outcome.choose(*self.sides(outcome))

    def silences(self, outcome: Outcome) -> bool:
        """Return whether a class, or a side of it, weighs 0."""
        sides = self.sides(outcome)
        return any(side == 0.0 if isinstance(side, float) else 0.0 in side for side in sides)


def _times(pixels: Pixels, values: Numbers, x: Array) -> Array:
    return x if values == 1.0 else pixels.per_class(_spread(pixels, values)) * x


def _spread(pixels: Pixels, values: Numbers) -> tuple[float, ...]:
    return options.for_classes("values", values, pixels.num_classes)


def product(a: Numbers, b: Numbers) -> Numbers:
    """Return the product of two numbers, or of two lists of one a class."""
    if isinstance(a, float):
        return a * b if isinstance(b, float) else tuple(a * one for one in b)
    many = (b,) * len(a) if isinstance(b, float) else b
    return tuple(x * y for x, y in zip(a, many, strict=True))


def numbers(value: PerClass | None) -> Numbers:
    """Return a factor as a float or a tuple of floats, 1.0 for None."""
    if value is None:
        return 1.0
    return tuple(value) if isinstance(value, Sequence) else float(value)

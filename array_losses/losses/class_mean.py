"""How one loss a class becomes one number: which classes count, and their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from array_losses.core import options
from array_losses.core.formula import Fraction, Totals, divide
from array_losses.core.namespace import Array, Namespace, device
from array_losses.losses.base import Loss

__all__ = ["Absent", "ClassLoss", "ClassNormalize", "ClassPool", "Pool"]

Pool: TypeAlias = Literal["batch", "image"]
ClassPool: TypeAlias = Literal["batch", "image", "batch+class", "image+class"]
Absent: TypeAlias = Literal["skip", "keep", "zero"]
ClassNormalize: TypeAlias = Literal["weights", "classes"]


@dataclass(frozen=True, kw_only=True)
class ClassLoss(Loss):
    """A loss that is one number a class, averaged over the classes that count.

    The first entries of the totals decide the losses of the classes; subclasses give those as
    `class_losses`, the target's mass as `mass` and the derivative as `class_rates`.
    """

    pool: ClassPool = "batch"
    absent: Absent = "skip"
    normalize: ClassNormalize = "weights"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("pool", self.pool, self.pools)
        options.choice("absent", self.absent, self.absents)
        options.choice("normalize", self.normalize, ("weights", "classes"))

    mapped = False
    by_class = False
    pixelwise = False

    @property
    def pools(self) -> tuple[str, ...]:
        """The values that `pool` may have."""
        return "batch", "image"

    @property
    def absents(self) -> tuple[str, ...]:
        """The values that `absent` may have."""
        return "skip", "keep", "zero"

    @property
    def per_image(self) -> bool:
        """Whether totals are kept for each image."""
        return self.pool.startswith("image")

    @property
    def over_classes(self) -> bool:
        """Whether the totals of the classes are added up to those of one."""
        return self.pool.endswith("+class")

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class, (images or 1, classes)."""
        raise NotImplementedError

    def mass(self, xp: Namespace, totals: Totals) -> Array:
        """Return the target's mass of each class: 0 if absent, NaN if a NaN is in the class."""
        raise NotImplementedError

    def class_rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d totals from `d` = d loss / d class losses."""
        raise NotImplementedError

    def pooled(self, xp: Namespace, totals: Totals) -> Totals:
        """Return the totals, added up over the classes where `pool` says so."""
        if not self.over_classes:
            return totals
        for factor in self.pool_factors(xp, totals):
            totals = tuple(xp.where(factor == 0.0, 0.0, factor * total) for total in totals)
        return tuple(xp.sum(total, axis=1, keepdims=True) for total in totals)

    def unpooled(self, xp: Namespace, totals: Totals, rates: Totals) -> Totals:
        """Return d loss / d totals from d loss / d `pooled` totals."""
        if not self.over_classes:
            return rates
        for factor in self.pool_factors(xp, totals):
            rates = tuple(factor * rate for rate in rates)
        return rates

    def pool_factors(self, xp: Namespace, totals: Totals) -> Totals:
        """Return the weight of each class in sums over classes, as factors of it."""
        return (self._class_weights(xp, totals[0]),)

    def value(self, xp: Namespace, totals: Totals) -> Fraction:
        """Return the losses of the classes, reduced."""
        totals = self.pooled(xp, totals)
        losses = self.class_losses(xp, totals)
        each, share = self._weights(xp, totals)
        contributions = xp.where(each == 0.0, 0.0, each * losses)
        if self.reduction == "none":
            if self.over_classes:
                contributions = contributions[:, 0]
            return contributions if self.per_image else contributions[0, ...], None
        if self.reduction == "sum":
            return xp.sum(contributions), None
        divisor = xp.sum(share, axis=1)
        if not self.per_image:
            return xp.sum(contributions), divisor[0]
        means = divide(xp, xp.sum(contributions, axis=1), divisor)
        return xp.sum(means), xp.sum(xp.where(divisor == 0.0, 0.0, xp.ones_like(divisor)))

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d totals."""
        pooled = self.pooled(xp, totals)
        each, share = self._weights(xp, pooled)
        if self.reduction == "mean" and self.per_image:
            each = divide(xp, each, xp.sum(share, axis=1, keepdims=True))
        if self.over_classes and self.per_image and self.reduction == "none":
            d = d[:, None]
        return self.unpooled(xp, totals, self.class_rates(xp, pooled, d * each))

    def _weights(self, xp: Namespace, pooled: Totals) -> tuple[Array, Array]:
        """Return the weight of each class's loss, and its weight in the divisor of the mean."""
        mass = self.mass(xp, pooled)
        weights = xp.ones_like(mass)
        if not self.over_classes:
            weights = self._class_weights(xp, mass)
        share = weights
        if self.normalize == "classes" and not self.over_classes:
            counted = [1.0 if self.include_background or c else 0.0 for c in range(mass.shape[1])]
            numbers = xp.asarray(counted, dtype=mass.dtype, device=device(mass))
            share = xp.zeros_like(mass) + numbers[None, :]
        if self.absent == "keep":
            return weights, share
        nothing = mass == 0.0
        present = xp.where(nothing, 0.0, weights)
        if self.absent == "zero":
            return present, share
        return present, present if share is weights else xp.where(nothing, 0.0, share)

    def _class_weights(self, xp: Namespace, like: Array) -> Array:
        """Return the class weights, 0 for a background left out, as an array like `like`."""
        omega = self.omega(like.shape[1])
        if isinstance(omega, float):
            return xp.ones_like(like)
        numbers = xp.asarray(list(omega), dtype=like.dtype, device=device(like))
        return xp.zeros_like(like) + numbers[None, :]

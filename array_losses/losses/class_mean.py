"""Losses that are one number per class: which classes count, and their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from array_losses.core import options
from array_losses.core.namespace import Array, Namespace, device
from array_losses.core.protocol import Fraction, Sums, divide
from array_losses.losses.base import Loss

__all__ = ["Absent", "ClassLoss", "ClassNormalize", "ClassPool", "Pool"]

Pool: TypeAlias = Literal["batch", "image"]
ClassPool: TypeAlias = Literal["batch", "image", "batch+class", "image+class"]
Absent: TypeAlias = Literal["skip", "keep", "zero"]
ClassNormalize: TypeAlias = Literal["weights", "classes"]


@dataclass(frozen=True, kw_only=True)
class ClassLoss(Loss):
    """A loss that is one number per class, averaged over the classes that count.

    Subclasses give the losses of the classes as `class_losses`, their derivative as
    `grad_class_losses`, and the target's weight in each class as `support`.
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
        """Whether sums are kept for each image."""
        return self.pool.startswith("image")

    @property
    def over_classes(self) -> bool:
        """Whether the sums of the classes are added up to those of one."""
        return self.pool.endswith("+class")

    def class_losses(self, xp: Namespace, sums: Sums) -> Array:
        """Return the loss of each class, (images or 1, classes)."""
        raise NotImplementedError

    def support(self, xp: Namespace, sums: Sums) -> Array:
        """Return the target's weight in each class: 0 if absent, NaN if a NaN is in the class."""
        raise NotImplementedError

    def grad_class_losses(self, xp: Namespace, sums: Sums, d: Array) -> Sums:
        """Return d loss / d sums from `d` = d loss / d class losses."""
        raise NotImplementedError

    def pooled(self, xp: Namespace, sums: Sums) -> Sums:
        """Return the sums, added up over the classes where `pool` says so."""
        if not self.over_classes:
            return sums
        for factor in self.pool_factors(xp, sums):
            sums = tuple(xp.where(factor == 0.0, 0.0, factor * total) for total in sums)
        return tuple(xp.sum(total, axis=1, keepdims=True) for total in sums)

    def unpooled(self, xp: Namespace, sums: Sums, rates: Sums) -> Sums:
        """Return d loss / d sums from d loss / d `pooled` sums."""
        if not self.over_classes:
            return rates
        for factor in self.pool_factors(xp, sums):
            rates = tuple(factor * rate for rate in rates)
        return rates

    def pool_factors(self, xp: Namespace, sums: Sums) -> Sums:
        """Return the weight of each class in sums over classes, as factors of it."""
        return (self._class_weights(xp, sums[0]),)

    def value_of(self, xp: Namespace, sums: Sums) -> Fraction:
        """Return the losses of the classes, reduced."""
        sums = self.pooled(xp, sums)
        losses = self.class_losses(xp, sums)
        each, share = self._weights(xp, sums)
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

    def grad_sums(self, xp: Namespace, sums: Sums, d: Array) -> Sums:
        """Return d loss / d sums."""
        pooled = self.pooled(xp, sums)
        each, share = self._weights(xp, pooled)
        if self.reduction == "mean" and self.per_image:
            each = divide(xp, each, xp.sum(share, axis=1, keepdims=True))
        if self.over_classes and self.per_image and self.reduction == "none":
            d = d[:, None]
        return self.unpooled(xp, sums, self.grad_class_losses(xp, pooled, d * each))

    def _weights(self, xp: Namespace, pooled: Sums) -> tuple[Array, Array]:
        """Return the weight of each class's loss, and its weight in the divisor of the mean."""
        support = self.support(xp, pooled)
        weights = xp.ones_like(support)
        if not self.over_classes:
            weights = self._class_weights(xp, support)
        share = weights
        if self.normalize == "classes" and not self.over_classes:
            counted = [
                1.0 if self.include_background or c else 0.0 for c in range(support.shape[1])
            ]
            numbers = xp.asarray(counted, dtype=support.dtype, device=device(support))
            share = xp.zeros_like(support) + numbers[None, :]
        if self.absent == "keep":
            return weights, share
        nothing = support == 0.0
        present = xp.where(nothing, 0.0, weights)
        if self.absent == "zero":
            return present, share
        return present, present if share is weights else xp.where(nothing, 0.0, share)

    def _class_weights(self, xp: Namespace, like: Array) -> Array:
        """Return the class weights, 0 for a background left out, as an array like `like`."""
        factors = self.class_factors(like.shape[1])
        if isinstance(factors, float):
            return xp.ones_like(like)
        numbers = xp.asarray(list(factors), dtype=like.dtype, device=device(like))
        return xp.zeros_like(like) + numbers[None, :]

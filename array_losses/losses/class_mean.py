"""Losses that are one number per class: which classes count, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core import options
from array_losses.core.namespace import (
    Array,
    Namespace,
    device,
    kept_within,
    smallest_divisor,
    times,
)
from array_losses.core.protocol import Fraction, Sums
from array_losses.frameworks import of_namespace
from array_losses.losses.base import Loss

__all__ = ["Absent", "ClassLoss", "ClassNormalize", "ClassPool", "Pool", "only", "row"]

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
        """Return the loss of each class, (images or 1, classes), to be differentiated or not."""
        raise NotImplementedError

    def support(self, xp: Namespace, sums: Sums) -> Array:
        """Return the target's weight in each class."""
        raise NotImplementedError

    def grad_class_losses(self, xp: Namespace, sums: Sums, d: Array) -> Sums:
        """Return d loss / d sums from `d` = d loss / d class losses."""
        raise NotImplementedError

    def counted(
        self, xp: Namespace, sums: Sums, there: Array | None
    ) -> tuple[Array, tuple[Any, ...]]:
        """Return the class losses, 0 where not `there`, and what `grad_counted` needs.

        NaN stays NaN. Not to be differentiated: a loss may share here what value and derivative
        have in common.
        """
        losses = self.class_losses(xp, sums)
        return only(xp, there, losses), (sums, there, losses.shape)

    def grad_counted(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d sums from what `counted` kept and `d` = d loss / d what it returned."""
        sums, there, shape = kept
        return self.grad_class_losses(xp, sums, xp.broadcast_to(only(xp, there, d), shape))

    def pooled(self, xp: Namespace, sums: Sums, factors: Sums) -> Sums:
        """Return the sums, added up over the classes where `pool` says so."""
        if not self.over_classes:
            return sums
        sums = tuple(self._without(xp, total) for total in sums)
        for factor in factors:
            sums = tuple(factor * total for total in sums)
        return tuple(xp.sum(total, axis=1, keepdims=True) for total in sums)

    def unpooled(
        self, xp: Namespace, grad_sums: Sums, factors: Sums, shape: tuple[int, ...]
    ) -> Sums:
        """Return d loss / d sums, of a shape, from d loss / d `pooled` sums."""
        if not self.over_classes:
            return grad_sums
        for factor in factors:
            grad_sums = tuple(factor * one for one in grad_sums)
        return tuple(xp.broadcast_to(one, shape) for one in grad_sums)

    def pool_factors(self, xp: Namespace, sums: Sums) -> Sums:
        """Return the weight of each class in sums over classes, as factors of it; none for 1."""
        weights = self.class_factors(sums[0].shape[1]) if self.over_classes else 1.0
        return () if isinstance(weights, float) else (row(xp, weights, sums[0]),)

    def fraction(self, xp: Namespace, sums: Sums, *, autodiff: bool) -> Fraction:
        """Return the losses of the classes, reduced, and what `grad_sums` needs."""
        factors, shape = self.pool_factors(xp, sums), sums[0].shape
        sums = self.pooled(xp, sums, factors)
        there = None if self.absent == "keep" else self._are_there(xp, sums)
        if autodiff:
            losses, kept = only(xp, there, self.class_losses(xp, sums)), ()
        else:
            losses, kept = self.counted(xp, sums, there)
        weights, units = self._class_weights(losses.shape[1])
        factor = row(xp, weights, losses)
        if not self.over_classes:
            losses = _product(factor, self._without(xp, losses))
        total = images = None
        if self.reduction == "none":
            value = losses[:, 0] if self.over_classes else losses
            value = value if self.per_image else value[0, ...]
        elif self.reduction == "sum":
            value = xp.sum(losses)
        else:
            total, images = self._divisors(xp, units, there, losses)
            means = xp.sum(losses, axis=1, keepdims=True) / total
            value = xp.sum(means) if self.per_image else means[0, 0]
        return Fraction(value, images, (factors, shape, factor, total, kept))

    def grad_sums(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d sums."""
        factors, shape, factor, total, kept = kept
        if self.over_classes and self.per_image and self.reduction == "none":
            d = d[:, None]
        d = _product(factor, d if total is None else d / total)
        return self.unpooled(xp, self.grad_counted(xp, kept, d), factors, shape)

    def _are_there(self, xp: Namespace, sums: Sums) -> Array:
        """Return which classes the target has."""
        support = self.support(xp, sums)
        return support > smallest_divisor(xp, support.dtype)

    def _divisors(
        self, xp: Namespace, units: Sequence[float], there: Array | None, like: Array
    ) -> tuple[Array | float, Array | None]:
        """Return by what the sum of an image's losses is divided, and how many images count.

        Without a mean over images that number is None. Where nothing counts there is no division
        of 0 by 0.
        """
        if self.absent != "skip":
            total = sum(units)
            if not self.per_image:
                return total or 1.0, None
            images = like.shape[0] if total else 0
            return total or 1.0, xp.full((), images, dtype=like.dtype, device=device(like))
        counted = _product(row(xp, units, like), xp.astype(there, like.dtype))
        total = xp.sum(counted, axis=1, keepdims=True)
        number = xp.sum(xp.astype(total > 0.0, total.dtype)) if self.per_image else None
        least = min([one for one in units if one] or [1.0])
        return kept_within(xp, total, max(least, smallest_divisor(xp, total.dtype))), number

    def _class_weights(self, classes: int) -> tuple[Sequence[float], Sequence[float]]:
        """Return the weight of each class's loss, and its weight in the divisor of the mean."""
        weights = 1.0 if self.over_classes else self.class_factors(classes)
        if isinstance(weights, float):
            return (1.0,) * classes, (1.0,) * classes
        if self.normalize == "weights":
            return weights, weights
        return weights, (float(self.include_background), *(1.0,) * (classes - 1))

    def _without(self, xp: Namespace, x: Array) -> Array:
        """Return `x` with 0 for a class that weighs 0, whatever it holds."""
        weights = self.class_factors(x.shape[1])
        if isinstance(weights, float) or 0.0 not in weights:
            return x
        counts = [1.0 if weight else 0.0 for weight in weights]
        if 1.0 not in counts:
            return xp.zeros_like(x)
        return xp.where(row(xp, counts, x) == 0.0, 0.0, x)


def only(xp: Namespace, there: Array | None, x: Array) -> Array:
    """Return `x` where a mask is true, and 0 elsewhere, but NaN where it is NaN."""
    # Not by a product with the mask: XLA makes a choice of it, which would hide the NaN.
    return x if there is None else xp.where(there, x, 0.0 * x)


def row(xp: Namespace, values: Sequence[float], like: Array) -> Array | float:
    """Return one number per class as an array (1, classes), or as a number if all are alike."""
    if len(set(values)) == 1:
        return values[0]
    return of_namespace(xp).per_class(tuple(values), like.dtype, device(like))[None, :]


def _product(factor: Array | float, x: Array) -> Array:
    """Return a product; 1 as a number takes no operation."""
    return times(factor, x) if isinstance(factor, float) else factor * x

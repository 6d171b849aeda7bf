"""How one loss a class becomes one number: which classes count, and their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from array_losses.core import options
from array_losses.core.formula import Fraction, Totals, divide
from array_losses.core.namespace import Array, Namespace, device
from array_losses.losses.base import Loss

__all__ = ["Absent", "ClassLoss", "Pool"]

Pool: TypeAlias = Literal["batch", "image"]
Absent: TypeAlias = Literal["skip", "keep", "zero"]


@dataclass(frozen=True, kw_only=True)
class ClassLoss(Loss):
    """A loss that is one number a class, averaged over the classes that count.

    The first entries of the totals decide the losses of the classes; subclasses give those as
    `class_losses`, the target's mass as `mass` and the derivative as `class_rates`.
    """

    pool: Pool = "batch"
    absent: Absent = "skip"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("pool", self.pool, ("batch", "image"))
        options.choice("absent", self.absent, ("skip", "keep", "zero"))

    mapped = False
    by_class = False
    pixelwise = False

    @property
    def per_image(self) -> bool:
        """Whether totals are kept for each image."""
        return self.pool == "image"

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class, (images or 1, classes)."""
        raise NotImplementedError

    def mass(self, xp: Namespace, totals: Totals) -> Array:
        """Return the target's mass of each class: 0 if absent, NaN if a NaN is in the class."""
        raise NotImplementedError

    def class_rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d totals from `d` = d loss / d class losses."""
        raise NotImplementedError

    def value(self, xp: Namespace, totals: Totals) -> Fraction:
        """Return the losses of the classes, reduced."""
        losses = self.class_losses(xp, totals)
        each, share = self._weights(xp, totals)
        contributions = xp.where(each == 0.0, 0.0, each * losses)
        if self.reduction == "none":
            return contributions if self.per_image else contributions[0, :], None
        if self.reduction == "sum":
            return xp.sum(contributions), None
        divisor = xp.sum(share, axis=1)
        if not self.per_image:
            return xp.sum(contributions), divisor[0]
        means = divide(xp, xp.sum(contributions, axis=1), divisor)
        return xp.sum(means), xp.sum(xp.where(divisor == 0.0, 0.0, xp.ones_like(divisor)))

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d totals."""
        each, share = self._weights(xp, totals)
        if self.reduction == "mean" and self.per_image:
            each = divide(xp, each, xp.sum(share, axis=1, keepdims=True))
        return self.class_rates(xp, totals, d * each)

    def _weights(self, xp: Namespace, totals: Totals) -> tuple[Array, Array]:
        """Return the weight of each class's loss, and its weight in the divisor of the mean."""
        mass = self.mass(xp, totals)
        weights = xp.ones_like(mass)
        omega = self.omega(mass.shape[1])
        if not isinstance(omega, float):
            numbers = xp.asarray(list(omega), dtype=mass.dtype, device=device(mass))
            weights = weights * numbers[None, :]
        if self.absent == "keep":
            return weights, weights
        present = xp.where(mass == 0.0, 0.0, weights)
        return present, present if self.absent == "skip" else weights

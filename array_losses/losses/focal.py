"""Focal: cross entropy that weighs down what is right already."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import options
from array_losses.core.namespace import Array
from array_losses.core.outcomes import Outcome
from array_losses.losses.base import PerClass
from array_losses.losses.pixel_mean import Normalize, Numbers, SidedLoss, numbers, product

__all__ = ["FocalLoss"]


@dataclass(frozen=True, kw_only=True)
class FocalLoss(SidedLoss):
    r"""Focal loss: cross entropy that weighs down what is right already.

    .. math:: -\alpha (1 - p_t)^\gamma \log p_t

    with :math:`p_t` the probability of what is so: of the pixel's class (softmax), or of each class
    being there or not (sigmoid). A soft target mixes the losses of the outcomes by its shares.
    ``gamma=0, alpha=None`` is cross entropy.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `CrossEntropyLoss`.
    normalize : {"valid", "weights", "all", "valid_pixels", ..., "all_elements"}
        As for `CrossEntropyLoss`, but by default the summed pixel weights.
    gamma : number >= 0 or sequence of one a class, default 2
        How strongly sure pixels are weighed down.
    alpha : number >= 0 or sequence of one a class, optional
        Sigmoid: the factor of positives, with 1 - alpha for negatives (so at most 1). Softmax: a
        factor on the pixel's class. Never in the divisor.
    pos_weight : number or sequence of one a class, optional
        A further factor of positives alone, for sigmoid.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    CrossEntropyLoss : the same with gamma 0; its mean divides by the class weights too.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal Loss for Dense Object Detection",
    ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]])
    >>> round(float(al.FocalLoss(gamma=2.0)(logits, target)), 6)  # log(2) / 4
    0.173287
    """

    normalize: Normalize = "valid"
    gamma: PerClass = 2.0
    alpha: PerClass | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self._set(gamma=options.per_class_or_number("gamma", self.gamma))
        if self.alpha is not None:
            highest = 1.0 if self.activation == "sigmoid" else float("inf")
            alpha = options.per_class_or_number("alpha", self.alpha, highest=highest)
            self._set(alpha=alpha)

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number a class."""
        return (*super().per_class_options(), "gamma", "alpha")

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if num_classes == 1 and self.alpha is not None:
            options.per_class_or_number("alpha", self.alpha, highest=1.0)

    def sides(self, outcome: Outcome) -> tuple[Numbers, Numbers]:
        """Return the factors of both sides, times alpha and 1 - alpha."""
        there, not_there = super().sides(outcome)
        if self.alpha is None:
            return there, not_there
        alpha = numbers(self.alpha)
        rest = 1.0 - alpha if isinstance(alpha, float) else tuple(1.0 - one for one in alpha)
        return product(there, alpha), product(not_there, rest)

    def surprise(self, outcome: Outcome) -> Array:
        """Return -(1 - p)^gamma log p."""
        return -self._dimming(outcome) * outcome.log_p

    def rate(self, outcome: Outcome) -> Array | float:
        """Return d surprise / d log p = -(1 - p)^gamma (1 - gamma p log p / (1 - p))."""
        xp, at = outcome.pixels.xp, outcome.activation
        # Near p = 1 the quotient tends to -1; where both are 0 it may be anything finite. Near
        # p = 0, p log p tends to 0.
        log_p = xp.clip(outcome.log_p, min=-1e30)
        quotient = log_p / (at.not_p + xp.finfo(at.not_p.dtype).smallest_normal)
        return -self._dimming(outcome) * (1.0 - self._gamma(outcome) * at.p * quotient)

    def _gamma(self, outcome: Outcome) -> Array | float:
        gamma = numbers(self.gamma)
        return outcome.choose(gamma, gamma)

    def _dimming(self, outcome: Outcome) -> Array:
        """Return (1 - p)^gamma, with a finite derivative at 1 - p = 0."""
        xp, not_p = outcome.pixels.xp, outcome.activation.not_p
        if isinstance(self.gamma, float) and self.gamma in (1.0, 2.0):
            return not_p if self.gamma == 1.0 else not_p * not_p
        gamma = self._gamma(outcome)
        sure = not_p == 0.0
        power = xp.exp(gamma * xp.log(xp.where(sure, 1.0, not_p)))
        at_zero = xp.astype(gamma * xp.ones_like(not_p) == 0.0, not_p.dtype)
        return xp.where(sure, at_zero, power)

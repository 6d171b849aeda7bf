"""Focal loss: cross entropy that down-weights the pixels that are right already."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core import options
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array, Namespace, is_tiny, kept_within, quotient
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Fraction, Strategy, Sums
from array_losses.core.soft_terms import MEANS, soft_term
from array_losses.core.target_terms import Term, target_terms
from array_losses.losses.base import PerClass
from array_losses.losses.pixel_mean import (
    NORMALIZE,
    Normalize,
    Numbers,
    SidedLoss,
    numbers,
    product,
)

__all__ = ["FocalLoss", "FocalNormalize", "Soft", "Threshold"]

FocalNormalize: TypeAlias = Normalize | Literal["focal"]
Soft: TypeAlias = Literal["mixture", "arithmetic", "geometric", "log_odds"]
Threshold: TypeAlias = float | tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class FocalLoss(SidedLoss):
    r"""Focal loss: cross entropy that down-weights the pixels that are right already.

    .. math:: -\alpha (1 - p_t)^\gamma \log p_t

    with :math:`p_t` the probability of what the target says: of the pixel's class (softmax), or of
    each class being there or not (sigmoid). A soft target averages the losses of its terms, or
    (`soft`) uses one averaged :math:`p_t`. ``gamma=0, alpha=None`` is cross entropy.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `CrossEntropyLoss`.
    normalize : {"valid", "weights", "all", "valid_pixels", ..., "all_elements", "focal"}
        As for `CrossEntropyLoss`, but by default the summed pixel weights. "focal": those times
        :math:`(1 - p_t)^\gamma`, the normalised focal loss; this divisor is differentiated too.
    gamma : number >= 0 or sequence of one per class, default 2
        The exponent of the modulating factor: how strongly sure pixels are down-weighted.
    alpha : number >= 0 or sequence of one per class, optional
        Sigmoid: the factor of positives, with 1 - alpha for negatives (so at most 1). Softmax: a
        factor on the pixel's class. Never in the divisor.
    pos_weight : number or sequence of one per class, optional
        A further factor of positives alone, for sigmoid.
    threshold : number above 0 and up to 1, or pair of them, optional
        The reduced focal loss: where :math:`p_t` is below the threshold t the modulating factor is
        1, elsewhere :math:`((1 - p_t) / t)^\gamma`. Of a pair (t, s) the second divides:
        ``(t, 1 - t)`` makes the factor continuous.
    soft : {"mixture", "arithmetic", "geometric", "log_odds"}
        Of a soft target g, for sigmoid: "mixture" is g times the loss of a positive plus 1 - g
        times that of a negative. The others are :math:`\alpha_t (1 - p_t)^\gamma` times the binary
        cross entropy with g, where :math:`\alpha_t` is the mean of both factors by g, and
        :math:`p_t` that of p and 1 - p, of their logarithms or of their log odds ("log_odds" not
        with ``activation=None``). Of a hard target all are the same.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    CrossEntropyLoss : gamma 0; its mean divides by the class weights too.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal Loss for Dense Object Detection",
    ICCV 2017. K. Sofiiuk, O. Barinova, A. Konushin, "AdaptIS: Adaptive Instance Selection Network",
    ICCV 2019 (normalised). N. Sergievskiy, A. Ponamarev, "Reduced Focal Loss: 1st Place Solution to
    xView Object Detection in Satellite Imagery", 2019 (reduced).

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]])
    >>> round(float(al.FocalLoss(gamma=2.0)(logits, target)), 6)  # log(2) / 4
    0.173287
    """

    normalize: FocalNormalize = "valid"  # type: ignore[assignment]
    gamma: PerClass = 2.0
    alpha: PerClass | None = None
    threshold: Threshold | None = None
    soft: Soft = "mixture"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self._set(gamma=options.per_class_or_number("gamma", self.gamma))
        if self.alpha is not None:
            highest = 1.0 if self.activation == "sigmoid" else float("inf")
            alpha = options.per_class_or_number("alpha", self.alpha, highest=highest)
            self._set(alpha=alpha)
        if self.threshold is not None:
            self._set(threshold=options.threshold_pair("threshold", self.threshold))
        options.choice("soft", self.soft, ("mixture", *MEANS))
        if self.soft != "mixture" and self.activation == "softmax":
            msg = f'`soft` must be "mixture" with activation="softmax", got {self.soft!r}.'
            raise ValueError(msg)
        if self.soft == "log_odds" and self.activation is None:
            msg = '`soft` must not be "log_odds" with activation=None: it needs logits.'
            raise ValueError(msg)

    @property
    def divisors(self) -> tuple[str, ...]:
        """The values that `normalize` may have."""
        # Not `super().divisors`: torch.compile takes that for the property itself.
        return (*NORMALIZE, "focal")

    @property
    def strategy(self) -> Strategy:
        """Two passes where the divisor of the mean is made of probabilities."""
        return "sums" if self.normalize == "focal" and self.reduction == "mean" else "pixel"

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number per class."""
        return (*super().per_class_options(), "gamma", "alpha")

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if num_classes == 1 and self.alpha is not None:
            options.per_class_or_number("alpha", self.alpha, highest=1.0)
        if self.soft != "mixture" and self.activation is None and num_classes > 1:
            msg = '`soft` must be "mixture" where several classes exclude each other.'
            raise ValueError(msg)

    def terms_of(self, pixels: Pixels) -> tuple[Term, ...]:
        """Return the target terms of each pixel; of a soft target that may be one."""
        if pixels.hard or self.soft == "mixture":
            return target_terms(pixels)
        return (soft_term(pixels, self.soft),)

    def sides(self, term: Term) -> tuple[Numbers, Numbers]:
        """Return the factors of both sides, times alpha and 1 - alpha."""
        there, not_there = super().sides(term)
        if self.alpha is None:
            return there, not_there
        alpha = numbers(self.alpha)
        rest = 1.0 - alpha if isinstance(alpha, float) else tuple(1.0 - one for one in alpha)
        return product(there, alpha), product(not_there, rest)

    def pixel_loss(self, term: Term) -> Array:
        """Return -(1 - p_t)^gamma log p_t."""
        return -self._modulating_factor(term) * term.log_p

    def pixel_derivative(self, term: Term) -> tuple[Array | float, Array | None]:
        """Return -(1 - p)^gamma, by log p, and gamma p (1 - p)^(gamma - 1) log p, by p."""
        # Near p = 1, log p / (1 - p) tends to -1; where both are 0 it may be anything finite. Near
        # p = 0, p log p tends to 0.
        log_p = kept_within(term.pixels.xp, term.log_p, -1e30)
        factor = self._modulating_factor(term)
        return -factor, self._factor_decay(term, factor) * log_p

    def divisor(self, pixels: Pixels) -> Array | float:
        """Return the weight of a block in the divisor of the mean, (1, 1)."""
        if self.normalize != "focal":
            return super().divisor(pixels)
        xp, total = pixels.xp, None
        for term in self.terms_of(pixels):
            each = xp.sum(term.weighted(self._counted(term), self._modulating_factor(term)))
            total = each if total is None else total + each
        return xp.reshape(total, (1, 1))

    def value_of(self, xp: Namespace, sums: Sums) -> tuple[Array, Array | float | None]:
        """Return the sum of the losses and, for the mean, its divisor."""
        losses, divisor = super().value_of(xp, sums)
        if self.strategy == "pixel":
            return losses, divisor
        tiny = is_tiny(xp, divisor)
        mean = quotient(xp, losses, xp.where(tiny, 1.0, divisor))
        return xp.where(tiny & ~xp.isnan(losses), 0.0, mean), None

    def fraction(self, xp: Namespace, sums: Sums, *, autodiff: bool) -> Fraction:
        """Return the loss and what `grad_sums` needs."""
        if autodiff or self.strategy == "pixel":
            return super().fraction(xp, sums, autodiff=autodiff)
        losses, divisor = (one[0, 0] for one in sums)
        divisor = xp.where(is_tiny(xp, divisor), float("inf"), divisor)
        mean = losses / divisor
        return Fraction(mean, None, (mean, divisor))

    def grad_sums(self, xp: Namespace, kept: tuple[Any, ...], d: Array) -> Sums:
        """Return d loss / d summed losses and, where logits move it, d loss / d divisor."""
        if self.strategy == "pixel":
            return super().grad_sums(xp, kept, d)
        mean, divisor = kept
        by_losses = d / divisor
        return by_losses, -by_losses * mean

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d probabilities; `grad_sums` may also hold a map over the pixels."""
        total = super().derivative(pixels, grad_sums[:1])
        if len(grad_sums) == 1:
            return total
        for term in self.terms_of(pixels):
            by_p = -self._factor_decay(term, self._modulating_factor(term))
            total = total + term.derivative(self._counted(term), grad_sums[1], None, by_p)
        return total

    def _counted(self, term: Term) -> Array | float:
        """Return 1 for each term that counts in the divisor, whatever its class weighs."""
        pixels = term.pixels
        counted = 1.0 if pixels.multiclass else self.foreground(pixels.num_classes)
        return term.choose(counted, counted)

    def gammas(self, pixels: Pixels) -> tuple[Numbers, Numbers]:
        """Return gamma where the class is there, and where not, one per class or one for all."""
        gamma = numbers(self.gamma)
        return gamma, gamma

    def _modulating_factor(self, term: Term) -> Array:
        """Return (1 - p)^gamma, with a finite derivative at 1 - p = 0; 1 below the threshold.

        For the normalised loss times a power of two, which the divisor holds too: else it would
        underflow where all pixels are sure.
        """
        xp, base, unit = term.pixels.xp, self._base(term), self._unit(term)
        if self.gamma == 1.0:
            power = _times(unit * unit, base)
        elif self.gamma == 2.0:
            root = _times(unit, base)
            power = root * root
        else:
            gamma = term.choose(*self.gammas(term.pixels))
            sure = is_tiny(xp, base)
            log = xp.log(xp.where(sure, 1.0, base))
            half = unit * xp.exp(0.5 * gamma * log)
            at_zero = xp.astype(gamma * xp.ones_like(base) == 0.0, base.dtype)
            power = xp.where(sure, unit * unit * at_zero, half * half)
        if self.threshold is None:
            return power
        return xp.where(self._is_below(term), unit * unit, power)

    def _factor_decay(self, term: Term, factor: Array) -> Array:
        """Return -p times the derivative of (1 - p)^gamma by p, gamma p (1 - p)^(gamma - 1)."""
        xp, base, unit = term.pixels.xp, self._base(term), self._unit(term)
        if self.gamma == 1.0:
            quotient = unit * unit
        elif self.gamma == 2.0:
            quotient = _times(unit * unit, base)
        else:
            quotient = factor / xp.where(is_tiny(xp, base), 1.0, base)
        rate = term.choose(*self.gammas(term.pixels)) * term.at.p * quotient
        if self.threshold is None:
            return rate
        return xp.where(self._is_below(term), 0.0, rate / self._thresholds[1])

    def _base(self, term: Term) -> Array:
        """Return 1 - p, over the threshold if there is one."""
        rest = term.at.one_minus_p
        return rest if self.threshold is None else rest / self._thresholds[1]

    def _unit(self, term: Term) -> float:
        """Return the root of what the normalised loss multiplies its factors with.

        1 where pixels have weights of any size, which leave no room in the dtype for it.
        """
        gamma, pixels = numbers(self.gamma), term.pixels
        steep = gamma > 1.0 if isinstance(gamma, float) else min(gamma) > 1.0
        # With a smaller gamma a factor underflows no sooner than 1 - p.
        if self.strategy == "pixel" or not steep or not pixels.read_target.unit_weights:
            return 1.0
        return 2.0 ** (math.frexp(pixels.xp.finfo(pixels.dtype).max)[1] * 3 // 10)

    def _is_below(self, term: Term) -> Array:
        """Return where p is below the threshold, also where it rounds to 1."""
        at, threshold = term.at, self._thresholds[0]
        if threshold == 1.0 and self.activation is not None:
            return at.p <= 1.0
        return at.one_minus_p > 1.0 - threshold if threshold > 0.5 else at.p < threshold

    @property
    def _thresholds(self) -> tuple[float, float]:
        """Return the threshold, and what divides 1 - p above it."""
        threshold: Any = self.threshold
        return threshold if isinstance(threshold, tuple) else (threshold, threshold)


def _times(number: float, x: Array) -> Array:
    return x if number == 1.0 else number * x

"""Cross entropy and focal: a sum over pixels of -log p of what is so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from array_losses.core import options
from array_losses.core.formula import Fraction, Totals
from array_losses.core.namespace import Array, Namespace
from array_losses.core.outcomes import Outcome, outcomes
from array_losses.core.pixels import Pixels
from array_losses.losses.base import Activation, Loss, PerClass

__all__ = ["CrossEntropyLoss", "FocalLoss", "Normalize"]

Normalize: TypeAlias = Literal["weights", "valid", "all"]
_Numbers: TypeAlias = float | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _PixelLoss(Loss):
    """A loss that is a sum over pixels, and its mean."""

    activation: Activation = "softmax"
    normalize: Normalize = "weights"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("activation", self.activation, ("softmax", "sigmoid", None))
        options.choice("normalize", self.normalize, ("weights", "valid", "all"))

    additive = True
    by_class = False
    per_image = False
    pixelwise = True

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

    def surprise(self, outcome: Outcome) -> Array:
        """Return the loss of an outcome that is so."""
        raise NotImplementedError

    def rate(self, outcome: Outcome) -> Array | float:
        """Return d surprise / d log p."""
        raise NotImplementedError

    def pixel_losses(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel, (images, 1, pixels)."""
        total = None
        for outcome in self.outcomes(pixels):
            each = outcome.weighted(self.factor(outcome), self.surprise(outcome))
            if each.shape[1] != 1:
                each = pixels.xp.sum(each, axis=1, keepdims=True)
            total = each if total is None else total + each
        return total

    def totals(self, pixels: Pixels) -> Totals:
        """Return the summed losses and the divisor of their mean."""
        losses = pixels.xp.sum(self.pixel_losses(pixels))
        return pixels.xp.reshape(losses, (1, 1)), self.divisor(pixels)

    def divisor(self, pixels: Pixels) -> Array:
        """Return the weight of a block in the divisor of the mean, (1, 1)."""
        xp, omega = pixels.xp, self.omega(pixels.num_classes)
        images, classes, count = pixels.shape
        if self.normalize == "all":
            each = 1 if pixels.exclusive else classes - (not self.include_background)
            number = float(images * count * each)
            return xp.full((1, 1), number, dtype=pixels.dtype, device=pixels.device)
        if pixels.exclusive and self.normalize == "weights" and not self._counts_pixels(pixels):
            return xp.sum(pixels.sum(_times(pixels, omega, pixels.share)), axis=1, keepdims=True)
        counts = pixels.counts()
        if not pixels.exclusive:
            by_class = omega if self.normalize == "weights" else self.foreground(classes)
            counts = _times(pixels, by_class, counts[:, :, None])[:, :, 0]
        return xp.sum(counts, axis=1, keepdims=True)

    def _counts_pixels(self, pixels: Pixels) -> bool:
        """Return whether every pixel has one class, and all classes weigh 1."""
        return pixels.labelled and self.omega(pixels.num_classes) == 1.0

    def foreground(self, num_classes: int) -> _Numbers:
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
        for outcome in self.outcomes(pixels):
            rate = self.rate(outcome) * rates[0]
            each = outcome.backward(outcome.weighted(self.factor(outcome), rate))
            total = each if total is None else total + each
        return total


def _times(pixels: Pixels, values: _Numbers, x: Array) -> Array:
    return x if values == 1.0 else pixels.per_class(_spread(pixels, values)) * x


def _spread(pixels: Pixels, values: _Numbers) -> tuple[float, ...]:
    return options.for_classes("values", values, pixels.num_classes)


def _product(a: _Numbers, b: _Numbers) -> _Numbers:
    """Return the product of two numbers, or of two lists of one a class."""
    if isinstance(a, float):
        return a * b if isinstance(b, float) else tuple(a * one for one in b)
    many = (b,) * len(a) if isinstance(b, float) else b
    return tuple(x * y for x, y in zip(a, many, strict=True))


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss(_PixelLoss):
    r"""Cross entropy: categorical (softmax), or binary for every class (sigmoid).

    Softmax, with probabilities p, target g, pixel weights w and class weights :math:`\omega`:

    .. math::
        \frac{\sum_i w_i \sum_c -\omega_c q_{ic} \log p_{ic}}
             {\sum_i w_i \sum_c \omega_c g_{ic}},
        \qquad q = (1 - \varepsilon) g + \varepsilon / C

    Sigmoid: :math:`-\omega_c [\pi_c q \log p + (1 - q) \log(1 - p)]` for every pixel and class,
    with :math:`q = (1 - \varepsilon) g + \varepsilon / 2`, averaged over pixels and classes.

    Parameters
    ----------
    class_axis : int, default 1
        The axis of the logits that holds the classes; -1 for channels-last.
    ignore_index : int or sequence of ints, optional
        Target values that do not count. An error with a floating target.
    class_weights : sequence of numbers >= 0, optional
        One a class.
    include_background : bool, default True
        Whether class 0 counts (it takes part in the softmax either way).
    reduction : {"mean", "sum", "none"}
        "none" gives a map over pixels, classes summed.
    activation : {"softmax", "sigmoid", None}
        None: the input is probabilities already.
    normalize : {"weights", "valid", "all"}
        The divisor of the mean: the summed weights, class weights included, of what counts (as
        PyTorch does); the summed pixel weights; or the number of all pixels. With a sigmoid each
        class of each pixel counts on its own.
    label_smoothing : float from 0 to 1
        The share of the target that is spread evenly, :math:`\varepsilon`.
    pos_weight : number or sequence of one a class, optional
        The factor :math:`\pi` of the positive term, for sigmoid.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    FocalLoss : weighs down the pixels that are right already.

    Notes
    -----
    The same formula holds for labels, one-hot and soft targets. Where nothing counts the loss is 0
    (PyTorch gives NaN).

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits = np.zeros((1, 2, 3))
    >>> target = np.asarray([[0, 1, 255]])
    >>> round(float(al.CrossEntropyLoss(ignore_index=255)(logits, target)), 6)
    0.693147
    """

    label_smoothing: float = 0.0
    pos_weight: PerClass | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        smoothing = options.number("label_smoothing", self.label_smoothing, lowest=0.0, highest=1.0)
        self._set(label_smoothing=smoothing)
        if self.pos_weight is not None:
            self._set(pos_weight=options.per_class_or_number("pos_weight", self.pos_weight))
            if self.activation == "softmax":
                msg = '`pos_weight` must be None with activation="softmax"; use `class_weights`.'
                raise ValueError(msg)

    def per_class_options(self) -> tuple[str, ...]:
        """Return the names of further options that may hold one number a class."""
        return ("pos_weight",)

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if self.pos_weight is not None and self.activation is None and num_classes > 1:
            msg = "`pos_weight` must be None where several classes exclude each other."
            raise ValueError(msg)

    def outcomes(self, pixels: Pixels) -> tuple[Outcome, ...]:
        """Return what can be so at each pixel, by the smoothed target."""
        return outcomes(pixels, self.label_smoothing)

    def factor(self, outcome: Outcome) -> Array | float:
        """Return the class weight, times pos_weight where the class is there."""
        omega = self.omega(outcome.pixels.num_classes)
        return outcome.choose(_product(omega, _numbers(self.pos_weight)), omega)

    def surprise(self, outcome: Outcome) -> Array:
        """Return -log p."""
        return -outcome.log_p

    def rate(self, outcome: Outcome) -> Array | float:
        """Return d (-log p) / d log p."""
        return -1.0


def _numbers(value: PerClass | None) -> _Numbers:
    if value is None:
        return 1.0
    return tuple(value) if isinstance(value, Sequence) else float(value)


@dataclass(frozen=True, kw_only=True)
class FocalLoss(_PixelLoss):
    r"""Focal loss: cross entropy that weighs down what is right already.

    .. math:: -\alpha (1 - p_t)^\gamma \log p_t

    with :math:`p_t` the probability of what is so: of the pixel's class (softmax), or of each class
    being there or not (sigmoid). A soft target mixes the losses of the outcomes by its shares.
    ``gamma=0, alpha=None`` is cross entropy.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `CrossEntropyLoss`.
    normalize : {"valid", "weights", "all"}
        As for `CrossEntropyLoss`, but by default the summed pixel weights.
    gamma : number >= 0 or sequence of one a class, default 2
        How strongly sure pixels are weighed down.
    alpha : number >= 0 or sequence of one a class, optional
        Sigmoid: the factor of positives, with 1 - alpha for negatives (so at most 1). Softmax: a
        factor on the pixel's class. Never in the divisor.

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
        return ("gamma", "alpha")

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise a ValueError if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if num_classes == 1 and self.alpha is not None:
            options.per_class_or_number("alpha", self.alpha, highest=1.0)

    def factor(self, outcome: Outcome) -> Array | float:
        """Return the class weight, times alpha where the class is there, 1 - alpha where not."""
        omega = self.omega(outcome.pixels.num_classes)
        if self.alpha is None:
            return outcome.choose(omega, omega)
        alpha = _numbers(self.alpha)
        rest = 1.0 - alpha if isinstance(alpha, float) else tuple(1.0 - one for one in alpha)
        return outcome.choose(_product(omega, alpha), _product(omega, rest))

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
        gamma = _numbers(self.gamma)
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

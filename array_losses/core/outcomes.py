"""Outcomes: what can be true of a pixel, and how probable it is.

Cross entropy and focal loss sum over them. With exclusive classes (softmax) the outcomes of a pixel
are its classes. Where each class is for itself (sigmoid) they are "it is there" and "it is not",
for every class. A hard target makes one outcome so; only that one enters a sum over outcomes
weighted by the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from array_losses.core.activations import Activation, Probabilities
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels

__all__ = ["Outcome", "PerClass", "outcomes", "sides"]

PerClass: TypeAlias = float | tuple[float, ...]
Choose: TypeAlias = Callable[[PerClass, PerClass], Array | float]


@dataclass(eq=False)
class Outcome:
    """One outcome a pixel, or a class of a pixel: arrays (images, classes or 1, pixels).

    Attributes
    ----------
    activation : its probability as `p`, `not_p` and `log_p`
    share : the target's share of this outcome; None for 1
    choose : callable (present, absent) -> array or float
        The number that applies: `present` (one a class) where the outcome is that the class is
        there, `absent` where it is that it is not.
    backward : callable
        From d loss / d log p of the outcome to d loss / d logits.
    factor : array, optional
        What the loss multiplies it with, where that may be 0.
    """

    pixels: Pixels
    activation: Activation
    share: Array | None
    choose: Choose
    backward: Callable[[Array], Array]
    factor: Array | None = field(default=None, kw_only=True)

    @property
    def log_p(self) -> Array:
        """The logarithm of the probability; 0 where that is 0 and so is the share or the factor."""
        log_p = self.activation.log_p
        for counts in (self.share, self.factor):
            if counts is not None:
                excluded = (counts == 0.0) & (log_p == -float("inf"))
                log_p = self.pixels.xp.where(excluded, 0.0, log_p)
        return log_p

    def kept_from_log_0(self, factor: Array | float) -> Outcome:
        """Return it with a logarithm that is finite where the factor is 0: 0 times log 0 is 0."""
        pixels = self.pixels
        if isinstance(factor, float):
            factor = pixels.per_class((factor,))
        activation = _kept_from_log_0(pixels, self.activation, factor)
        # Not by `dataclasses.replace`, which torch.compile does not follow everywhere.
        parts = (pixels, activation, self.share, self.choose, self.backward)
        return Outcome(*parts, factor=factor)

    def by_log_p(self, d: Array) -> Array:
        """Return what `backward` takes from d loss / d `log_p`."""
        return d

    def by_p(self, d: Array) -> Array:
        """Return what `backward` takes from p times d loss / d p of the probability."""
        return d

    def shared(self, factor: Array | float, x: Array) -> Array:
        """Return `x`, one number or one for each pixel, times a factor and the share."""
        one = isinstance(factor, float) and factor == 1.0
        if self.share is not None and x.ndim:  # The factor might make infinite what counts as 0.
            x = self.share * x
            return x if one else factor * x
        x = x if one else factor * x
        return x if self.share is None else self.share * x

    def weighted(self, factor: Array | float, x: Array) -> Array:
        """Return `x` times a factor, the share and the pixel's weight."""
        x, pixels = self.shared(factor, x), self.pixels
        if pixels.chosen is not None:  # Before the weights: an infinite loss times 0 is NaN.
            x = pixels.xp.where(pixels.chosen, x, 0.0)
        return x if pixels.weights is None else pixels.weights * x


def outcomes(pixels: Pixels, label_smoothing: float = 0.0) -> tuple[Outcome, ...]:
    """Return the outcomes of a block in which the (smoothed) target has a share."""
    hard = pixels.hard and label_smoothing == 0.0
    if hard and pixels.labels is not None:
        return (_what_is_so(pixels, _at_label(pixels, pixels.labels)),)
    if pixels.exclusive:
        return (_each_class(pixels, label_smoothing),)
    if hard:
        return (_what_is_so(pixels, _there_or_not(pixels)),)
    return sides(pixels, label_smoothing)


def sides(pixels: Pixels, label_smoothing: float = 0.0) -> tuple[Outcome, Outcome]:
    """Return for every class the outcomes "it is there" and "it is not", with their shares."""
    return (
        _one_side(pixels, label_smoothing, present=True),
        _one_side(pixels, label_smoothing, present=False),
    )


def _what_is_so(pixels: Pixels, choose: Choose) -> Outcome:
    """Return the outcome that is so by a hard target: the labelled class, or each class or not."""
    so = pixels.so
    return Outcome(pixels, so, None, choose, so.backward_log)


def _at_label(pixels: Pixels, labels: Labels) -> Choose:
    def choose(present: PerClass, _absent: PerClass) -> Array | float:
        return present if isinstance(present, float) else labels.of_class(pixels.per_class(present))

    return choose


def _there_or_not(pixels: Pixels) -> Choose:
    def choose(present: PerClass, absent: PerClass) -> Array | float:
        if isinstance(present, float) and present == absent:
            return present
        there, not_there = _as_array(pixels, present), _as_array(pixels, absent)
        return pixels.share * there + (1.0 - pixels.share) * not_there

    return choose


def _each_class(pixels: Pixels, label_smoothing: float) -> Outcome:
    """Return the outcomes "it is class c", for every class."""
    share = pixels.share
    if label_smoothing:
        share = (1.0 - label_smoothing) * share + label_smoothing / pixels.num_classes
    activation = _kept_from_log_0(pixels, pixels.activation, share)

    def choose(present: PerClass, _absent: PerClass) -> Array | float:
        return present if isinstance(present, float) else pixels.per_class(present)

    return Outcome(pixels, activation, share, choose, activation.backward_log)


def _one_side(pixels: Pixels, label_smoothing: float, *, present: bool) -> Outcome:
    """Return, for every class, the outcome "it is there", or "it is not"."""
    share = pixels.share
    if label_smoothing:
        share = (1.0 - label_smoothing) * share + label_smoothing / 2.0
    activation = pixels.activation
    if not present:
        share = 1.0 - share
        activation = pixels.flipped(pixels.xp.full_like(share, -1.0))
    activation = _kept_from_log_0(pixels, activation, share)

    def choose(if_present: PerClass, if_absent: PerClass) -> Array | float:
        value = if_present if present else if_absent
        return value if isinstance(value, float) else pixels.per_class(value)

    def backward(dlog: Array) -> Array:
        d = activation.backward_log(dlog)
        return d if present else -d

    return Outcome(pixels, activation, share, choose, backward)


def _as_array(pixels: Pixels, value: PerClass) -> Array:
    """Return `value` as an array: `where` takes no two Python scalars (array-api#807)."""
    return pixels.per_class((value,) * pixels.num_classes if isinstance(value, float) else value)


def _kept_from_log_0(pixels: Pixels, activation: Activation, counts: Array) -> Activation:
    """Return given probabilities with 1 for a 0 that counts for nothing: log 0 must not enter."""
    if pixels.view.activation is not None:
        return activation
    xp, p = pixels.xp, activation.p
    return Probabilities(xp, xp.where((counts == 0.0) & (p <= 0.0), 1.0, p))

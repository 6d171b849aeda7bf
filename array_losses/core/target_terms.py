"""Target terms: what cross entropy and its relatives sum over, weighted by the target.

For exclusive classes (softmax) the terms of a pixel are its classes. For multilabel targets each
class has two, "it is there" and "it is not". A hard target leaves the one that it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from array_losses.core import autodiff, probability
from array_losses.core.derivative import Derivative
from array_losses.core.labels import Labels
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels

__all__ = ["PerClass", "Term", "sides", "target_terms"]

PerClass: TypeAlias = float | tuple[float, ...]
Choose: TypeAlias = Callable[[PerClass, PerClass], Array | float]
Chain: TypeAlias = Callable[[Array], Derivative]


@dataclass(eq=False)
class Term:
    """One term per pixel, or per class of a pixel: arrays (images, classes or 1, pixels).

    Attributes
    ----------
    at : its probability as `p`, `one_minus_p` and `log_p`
    share : what part of the target is this term; None for all of it
    choose : callable (present, absent) -> array or float
        The number that applies: `present` (one per class) where the term is that the class is
        there, `absent` where it is that it is not.
    chain : callable
        From d loss / d log p of the term to a `Derivative`.
    factor : array, optional
        What the loss multiplies it with, where that may be 0.
    """

    pixels: Pixels
    at: Any
    share: Array | None
    choose: Choose
    chain: Chain
    factor: Array | None = field(default=None, kw_only=True)

    @property
    def log_p(self) -> Array:
        """The logarithm of the probability; 0 where that is 0 and so is the share or the factor."""
        log_p = self.at.log_p
        for counts in (self.share, self.factor):
            if counts is not None:
                excluded = (counts == 0.0) & (log_p == -float("inf"))
                log_p = self.pixels.xp.where(excluded, 0.0, log_p)
        return log_p

    def without_log_0(self, factor: Array | float) -> Term:
        """Return it with a logarithm that is finite where the factor is 0: 0 times log 0 is 0."""
        pixels = self.pixels
        if isinstance(factor, float):
            factor = pixels.per_class((factor,))
        at = _without_log_0(pixels, self.at, factor)
        # Not by `dataclasses.replace`, which torch.compile does not follow everywhere.
        return Term(pixels, at, self.share, self.choose, self.chain, factor=factor)

    def derivative(
        self, factor: Array | float, d: Array, by_log_p: Array | float | None, by_p: Array | None
    ) -> Derivative:
        """Return the `weighted` derivative of a loss of log p and p, times `d`.

        `by_p` is p times the loss's derivative by p, which is one by log p too.
        """
        by = by_p if by_log_p is None else by_log_p
        if by_log_p is not None and by_p is not None:
            by = by_log_p + by_p
        return self.chain(self.weighted(factor, by * d))

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
        return pixels.weighted(x)


def target_terms(pixels: Pixels, label_smoothing: float = 0.0) -> tuple[Term, ...]:
    """Return the terms of which the (smoothed) target has a share."""
    hard = pixels.hard and label_smoothing == 0.0
    if hard and pixels.labels is not None:
        return (_of_p_t(pixels, _at_label(pixels, pixels.labels)),)
    if pixels.multiclass:
        return (_each_class(pixels, label_smoothing),)
    if hard:
        return (_of_p_t(pixels, _there_or_not(pixels)),)
    return sides(pixels, label_smoothing)


def sides(pixels: Pixels, label_smoothing: float = 0.0) -> tuple[Term, Term]:
    """Return for every class the terms "it is there" and "it is not", with their shares."""
    return (
        _one_side(pixels, label_smoothing, present=True),
        _one_side(pixels, label_smoothing, present=False),
    )


def _of_p_t(pixels: Pixels, choose: Choose) -> Term:
    """Return the one term of a hard target: the label, or each class or its absence."""
    return Term(pixels, pixels.p_t, None, choose, lambda d: Derivative(log_p_t=d))


def _at_label(pixels: Pixels, labels: Labels) -> Choose:
    def choose(present: PerClass, _absent: PerClass) -> Array | float:
        return present if isinstance(present, float) else labels.of_class(pixels.per_class(present))

    return choose


def _there_or_not(pixels: Pixels) -> Choose:
    def choose(present: PerClass, absent: PerClass) -> Array | float:
        if isinstance(present, float) and present == absent:
            return present
        there, not_there = _as_array(pixels, present), _as_array(pixels, absent)
        return pixels.one_hot * there + (1.0 - pixels.one_hot) * not_there

    return choose


def _each_class(pixels: Pixels, label_smoothing: float) -> Term:
    """Return the terms "it is class c", for every class."""
    share = pixels.one_hot
    if label_smoothing:
        share = (1.0 - label_smoothing) * share + label_smoothing / pixels.num_classes
    at = _without_log_0(pixels, pixels.every, share)

    def choose(present: PerClass, _absent: PerClass) -> Array | float:
        return present if isinstance(present, float) else pixels.per_class(present)

    return Term(pixels, at, share, choose, lambda d: Derivative(log_p=d))


def _one_side(pixels: Pixels, label_smoothing: float, *, present: bool) -> Term:
    """Return, for every class, the term "it is there", or "it is not"."""
    share = pixels.one_hot
    if label_smoothing:
        share = (1.0 - label_smoothing) * share + label_smoothing / 2.0
    at = pixels.every
    if not present:
        share = 1.0 - share
        at = pixels.flipped(pixels.xp.full_like(share, -1.0))
    at = _without_log_0(pixels, at, share)

    def choose(if_present: PerClass, if_absent: PerClass) -> Array | float:
        value = if_present if present else if_absent
        return value if isinstance(value, float) else pixels.per_class(value)

    def chain(d: Array) -> Derivative:
        return Derivative(log_p=d) if present else Derivative(log_one_minus_p=d)

    return Term(pixels, at, share, choose, chain)


def _as_array(pixels: Pixels, value: PerClass) -> Array:
    """Return `value` as an array: `where` takes no two Python scalars (array-api#807)."""
    return pixels.per_class((value,) * pixels.num_classes if isinstance(value, float) else value)


def _without_log_0(pixels: Pixels, at: Any, counts: Array) -> Any:
    """Return given probabilities with 1 for a 0 that counts for nothing: log 0 must not enter."""
    if pixels.view.activation is not None:
        return at
    xp, p = pixels.xp, at.p
    form = autodiff.Given if pixels.mode.autodiff else probability.Given
    return form(pixels.lib, xp.where((counts == 0.0) & (p <= 0.0), 1.0, p))

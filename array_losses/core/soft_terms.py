"""A soft multilabel target as one term per class, whose p_t is a mean of p and 1 - p.

`target_terms` makes of it two terms with their shares. Here p_t is one: the mean, weighted by the
shares, of the probabilities, of their logarithms, or of their log odds. The term's `log_p` is that
of cross entropy, the mean of both logarithms, whatever p_t is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels
from array_losses.core.target_terms import PerClass, Term, sides

__all__ = ["MEANS", "SoftTerm", "soft_term"]

Sides: TypeAlias = tuple[Term, Term]


class _Mean:
    """A mean of the probabilities of both sides, by their shares."""

    def __init__(self, pixels: Pixels, both: Sides) -> None:
        self.pixels = pixels
        self.xp = pixels.xp
        self.sides = both

    def chain(self, dlog: Array) -> Derivative:
        """Return the derivative, given d loss / d log of the mean."""
        raise NotImplementedError


class Arithmetic(_Mean):
    """The mean of p and 1 - p."""

    def __init__(self, pixels: Pixels, both: Sides) -> None:
        super().__init__(pixels, both)
        there, not_there = both
        self.p = there.share * there.at.p + not_there.share * not_there.at.p
        self.one_minus_p = (
            there.share * there.at.one_minus_p + not_there.share * not_there.at.one_minus_p
        )

    def chain(self, dlog: Array) -> Derivative:
        """Return the derivative, given d loss / d log of the mean."""
        dmean = dlog / (self.p + self.xp.finfo(self.p.dtype).smallest_normal)
        there, not_there = (one.chain(one.share * (one.at.p * dmean)) for one in self.sides)
        return there + not_there


class Geometric(_Mean):
    """exp(the mean of log p and log (1 - p)): minus the logarithm is the cross entropy."""

    def __init__(self, pixels: Pixels, both: Sides) -> None:
        super().__init__(pixels, both)
        there, not_there = both
        self.log_p = there.share * there.log_p + not_there.share * not_there.log_p

    @property
    def p(self) -> Array:
        """The mean."""
        return self.xp.exp(self.log_p)

    @property
    def one_minus_p(self) -> Array:
        """1 - the mean."""
        return -self.xp.expm1(self.log_p)

    def chain(self, dlog: Array) -> Derivative:
        """Return the derivative, given d loss / d log of the mean."""
        there, not_there = (one.chain(one.share * dlog) for one in self.sides)
        return there + not_there


class LogOdds(_Mean):
    """The sigmoid of the mean of z and -z, which are the log odds of both sides."""

    def __init__(self, pixels: Pixels, both: Sides) -> None:
        super().__init__(pixels, both)
        self._sign = pixels.sign
        at: Any = pixels.flipped(self._sign)
        self.p, self.one_minus_p = at.p, at.one_minus_p

    def chain(self, dlog: Array) -> Derivative:
        """Return the derivative, given d loss / d log of the mean."""
        return Derivative(logits=self._sign * (self.one_minus_p * dlog))


@dataclass(eq=False)
class SoftTerm(Term):
    """The one term of each class."""

    mean_log: Geometric

    @property
    def log_p(self) -> Array:
        """The mean of both logarithms, minus the cross entropy."""
        return self.mean_log.log_p

    def without_log_0(self, factor: Array | float) -> SoftTerm:
        """Return it as it is: each side has its own share already."""
        return self

    def derivative(
        self, factor: Array | float, d: Array, by_log_p: Array | float | None, by_p: Array | None
    ) -> Derivative:
        """Return the `weighted` derivative of a loss of `log_p` and p_t, two means, times `d`."""
        total = Derivative()
        if by_log_p is not None:
            total = total + self.mean_log.chain(self.weighted(factor, by_log_p * d))
        return total if by_p is None else total + self.chain(self.weighted(factor, by_p * d))


MEANS: dict[str, type[_Mean]] = {
    "arithmetic": Arithmetic,
    "geometric": Geometric,
    "log_odds": LogOdds,
}


def soft_term(pixels: Pixels, mean: str) -> SoftTerm:
    """Return the one term of each class by a soft target; `mean` is a key of `MEANS`."""
    both = sides(pixels)
    mean_log = Geometric(pixels, both)

    def choose(present: PerClass, absent: PerClass) -> Array | float:
        if isinstance(present, float) and present == absent:
            return present
        shares: list[Array] = [one.share for one in both]
        there, not_there = (one.choose(present, absent) for one in both)
        return shares[0] * there + shares[1] * not_there

    at = mean_log if mean == "geometric" else MEANS[mean](pixels, both)
    return SoftTerm(pixels, at, None, choose, at.chain, mean_log)

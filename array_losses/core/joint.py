"""A soft target as one outcome: what is so by parts is as probable as a mean of both sides.

Where each class is for itself, `outcomes` makes of a soft target two outcomes with their shares. A
joint one has a single p_t, the mean of p and 1 - p weighted by the shares: of the probabilities, of
their logarithms, or of their log odds. Its `log_p` is that of cross entropy: the mean of both
logarithms, whatever p_t is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from array_losses.core.activations import Activation
from array_losses.core.namespace import Array
from array_losses.core.outcomes import Outcome, PerClass, sides
from array_losses.core.pixels import Pixels

__all__ = ["MEANS", "Joint", "joint"]

Sides: TypeAlias = tuple[Outcome, Outcome]


class _Mean(Activation):
    """A mean of the probabilities of both sides, by their shares."""

    def __init__(self, pixels: Pixels, both: Sides) -> None:
        super().__init__(pixels.xp, pixels.logits)
        self.pixels = pixels
        self.sides = both


class Arithmetic(_Mean):
    """The mean of p and 1 - p."""

    def _make_p(self) -> Array:
        there, not_there = self.sides
        return there.share * there.activation.p + not_there.share * not_there.activation.p

    def _make_not_p(self) -> Array:
        there, not_there = self.sides
        return there.share * there.activation.not_p + not_there.share * not_there.activation.not_p

    def backward_log(self, dlog: Array) -> Array:
        """Return d loss / d logits from d loss / d log of the mean."""
        dmean = dlog / (self.p + self.xp.finfo(self.p.dtype).smallest_normal)
        there, not_there = (
            one.backward(one.share * (one.activation.p * dmean)) for one in self.sides
        )
        return there + not_there


class Geometric(_Mean):
    """exp(the mean of log p and log (1 - p)): minus the logarithm is the cross entropy."""

    def _make_log_p(self) -> Array:
        there, not_there = self.sides
        return there.share * there.log_p + not_there.share * not_there.log_p

    def _make_p(self) -> Array:
        return self.xp.exp(self.log_p)

    def _make_not_p(self) -> Array:
        return -self.xp.expm1(self.log_p)

    def backward_log(self, dlog: Array) -> Array:
        """Return d loss / d logits from d loss / d log of the mean."""
        there, not_there = (one.backward(one.share * dlog) for one in self.sides)
        return there + not_there


class LogOdds(_Mean):
    """The sigmoid of the mean of z and -z, which are the log odds of both sides."""

    def __init__(self, pixels: Pixels, both: Sides) -> None:
        super().__init__(pixels, both)
        self.sign = pixels.sign
        self.turned = pixels.flipped(self.sign)

    def _make_p(self) -> Array:
        return self.turned.p

    def _make_not_p(self) -> Array:
        return self.turned.not_p

    def backward_log(self, dlog: Array) -> Array:
        """Return d loss / d logits from d loss / d log of the mean."""
        return self.sign * self.turned.backward_log(dlog)


@dataclass(eq=False)
class Joint(Outcome):
    """What is so by parts, once for each class of a pixel."""

    mean_log: Geometric

    @property
    def log_p(self) -> Array:
        """The mean of both logarithms, minus the cross entropy."""
        return self.mean_log.log_p

    def kept_from_log_0(self, factor: Array | float) -> Joint:
        """Return it as it is: the factor comes after the way back to the logits, too late."""
        return self

    def by_log_p(self, d: Array) -> Array:
        """Return d loss / d logits from d loss / d `log_p`."""
        return self.mean_log.backward_log(d)

    def by_p(self, d: Array) -> Array:
        """Return d loss / d logits from d loss / d log p_t."""
        return self.activation.backward_log(d)


MEANS: dict[str, type[_Mean]] = {
    "arithmetic": Arithmetic,
    "geometric": Geometric,
    "log_odds": LogOdds,
}


def joint(pixels: Pixels, mean: str) -> Joint:
    """Return the one outcome of each class by a soft target; `mean` is a key of `MEANS`."""
    both = sides(pixels)
    mean_log = Geometric(pixels, both)

    def choose(present: PerClass, absent: PerClass) -> Array | float:
        if isinstance(present, float) and present == absent:
            return present
        shares: list[Array] = [one.share for one in both]
        there, not_there = (one.choose(present, absent) for one in both)
        return shares[0] * there + shares[1] * not_there

    return Joint(
        pixels,
        mean_log if mean == "geometric" else MEANS[mean](pixels, both),
        None,
        choose,
        lambda dlogits: dlogits,
        mean_log,
    )

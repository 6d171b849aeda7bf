"""Hard pixel mining: a mean over the pixels with the largest losses alone (top-k, OHEM)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from array_losses.core import options
from array_losses.core.library import Library
from array_losses.core.namespace import Array, Namespace
from array_losses.core.pixels import Pixels
from array_losses.core.target_terms import target_terms
from array_losses.losses.pixel_mean import PixelLoss

__all__ = ["HardPixelMining"]


@dataclass(frozen=True, kw_only=True)
class HardPixelMining(PixelLoss):
    """A pixel loss that may count the hardest pixels of a batch only.

    It is the plain loss of a batch of these pixels alone, divisor and gradient included.
    """

    top_k: float | None = None
    ohem_threshold: float | None = None
    min_kept: int = 0

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self._set(min_kept=options.integer("min_kept", self.min_kept, lowest=0))
        for name in ("top_k", "ohem_threshold"):
            value = getattr(self, name)
            if value is not None:
                self._set(**{name: options.fraction(name, value)})
        if self.top_k is not None and self.ohem_threshold is not None:
            msg = (
                "`top_k` must be None with `ohem_threshold`, got "
                f"{self.top_k} and {self.ohem_threshold}."
            )
            raise ValueError(msg)
        if self.min_kept and self.ohem_threshold is None:
            msg = f"`min_kept` must be 0 without `ohem_threshold`, got {self.min_kept}."
            raise ValueError(msg)

    @property
    def mines(self) -> bool:
        """Whether only some pixels count."""
        return self.ohem_threshold is not None or self.top_k not in (None, 1.0)

    def hardness(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel; for the threshold -log p_t and nothing else.

        -inf where a pixel does not count, unless the mean is over all pixels.
        """
        by_loss = self.ohem_threshold is None
        hardness = self.pixel_losses(pixels) if by_loss else self._improbability(pixels)
        weights = pixels.weights
        if weights is None or self.normalize.startswith("all"):
            return hardness
        xp, counted = pixels.xp, weights != 0.0
        if counted.shape[1] > 1:
            counted = xp.any(counted, axis=1, keepdims=True)
        return xp.where(counted, hardness, -float("inf"))

    def _improbability(self, pixels: Pixels) -> Array:
        """Return -log p_t: no smoothing, no weights."""
        xp, weights, total = pixels.xp, pixels.weights, None
        foreground = self.foreground(pixels.num_classes)
        for term in target_terms(pixels):
            each = term.shared(term.choose(foreground, foreground), -term.log_p)
            if weights is not None:  # A NaN in the weights must be seen.
                each = xp.where(weights == 0.0, 0.0, each + 0.0 * weights)
            if each.shape[1] != 1:
                each = xp.sum(each, axis=1, keepdims=True)
            total = each if total is None else total + each
        return total

    def hardest(self, lib: Library, hardness: Array) -> Array:
        """Return which pixels are among the hardest."""
        xp = lib.xp
        if 0 in hardness.shape:
            return hardness == 0.0
        there = lib.count_true(hardness != -float("inf"))
        if self.ohem_threshold is None:
            kept, lowest = _part(xp, there, self.top_k or 1.0), 1
        else:
            kept = lib.count_true(hardness > -math.log(self.ohem_threshold))
            lowest = min(self.min_kept, xp.iinfo(kept.dtype).max)
        kept = xp.where(kept < lowest, lowest, kept)
        return lib.largest(hardness, xp.where(kept > there, there, kept))


def _part(xp: Namespace, number: Array, part: float) -> Array:
    """Return the floor of part * number, exactly.

    As a float, 0.29 * 100 is below 29, and float32 cannot tell large numbers apart. So `part` is
    the nearest fraction p / q with a small q, and the product is formed digit by digit, with digits
    so short that no integer overflows.
    """
    p, q = Fraction(part).limit_denominator(_FINEST).as_integer_ratio()
    width = xp.iinfo(number.dtype).bits - 1
    digit = width - 1 - q.bit_length()
    whole, rest = 0 * number, 0 * number
    for shift in range(digit * ((width - 1) // digit), -1, -digit):
        rest = (rest << digit) + ((number >> shift) & ((1 << digit) - 1)) * p
        whole = (whole << digit) + rest // q
        rest = rest % q
    return whole


_FINEST = 1_000_000

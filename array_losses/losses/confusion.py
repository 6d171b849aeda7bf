"""Soft counts of each class: true and false positives and negatives, and their derivatives."""

from __future__ import annotations

from typing import Literal, TypeAlias

from array_losses.core.formula import Totals
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels

__all__ = ["Intersection", "Power", "counts", "counts_slope", "true_negatives"]

Intersection: TypeAlias = Literal["l1", "product"]
Power: TypeAlias = Literal[1, 2]


def counts(
    pixels: Pixels, *, per_image: bool, intersection: Intersection, power: Power = 1
) -> Totals:
    """Return true positives, false positives and false negatives of each class."""
    if pixels.hard and power == 1:
        return pixels.confusion(per_image=per_image)
    p, g = pixels.activation.p, pixels.share
    if power == 2:
        pieces = (p * g, p * (p - g), g * (g - p))
    elif intersection == "product":
        pieces = (p * g, p * (1.0 - g), pixels.activation.not_p * g)
    else:
        pieces = _l1(pixels)
    return tuple(pixels.sum(piece, per_image=per_image) for piece in pieces)


def _l1(pixels: Pixels) -> Totals:
    """Return the least of p and g, and what p and what g has beyond it."""
    xp, p, g = pixels.xp, pixels.activation.p, pixels.share
    both = xp.minimum(p, g)
    if pixels.ends is None:
        return both, p - both, g - both
    zero, one = pixels.ends
    both = xp.where(one, p, xp.where(zero, g, both))
    return both, p - both, xp.where(one, pixels.activation.not_p + (g - 1.0), g - both)


def true_negatives(pixels: Pixels, *, per_image: bool, intersection: Intersection) -> Array:
    """Return the true negatives of each class, which together with `counts` make all pixels."""
    if pixels.hard:
        outside = pixels.xp.where(pixels.target, 0.0, pixels.activation.not_p)
        return pixels.sum(outside, per_image=per_image)
    xp, p, g = pixels.xp, pixels.activation.p, pixels.share
    not_p, not_g = pixels.activation.not_p, 1.0 - g
    if intersection == "product":
        return pixels.sum(not_p * not_g, per_image=per_image)
    # The minimum of both, by comparing p with g: 1 - p may be rounded to what 1 - g is.
    below, on = pixels.sides(p)
    smaller = xp.where(below, not_g, not_p)
    return pixels.sum(xp.where(on, 0.5 * (not_p + not_g), smaller), per_image=per_image)


def counts_slope(
    pixels: Pixels, inside: Array, outside: Array, *, intersection: Intersection, power: Power = 1
) -> Array:
    """Return d loss / d logits.

    `inside` is what a probability adds where the pixel has the class, d loss / d (TP - FN), and
    `outside` where it has not, d loss / d (FP - TN); both (images or 1, classes).
    """
    inside, outside = inside[:, :, None], outside[:, :, None]
    if pixels.hard and power == 1:
        return pixels.backward_by_class(inside, outside)
    xp, p, g = pixels.xp, pixels.activation.p, pixels.share
    if power == 2:
        dp = g * inside + (2.0 * p - g) * outside
    elif intersection == "product":
        dp = g * inside + (1.0 - g) * outside
    else:
        middle = 0.5 * (inside + outside)
        below, on = pixels.sides(p)
        dp = xp.where(on, middle, xp.where(below, inside, outside))
    return pixels.backward(dp)

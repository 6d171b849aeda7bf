"""Soft counts of each class: true and false positives and negatives, and their derivatives."""

from __future__ import annotations

from typing import Literal, TypeAlias

from array_losses.core.formula import Totals
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels
from array_losses.core.products import over_pixels, times

__all__ = [
    "Intersection",
    "Power",
    "counts",
    "counts_slope",
    "squares",
    "squares_slope",
    "true_negatives",
]

Intersection: TypeAlias = Literal["l1", "product"]
Power: TypeAlias = Literal[1, 2]


def counts(pixels: Pixels, *, per_image: bool, intersection: Intersection) -> Totals:
    """Return true positives, false positives and false negatives of each class."""
    if pixels.hard:
        return pixels.confusion(per_image=per_image)
    p, g = pixels.activation.p, pixels.share
    if intersection == "product":
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
    pixels: Pixels, inside: Array, outside: Array, *, intersection: Intersection
) -> Array:
    """Return d loss / d logits.

    `inside` is what a probability adds where the pixel has the class, d loss / d (TP - FN), and
    `outside` where it has not, d loss / d (FP - TN); both (images or 1, classes).
    """
    inside, outside = inside[:, :, None], outside[:, :, None]
    if pixels.hard:
        return pixels.backward_by_class(inside, outside)
    xp, p, g = pixels.xp, pixels.activation.p, pixels.share
    if intersection == "product":
        dp = g * inside + (1.0 - g) * outside
    else:
        middle = 0.5 * (inside + outside)
        below, on = pixels.sides(p)
        dp = xp.where(on, middle, xp.where(below, inside, outside))
    return pixels.backward(dp)


def squares(pixels: Pixels, *, per_image: bool, false_positives: bool) -> Totals:
    """Return the sums of p g, (p - g)^2, g (g - p) and, if asked for, p (p - g) of each class.

    The last two are what squares make of false negatives and false positives, and the second is
    the sum of both: where a pixel is sure they cancel all but that.
    """
    xp, p, g, error = pixels.xp, pixels.activation.p, pixels.share, _error(pixels)
    pairs = [(p, g), (error, error), (g, pixels.activation.not_p if pixels.hard else -error)]
    if false_positives:
        pairs.append((p, error))
    sums = tuple(over_pixels(xp, times(pixels.weights, x), y) for x, y in pairs)
    return sums if per_image else tuple(xp.sum(one, axis=0)[None, :] for one in sums)


def squares_slope(pixels: Pixels, rates: Totals) -> Array:
    """Return d loss / d logits from d loss / d `squares`."""
    by_hit, by_square, by_miss, *by_false = (rate[:, :, None] for rate in rates)
    p, error = pixels.activation.p, _error(pixels)
    dp = (by_hit - by_miss) * pixels.share + 2.0 * by_square * error
    for rate in by_false:
        dp = dp + rate * (p + error)
    return pixels.backward(dp)


def _error(pixels: Pixels) -> Array:
    """Return p - g, of a hard target without a subtraction."""
    p, g = pixels.activation.p, pixels.share
    if not pixels.hard:
        ends = pixels.ends
        return p - g if ends is None else pixels.xp.where(ends[1], -pixels.activation.not_p, p - g)
    not_p = pixels.activation.not_p
    if pixels.traced:
        return pixels.xp.where(pixels.target, -not_p, p)
    return (1.0 - g) * p - g * not_p

"""Soft confusion counts of each class, of probabilities and any target, and their derivatives."""

from __future__ import annotations

from typing import Literal, TypeAlias

from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Sums

__all__ = [
    "Intersection",
    "Power",
    "counts",
    "counts_derivative",
    "squares",
    "squares_derivative",
    "true_negatives",
]

Intersection: TypeAlias = Literal["l1", "product"]
Power: TypeAlias = Literal[1, 2]


def counts(pixels: Pixels, *, per_image: bool, intersection: Intersection) -> Sums:
    """Return true positives, false positives and false negatives of each class."""
    if pixels.hard:
        return pixels.confusion(per_image=per_image)
    p, g = pixels.every.p, pixels.one_hot
    if intersection == "product":
        pieces = (p * g, p * (1.0 - g), pixels.every.one_minus_p * g)
    else:
        pieces = _l1(pixels)
    return tuple(pixels.sum(piece, per_image=per_image) for piece in pieces)


def _l1(pixels: Pixels) -> Sums:
    """Return the least of p and g, and what p and what g has beyond it."""
    xp, p, g = pixels.xp, pixels.every.p, pixels.one_hot
    both = xp.minimum(p, g)
    if pixels.ends is None:
        return both, p - both, g - both
    zero, one = pixels.ends
    both = xp.where(one, p, xp.where(zero, g, both))
    return both, p - both, xp.where(one, pixels.every.one_minus_p + (g - 1.0), g - both)


def true_negatives(pixels: Pixels, *, per_image: bool, intersection: Intersection) -> Array:
    """Return the true negatives of each class, which together with `counts` make all pixels."""
    if pixels.hard:
        outside = pixels.xp.where(pixels.target, 0.0, pixels.every.one_minus_p)
        return pixels.sum(outside, per_image=per_image)
    xp, p, g = pixels.xp, pixels.every.p, pixels.one_hot
    rest, not_g = pixels.every.one_minus_p, 1.0 - g
    if intersection == "product":
        return pixels.sum(rest * not_g, per_image=per_image)
    # The minimum of both, by comparing p with g: 1 - p may be rounded to what 1 - g is.
    below, on = pixels.sides(p)
    smaller = xp.where(below, not_g, rest)
    return pixels.sum(xp.where(on, 0.5 * (rest + not_g), smaller), per_image=per_image)


def counts_derivative(
    pixels: Pixels, present: Array, absent: Array, *, intersection: Intersection
) -> Derivative:
    """Return the derivative of a loss of `counts`, and maybe `true_negatives`.

    `present` is what a probability adds where the pixel has the class, d loss / d (TP - FN), and
    `absent` where it has not, d loss / d (FP - TN); both (images or 1, classes).
    """
    present, absent = present[:, :, None], absent[:, :, None]
    if pixels.hard:
        return Derivative(by_class=(present, absent))
    xp, p, g = pixels.xp, pixels.every.p, pixels.one_hot
    if intersection == "product":
        dp = g * present + (1.0 - g) * absent
    else:
        middle = 0.5 * (present + absent)
        below, on = pixels.sides(p)
        dp = xp.where(on, middle, xp.where(below, present, absent))
    return pixels.by_p(dp)


def squares(pixels: Pixels, *, per_image: bool, false_positives: bool) -> Sums:
    """Return the sums of p g, (p - g)^2, g (g - p) and, if asked for, p (p - g) of each class.

    The last two are what squares make of false negatives and false positives, and the second is
    the sum of both: where a pixel is sure they cancel all but that.
    """
    xp, p, g, error = pixels.xp, pixels.every.p, pixels.one_hot, _error(pixels)
    pairs = [(p, g), (error, error), (g, pixels.every.one_minus_p if pixels.hard else -error)]
    if false_positives:
        pairs.append((p, error))
    sums = tuple(pixels.lib.sum_pixels(pixels.weighted(x), y) for x, y in pairs)
    return sums if per_image else tuple(xp.sum(one, axis=0)[None, :] for one in sums)


def squares_derivative(pixels: Pixels, grad_sums: Sums) -> Derivative:
    """Return the derivative of a loss of `squares`."""
    by_hit, by_square, by_miss, *by_false = (one[:, :, None] for one in grad_sums)
    p, error = pixels.every.p, _error(pixels)
    dp = (by_hit - by_miss) * pixels.one_hot + 2.0 * by_square * error
    for one in by_false:
        dp = dp + one * (p + error)
    return pixels.by_p(dp)


def _error(pixels: Pixels) -> Array:
    """Return p - g, of a hard target without a subtraction."""
    p, g = pixels.every.p, pixels.one_hot
    if not pixels.hard:
        ends = pixels.ends
        return p - g if ends is None else pixels.xp.where(ends[1], -pixels.every.one_minus_p, p - g)
    rest = pixels.every.one_minus_p
    if pixels.mode.traced:
        return pixels.xp.where(pixels.target, -rest, p)
    return (1.0 - g) * p - g * rest

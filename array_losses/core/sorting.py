"""Order of eager NumPy arrays, faster than its functions find it."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial

from array_losses.core.namespace import Array, DType, Namespace

__all__ = ["bits_dtype", "bits_of", "descending", "largest"]


def descending(xp: Namespace, x: Array) -> Array:
    """Return the order that sorts a row of float32 or float64 from its largest entry down."""
    return xp.reshape(_by_digits(xp, xp.reshape(x, (-1,))), x.shape)


def _by_digits(xp: Namespace, x: Array) -> Array:
    """Return the order by digits of 16 bits, the lowest first.

    The bits of a number are ordered as the number itself, once those of a negative one (rounding
    can make an error that) are turned over. For 16-bit integers NumPy's stable argsort is a radix
    sort, linear in time: measured eight times as fast as an argsort of the numbers, while all stays
    in the cache.
    """
    bits = bits_of(xp, x)
    if not bits.size:
        return xp.argsort(bits, stable=True)
    sign = xp.iinfo(bits.dtype).max // 2 + 1
    top = xp.max(bits)
    if top >= sign:
        negative = bits >> (xp.iinfo(bits.dtype).bits - 1)
        bits = bits ^ (negative * (sign - 1) + sign)
        top = xp.max(bits)
    bits = top - bits
    order = None
    for shift in range(0, max(1, int(xp.max(bits)).bit_length()), 16):
        digit = xp.astype(bits >> shift, xp.uint16)  # the lowest 16 bits
        if order is None:
            order = xp.argsort(digit, stable=True)
        else:
            order = xp.take(order, xp.argsort(xp.take(digit, order), stable=True))
    return order


def bits_dtype(xp: Namespace, x: Array) -> DType | None:
    """Return the unsigned integers of the width of a float32 or float64, else None."""
    if x.dtype == xp.float32:
        return xp.uint32
    return xp.uint64 if x.dtype == xp.float64 else None


def bits_of(xp: Namespace, x: Array) -> Array:
    """Return the bits of a NumPy array of float32 or float64 as unsigned integers."""
    return (x + 0.0).view(bits_dtype(xp, x))  # + 0.0: -0.0 has other bits than 0.0


def largest(xp: Namespace, x: Array, number: int) -> Array:
    """Return where the `number` largest entries of one axis are, and all that are NaN.

    Of equal ones at the border the first. But for the partition, everything takes a byte per entry.
    """
    broken = xp.isnan(x)
    if xp.any(broken):
        x = xp.where(broken, float("inf"), x)
    place = x.shape[0] - max(number, 1)
    border = float(xp.partition(x, place)[place])
    above, level = x > border, x == border
    left = number - xp.count_nonzero(above)
    if xp.count_nonzero(level) > left:  # those up to some place
        count_before = partial(_count_before, xp, level)
        level[bisect_left(range(x.shape[0]), left, key=count_before) :] = False
    return above | level | broken


def _count_before(xp: Namespace, mask: Array, place: int) -> int:
    return int(xp.count_nonzero(mask[:place]))

"""Pixels that are foreground or background of a class, in the order of their errors.

For eager NumPy arrays, where what follows from the values may be looked at first: elsewhere the
number of those whose order matters would have to come from a device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache

from array_losses.core.namespace import Array, Namespace, device, is_bool, is_numpy_namespace
from array_losses.core.sorting import SIGN, bits_of, descending

__all__ = ["are_kinds", "kinds_in_order", "put", "worth_sorting"]


def are_kinds(xp: Namespace, foreground: Array) -> bool:
    """Return whether every element is foreground or background or neither, and in NumPy."""
    return is_numpy_namespace(xp) and is_bool(xp, foreground.dtype)


def kinds_in_order(
    xp: Namespace, x: Array, foreground: Array, places: Array | None
) -> Iterator[tuple[Array, Array]]:
    """Yield the places of the entries from the largest down, and whether they are foreground.

    Piece by piece, integers both; of those at `places` only, if not None. For NumPy arrays of one
    row.
    """
    x, foreground = xp.reshape(x, (-1,)), xp.reshape(foreground, (-1,))
    some = x if places is None else xp.take(x, places)
    if x.size <= _MOST_PLACES and _suits_keys(xp, some):
        yield from _by_keys(xp, some, foreground, places)
        return
    order = descending(xp, some, traced=False)
    order = order if places is None else xp.take(places, order)
    for start in range(0, order.size, _PIECE):
        piece = order[start : start + _PIECE]
        yield piece, xp.astype(xp.take(foreground, piece), order.dtype)


def _suits_keys(xp: Namespace, x: Array) -> bool:
    """Return whether keys of `x` are the faster way; rounding can make an error less than 0."""
    if x.dtype != xp.float32 or x.size == 0 or not _sorts_integers_fast(xp):
        return False
    return not xp.min(x) < 0.0


def _by_keys(
    xp: Namespace, x: Array, foreground: Array, places: Array | None
) -> Iterator[tuple[Array, Array]]:
    """Yield the same from 64-bit keys: 31 bits of the entry, 32 of its place, 1 of its kind.

    Sorted, they hold all that is asked for, and no gather is needed. `x` is not below 0.
    """
    keys = xp.empty(x.shape, dtype=xp.uint64, device=device(x))
    starts = range(0, x.size, _PIECE)
    for start in starts:
        piece = slice(start, min(start + _PIECE, x.size))
        if places is None:
            place = xp.arange(piece.start, piece.stop, dtype=keys.dtype, device=device(x))
            kind = foreground[piece]
        else:
            place = places[piece].view(xp.uint64)
            kind = xp.take(foreground, places[piece])
        some = xp.astype(bits_of(xp, x[piece]) ^ (SIGN - 1), xp.uint64)
        some <<= 32
        some |= place
        some <<= 1
        some |= kind
        keys[piece] = some
    keys.sort()  # in place
    for start in starts:
        some = keys[start : start + _PIECE].view(xp.int64)
        yield (some >> 1) & (_MOST_PLACES - 1), some & 1


_MOST_PLACES = 1 << 32
# So many entries at a time stay in the cache with all that is made of them.
_PIECE = 1 << 17


@cache
def _sorts_integers_fast(xp: Namespace) -> bool:
    """Return whether 64-bit integers are sorted faster than two 16-bit digits of each.

    With AVX-512 instructions NumPy sorts them three times as fast, without them at half the speed.
    It does not say which, so this is a trial of 2**16 numbers, once in a process; the order is the
    same either way.
    """
    numbers = xp.arange(1 << 16, dtype=xp.uint64, device="cpu") * 40503 & 0xFFFF
    digits, keys = xp.astype(numbers, xp.uint16), numbers << 33

    def seconds(sort: Callable[[], object]) -> float:
        start = time.perf_counter()
        sort()
        return time.perf_counter() - start

    by_digit = min(seconds(lambda: xp.argsort(digits, stable=True)) for _ in range(3))
    return min(seconds(lambda: xp.sort(keys)) for _ in range(3)) < 2.5 * by_digit


def worth_sorting(
    xp: Namespace, errors: Array, foreground: Array, background: Array, least: float
) -> Array | None:
    """Return the places of the errors whose order matters, None for all of them.

    Background with an error below the smallest one of the foreground comes after all of it, where
    the Jaccard loss is 1 already; without a foreground, everything but the largest error does.
    Neither matters what does not count, or is below `least`. Only for arrays that `are_kinds`.
    """
    empty = not xp.any(foreground)
    lowest = least if empty else max(least, _least_inside(xp, errors, foreground))
    counted = foreground | background
    above = counted & ~(errors < lowest)  # NaN is not below
    above = xp.reshape(above, (-1,))  # NumPy finds what is set on one axis ten times as fast.
    if empty:
        (places,) = xp.nonzero(above)
        largest = xp.argmax(xp.take(errors, places, axis=-1)) if places.size else 0
        return places[largest : largest + 1]
    if xp.all(counted) and xp.count_nonzero(above) > _MANY * errors.size:
        return None
    return xp.nonzero(above)[0]


def _least_inside(xp: Namespace, errors: Array, foreground: Array) -> float:
    """Return the smallest error of the foreground, at most 1e30, or NaN.

    By arithmetic, which is ten times as fast as picking.
    """
    shifted = xp.astype(~foreground, errors.dtype)
    shifted *= 1e30
    shifted += errors
    return float(xp.min(shifted))


# Picking places does not pay if this share of all is left.
_MANY = 0.8


def put(xp: Namespace, x: Array, places: Array, values: Array) -> None:
    """Write values to their places in a NumPy array of one row."""
    xp.reshape(x, (-1,), copy=False)[places] = values

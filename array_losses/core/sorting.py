"""Sorting along the last axis, and back: stable and descending on every library."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import cache

from array_losses.core.namespace import (
    Array,
    Namespace,
    is_bool,
    is_numpy_namespace,
    writes_by_index,
)

__all__ = [
    "are_kinds",
    "back_in_place",
    "descending",
    "in_order",
    "kinds_in_order",
    "put",
    "worth_sorting",
]


def descending(xp: Namespace, x: Array, *, traced: bool) -> Array:
    """Return the order that sorts `x` from its largest entry down.

    Equal entries keep their order. With argsort, not sort: at ties the derivatives of sort differ
    between JAX and PyTorch.
    """
    if not traced and is_numpy_namespace(xp) and x.dtype == xp.float32 and _is_row(x):
        return _by_digits(xp, x)
    return xp.argsort(x, axis=-1, descending=True, stable=True)


def _by_digits(xp: Namespace, x: Array) -> Array:
    """Return the order by two digits of 16 bits, the lower first.

    The bits of a float32 are ordered as the number itself, once those of a negative one (rounding
    can make an error that) are turned over. For 16-bit integers NumPy's stable argsort is a radix
    sort, linear in time: measured three times as fast as an argsort of the numbers, and, where no
    vector instructions sort, twice as fast as sorting int64 keys of bits and position.
    """
    bits = _bits(xp, x)
    if bits.size and xp.max(bits) >= _SIGN:
        bits = bits ^ ((bits >> 31) * (_SIGN - 1) + _SIGN)
    bits = ~bits
    low, high = xp.astype(bits & 0xFFFF, xp.uint16), xp.astype(bits >> 16, xp.uint16)
    first = xp.argsort(low, stable=True)
    second = xp.argsort(xp.take(high, first), stable=True)
    return xp.reshape(xp.take(first, second), x.shape)


def _bits(xp: Namespace, x: Array) -> Array:
    return (xp.reshape(x, (-1,)) + 0.0).view(xp.uint32)  # + 0.0: -0.0 has other bits than 0.0


_SIGN = 0x80000000


def kinds_in_order(
    xp: Namespace, x: Array, foreground: Array, places: Array | None
) -> Iterator[tuple[Array, Array]]:
    """Yield the places of the entries from the largest down, and whether they are foreground.

    Piece by piece, integers both; of those at `places` only, if not None. For NumPy arrays of one
    row.
    """
    x, foreground = xp.reshape(x, (-1,)), xp.reshape(foreground, (-1,))
    some = x if places is None else xp.take(x, places)
    if x.dtype == xp.float32 and _sorts_integers_fast(xp):
        bits = _bits(xp, some)
        if bits.size and xp.max(bits) < _SIGN and x.size <= _MOST_PLACES:
            yield from _by_keys(xp, bits, foreground, places)
            return
    order = descending(xp, some, traced=False)
    order = order if places is None else xp.take(places, order)
    for start in range(0, order.size, _PIECE):
        piece = order[start : start + _PIECE]
        yield piece, xp.astype(xp.take(foreground, piece), order.dtype)


def _by_keys(
    xp: Namespace, bits: Array, foreground: Array, places: Array | None
) -> Iterator[tuple[Array, Array]]:
    """Yield the same from 64-bit keys: 31 bits of the entry, 32 of its place, 1 of its kind.

    Sorted, they hold all that is asked for, and no gather is needed.
    """
    keys = xp.astype(bits ^ (_SIGN - 1), xp.uint64)
    keys <<= 32
    keys |= xp.arange(keys.size, dtype=xp.uint64) if places is None else places.view(xp.uint64)
    keys <<= 1
    keys |= foreground if places is None else xp.take(foreground, places)
    keys.sort()  # in place
    for start in range(0, keys.size, _PIECE):
        piece = keys[start : start + _PIECE].view(xp.int64)
        yield (piece >> 1) & (_MOST_PLACES - 1), piece & 1


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
    digits = xp.astype((xp.arange(1 << 16) * 40503) & 0xFFFF, xp.uint16)
    keys = xp.astype(digits, xp.uint64) << 33

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


def are_kinds(xp: Namespace, foreground: Array) -> bool:
    """Return whether every element is foreground or background or neither, and in NumPy.

    Elsewhere the number of those whose order matters would have to come from a device first.
    """
    return is_numpy_namespace(xp) and is_bool(xp, foreground.dtype)


def in_order(xp: Namespace, x: Array, order: Array) -> Array:
    """Return the entries of `x` in that order."""
    if not _is_row(x):
        return xp.take_along_axis(x, order, axis=-1)
    taken = xp.take(xp.reshape(x, (-1,)), xp.reshape(order, (-1,)), axis=0)
    return xp.reshape(taken, order.shape)


def back_in_place(xp: Namespace, order: Array, x: Array) -> Array:
    """Return sorted entries to the places from which `order` took them."""
    if not (writes_by_index(xp) and _is_row(x)):
        return xp.take_along_axis(x, xp.argsort(order, axis=-1), axis=-1)
    result = xp.empty_like(x)
    xp.reshape(result, (-1,))[xp.reshape(order, (-1,))] = xp.reshape(x, (-1,))
    return result


def put(xp: Namespace, x: Array, places: Array, values: Array) -> None:
    """Write values to their places in a NumPy array of one row."""
    xp.reshape(x, (-1,), copy=False)[places] = values


def _is_row(x: Array) -> bool:
    return math.prod(x.shape[:-1]) == 1

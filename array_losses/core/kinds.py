"""Pixels that are foreground or background of a class, in the order of their errors.

For eager NumPy arrays, where what follows from the values may be looked at first: elsewhere the
number of those whose order matters would have to come from a device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

from array_losses.core.namespace import Array, Namespace, device, is_bool, is_numpy_namespace
from array_losses.core.sorting import bits_of, descending

__all__ = ["are_kinds", "kinds_in_order"]


def are_kinds(xp: Namespace, foreground: Array) -> bool:
    """Return whether every element is foreground or background or neither, and in NumPy."""
    return is_numpy_namespace(xp) and is_bool(xp, foreground.dtype)


def kinds_in_order(xp: Namespace, x: Array, foreground: Array) -> tuple[Array, Array]:
    """Return the places of the entries of a row from the largest down, and their kinds.

    Equal entries keep their order. Both are integers, a kind 1 for foreground, else 0.
    """
    if _suits_keys(xp, x):
        return _by_keys(xp, x, foreground)
    order = descending(xp, x, traced=False)
    return order, xp.take(foreground, order)


def _suits_keys(xp: Namespace, x: Array) -> bool:
    """Return whether keys of `x` are the faster way; rounding can make an error less than 0."""
    if x.dtype != xp.float32 or not 0 < x.size <= _MOST_PLACES or not _sorts_integers_fast(xp):
        return False
    return not xp.min(x) < 0.0


def _by_keys(xp: Namespace, x: Array, foreground: Array) -> tuple[Array, Array]:
    """Return the same from 64-bit keys: 31 bits of the entry, 32 of its place, 1 of its kind.

    Sorted, they hold all that is asked for, and no gather is needed. `x` is not below 0.
    """
    keys = xp.astype(~bits_of(xp, x) & _POSITIVE, xp.uint64)
    keys <<= 32
    keys |= xp.arange(x.size, dtype=keys.dtype, device=device(x))
    keys <<= 1
    keys |= foreground
    keys.sort()  # in place
    keys = keys.view(xp.int64)
    return (keys >> 1) & (_MOST_PLACES - 1), keys & 1


_MOST_PLACES = 1 << 32
_POSITIVE = 0x7FFFFFFF


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

"""A bucket sort of the pixels of a class by their errors, from the largest down.

For eager NumPy arrays. A bucket is small enough for the cache, and others can be sorted beside it.
Where they are cut does not depend on the number of threads, and the order not on the cuts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace, device
from array_losses.core.sorting import bits_dtype, bits_of, descending
from array_losses.core.threads import Map

__all__ = ["Growth", "flat", "in_buckets", "in_order", "rows_of"]

# The growth of the loss along pixels in order: of their kinds (1 for foreground, else 0), the
# foreground left before the first, its place, and the dtype to compute in.
Growth: TypeAlias = Callable[[Namespace, Array, int, int, DType], Array]

# Pixels of a piece, and about of a bucket: with all that is made of them these stay in the cache.
# With fewer, threads do little but hand the interpreter lock to each other.
_PIECE = 1 << 17
_BUCKET = 1 << 16
_MOST_BUCKETS = 255
# So many errors tell well enough where to cut.
_SAMPLE = 1 << 13
_DIGIT_BITS = 13


def in_buckets(
    lib: Library,
    errors: Array,
    kinds: tuple[Array, Array],
    least: float,
    growth: Growth,
    each: Map,
) -> tuple[Array, Array, Array]:
    """Return loss, support and d loss / d errors of a class, the latter in place of the errors.

    Parameters
    ----------
    errors : array (rows, 1, pixels)
    kinds : bool arrays of that shape, which pixels count as foreground and as background
    least : what is below has no derivative
    growth : the growth of the loss along pixels in order
    each : calls a function for each of a list
    """
    xp = lib.xp
    pieces = [
        _Piece(xp, errors[row, 0, part], *(kind[row, 0, part] for kind in kinds))
        for row in range(errors.shape[0])
        for part in (slice(i, i + _PIECE) for i in range(0, errors.shape[2], _PIECE))
    ]
    each(_Piece.inspect, pieces)
    support = sum(piece.inside for piece in pieces)
    lowest = _lowest(pieces, least)
    total = errors.shape[0] * errors.shape[2]
    walk = _Walk(xp, growth, xp.int32 if total <= xp.iinfo(xp.int32).max else xp.int64)
    if len(pieces) == 1:
        losses = [pieces[0].replace(walk, lowest)]
    else:
        cuts = _Cuts(xp, pieces, lowest)
        each(lambda piece: piece.split(cuts), pieces)
        buckets = _buckets(pieces, cuts.number, support)
        losses = each(lambda some: some.replace(walk, pieces), buckets)
        each(_Piece.put_back, pieces)
    on = device(errors)
    loss = xp.full((1, 1), math.fsum(losses), dtype=xp.float64, device=on)
    return loss, xp.full((1, 1), support, dtype=xp.int64, device=on), errors


@dataclass(frozen=True)
class _Walk:
    """From errors and kinds to d loss / d errors, with counts in integers wide enough."""

    xp: Namespace
    growth: Growth
    counts: DType

    def by_error(self, x: Array, inside: Array, rest: int, before: int) -> tuple[Array, float]:
        """Return d loss / d errors, and the part of the loss."""
        xp = self.xp
        order, inside = in_order(xp, x, inside)
        steps = self.growth(xp, inside.astype(self.counts), rest, before, x.dtype)
        by_error = xp.empty_like(x)
        by_error[order] = steps
        steps = by_error * x
        return by_error, float(steps.sum())


class _Piece:
    """Some pixels in a row, whose errors become d loss / d errors."""

    def __init__(self, xp: Namespace, errors: Array, foreground: Array, background: Array) -> None:
        self.xp = xp
        self.errors = errors
        self._foreground = foreground
        self._background = background
        self._counted: Array | None = None

    def inspect(self) -> None:
        """Find out what decides which pixels matter."""
        errors = self.errors
        counted = self._foreground | self._background
        self._counted = None if counted.all() else counted
        self.inside = int(self.xp.count_nonzero(self._foreground))
        self.highest = float(errors.max())
        self.least_inside = math.inf
        if self.inside:
            # By arithmetic, which is ten times as fast as picking.
            shifted = (~self._foreground).astype(errors.dtype)
            shifted *= 1e30
            shifted += errors
            self.least_inside = float(shifted.min())

    def largest(self) -> float:
        """Return the largest error that counts, NaN if there is one."""
        if self._counted is None:
            return self.highest
        some = self.errors[self._counted]
        return float(some.max()) if some.size else -math.inf

    def sample(self, step: int, lowest: float) -> Array:
        """Return each `step`-th error, if it matters."""
        some = self.errors[::step]
        above = ~(some < lowest)  # NaN is not below
        if self._counted is not None:
            above &= self._counted[::step]
        return some[above]

    def replace(self, walk: _Walk, lowest: float) -> float:
        """Put d loss / d errors in place of the errors, of the only piece there is.

        Returns the loss.
        """
        places = self._above(self.errors, lowest)
        if places is None:
            by_error, loss = walk.by_error(self.errors, self._foreground, self.inside, 0)
            self.errors[...] = by_error
            return loss
        some = (self.errors.take(places), self._foreground.take(places))
        by_error, loss = walk.by_error(*some, self.inside, 0)
        self.errors[...] = 0.0
        self.errors[places] = by_error
        return loss

    def _above(self, x: Array, lowest: float) -> Array | None:
        """Return the places of the pixels that matter, None for all."""
        if self._counted is None and x.min() >= lowest:
            return None
        above = ~(x < lowest)  # NaN is not below
        if self._counted is not None:
            above &= self._counted
        return above.nonzero()[0]

    def split(self, cuts: _Cuts) -> None:
        """Bring the errors that matter, bucket by bucket, to the front; keep whose they are."""
        xp = self.xp
        x = self.errors + 0.0
        places = self._above(x, cuts.lowest)
        if places is not None:
            x = xp.take(x, places)
        self.ends = [0, x.size]
        if cuts.number > 1:
            buckets = cuts.buckets_of(x)
            order = xp.argsort(buckets, stable=True)
            x = xp.take(x, order)
            places = order if places is None else xp.take(places, order)
            ends = xp.arange(cuts.number + 1, dtype=xp.uint8, device=device(x))
            self.ends = xp.searchsorted(xp.take(buckets, order), ends).tolist()
        self.errors[: x.size] = x
        inside = self._foreground
        if places is None:
            places = xp.arange(x.size, dtype=xp.uint32, device=device(x))
        else:
            inside = xp.take(inside, places)
        self.codes = xp.astype(places, xp.uint32, copy=False) << 1
        self.codes |= inside
        self.insides = self._insides(inside)

    def _insides(self, inside: Array) -> Array:
        """Return how many foreground pixels each bucket has."""
        xp = self.xp
        starts = xp.asarray(self.ends[:-1], dtype=xp.int64, device=device(inside))
        padded = xp.concat([inside, xp.zeros((1,), dtype=xp.bool, device=device(inside))])
        found = xp.add.reduceat(padded, starts, dtype=xp.int64)
        empty = starts == xp.asarray(self.ends[1:], dtype=xp.int64, device=device(inside))
        return found * ~empty  # which would be the entry at its start

    def put_back(self) -> None:
        """Bring d loss / d errors, in place of the errors, to their pixels."""
        xp, codes = self.xp, self.codes
        by_error = xp.zeros(self.errors.shape, dtype=self.errors.dtype, device=device(self.errors))
        by_error[xp.astype(codes >> 1, xp.int64)] = self.errors[: codes.size]
        self.errors[...] = by_error


def _lowest(pieces: list[_Piece], least: float) -> float:
    """Return the error below which no pixel matters.

    Background with an error below the smallest one of the foreground comes after all of it, where
    the Jaccard loss is 1 already; without a foreground, everything but the largest error does.
    """
    if any(piece.inside for piece in pieces):
        found = [piece.least_inside for piece in pieces]
        lowest = min(found)
    else:
        found = [piece.largest() for piece in pieces]
        lowest = max(found, default=least)
    return least if any(map(math.isnan, found)) else max(least, lowest)


class _Cuts:
    """Where the errors are cut into buckets about equally full, as a sample of them tells.

    Parameters
    ----------
    pieces : list of _Piece
    lowest : float, the smallest error that matters
    """

    def __init__(self, xp: Namespace, pieces: list[_Piece], lowest: float) -> None:
        self.xp = xp
        self.lowest = lowest
        self.number = 1
        total = sum(piece.errors.shape[0] for piece in pieces)
        if total <= _BUCKET:
            return
        step = max(1, total // _SAMPLE) | 1  # odd: not the same column of each row of an image
        sample = xp.concat([piece.sample(step, lowest) for piece in pieces])
        self.number = max(1, min(_MOST_BUCKETS, -(-sample.size * step // _BUCKET)))
        if self.number > 1:
            self._cut(sample, [piece.highest for piece in pieces])

    def _cut(self, sample: Array, highest: list[float]) -> None:
        xp, dtype, on = self.xp, sample.dtype, device(sample)
        low = int(bits_of(xp, xp.asarray(max(self.lowest, 0.0), dtype=dtype, device=on)))
        if all(one < math.inf for one in highest):
            high = int(bits_of(xp, xp.asarray(max(highest), dtype=dtype, device=on)))
        else:  # the bits of a NaN are larger than those of all numbers
            high = int(xp.iinfo(bits_dtype(xp, sample)).max)
        self._first = low
        self._shift = max(0, (high - low).bit_length() - _DIGIT_BITS)
        found = xp.bincount(self._digits(sample), minlength=(high - low >> self._shift) + 1)
        above = sample.size - xp.cumulative_sum(found)
        buckets = above * self.number // sample.size
        # Below the whole sample there are others.
        self._bucket_of_digit = xp.astype(xp.clip(buckets, 0, self.number - 1), xp.uint8)

    def _digits(self, x: Array) -> Array:
        """Return the leading bits of errors: a negative one, which rounding can make, is as 0."""
        xp = self.xp
        digits = bits_of(xp, xp.maximum(x, xp.zeros_like(x)))
        digits -= self._first
        digits >>= self._shift
        # NumPy before 2.1 counts and takes by no unsigned 64-bit integers.
        return digits.view(xp.int64) if digits.dtype == xp.uint64 else digits

    def buckets_of(self, x: Array) -> Array:
        """Return the number of the bucket of each error."""
        return self.xp.take(self._bucket_of_digit, self._digits(x))


@dataclass(frozen=True)
class _Bucket:
    """A bucket: its number, and the foreground left and the pixels counted before it."""

    number: int
    rest: int
    before: int

    def replace(self, walk: _Walk, pieces: list[_Piece]) -> float:
        """Put d loss / d errors in place of the errors; return the part of the loss."""
        xp, i = walk.xp, self.number
        parts = [(piece, slice(piece.ends[i], piece.ends[i + 1])) for piece in pieces]
        parts = [(piece, part) for piece, part in parts if part.start < part.stop]
        if not parts:
            return 0.0
        x = xp.concat([piece.errors[part] for piece, part in parts])
        inside = xp.concat([piece.codes[part] for piece, part in parts]) % 2 == 1
        by_error, loss = walk.by_error(x, inside, self.rest, self.before)
        start = 0
        for piece, part in parts:
            stop = start + part.stop - part.start
            piece.errors[part] = by_error[start:stop]
            start = stop
        return loss


def _buckets(pieces: list[_Piece], number: int, support: int) -> list[_Bucket]:
    """Return the buckets, from that of the largest errors down."""
    if not pieces:
        return []
    found, before = [], 0
    insides = sum(piece.insides for piece in pieces)
    for i in range(number):
        found.append(_Bucket(i, support, before))
        support -= int(insides[i])
        before += sum(piece.ends[i + 1] - piece.ends[i] for piece in pieces)
    return found


def rows_of(x: Array) -> tuple[int, int, int]:
    """Return the shape (rows, 1, pixels) of a class's errors, (images, ...), to work in place.

    Images of few pixels go into one row, which may be a copy.
    """
    count = math.prod(x.shape[1:])
    images = x.shape[0] if count >= _PIECE else 1
    return images, 1, math.prod(x.shape) // max(1, images)


def flat(xp: Namespace, *arrays: Array) -> list[Array]:
    """Return arrays (rows, 1, pixels) as one row each."""
    return [xp.reshape(x, (1, 1, math.prod(x.shape))) for x in arrays]


def in_order(xp: Namespace, x: Array, foreground: Array) -> tuple[Array, Array]:
    """Return the places of the entries of a row from the largest down, and their kinds.

    Equal entries keep their order. Both are integers, a kind 1 for foreground, else 0.
    """
    if _suits_keys(xp, x):
        return _by_keys(xp, x, foreground)
    order = descending(xp, x)
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

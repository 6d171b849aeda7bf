"""Histograms: how many elements, and how much of them, fall into each bin from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from array_losses.core.library import Library
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    device,
    index_dtype,
    is_bool,
    wide_dtype,
)
from array_losses.core.threads import Map

__all__ = ["Histogram", "KindHistogram"]


class Histogram:
    """Elements of two kinds, foreground and background, in bins of equal width.

    Parameters
    ----------
    x : array (rows, classes, elements)
        What is binned: below 0, and NaN, into the first bin, 1 and above into the last.
    foreground, background : arrays of the same shape
        How much each element counts as either; bools if none is both or counts partly.
    bins : int
    in_pieces : bool
        Whether to work on pieces that fit the cache, whose values are inspected.
    each : callable, optional
        Calls a function for each piece of a list.
    """

    def __init__(
        self,
        lib: Library,
        x: Array,
        foreground: Array,
        background: Array,
        bins: int,
        *,
        in_pieces: bool = False,
        each: Map | None = None,
    ) -> None:
        self.lib, self.xp = lib, lib.xp
        self._bins = bins
        self._each = each or _one_by_one
        self._arrays = (x, foreground, background)
        self._in_pieces = in_pieces
        self._cuts = lib.pieces(x.shape[2]) if in_pieces else [slice(None)]
        self._made: list[_Piece] = []

    def sums(self, values: Array | None = None) -> tuple[Array, Array]:
        """Return the counts of both kinds, or the sums of `values`: (rows, classes, bins)."""
        pieces = self._pieces()

        def sums(i: int) -> tuple[Array, Array]:
            some = values if values is None or len(pieces) == 1 else values[:, :, self._cuts[i]]
            return pieces[i].sums(some)

        foreground, background = zip(*self._each(sums, range(len(pieces))), strict=True)
        return sum(foreground[1:], foreground[0]), sum(background[1:], background[0])

    def spread(self, foreground: Array, background: Array) -> Array:
        """Return to each element its counts times the numbers of its bin, by kind."""
        pieces = self._pieces()
        if len(pieces) == 1:
            return pieces[0].spread(foreground, background)
        result = self.xp.empty_like(self._arrays[0])

        def spread(i: int) -> None:
            result[:, :, self._cuts[i]] = pieces[i].spread(foreground, background)

        self._each(spread, range(len(pieces)))
        return result

    def _pieces(self) -> list[_Piece]:
        """Return the pieces; what they keep of each element is small."""
        if not self._made:
            self._made = self._each(self._piece, self._cuts)
        return self._made

    def _piece(self, piece: slice) -> _Piece:
        x, foreground, background = (one[:, :, piece] for one in self._arrays)
        return _Piece(self.lib, x, foreground, background, self._bins, can_inspect=self._in_pieces)


class KindHistogram:
    """Elements on a device, of all rows at once, that are foreground or background.

    Parameters
    ----------
    x : array (rows, classes, ...)
        What is binned, as for `Histogram`.
    foreground : bool array (rows, classes, elements)
    counted : array that broadcasts to it, optional
        How much each element counts, bool if that is 0 or 1; by default all count 1.
    bins : int
    """

    def __init__(
        self, lib: Library, x: Array, foreground: Array, counted: Array | None, bins: int
    ) -> None:
        self.lib, self.xp = lib, lib.xp
        self._bins = bins
        self._counted = counted
        self._dtype = x.dtype
        place = self.xp.reshape(lib.bins_of(x, bins), foreground.shape)
        # Between the kinds is a place for the 0 in front of the bins.
        self._place = lib.add_multiple(place, foreground, bins + 1)

    def twice_from_below(self) -> Array:
        """Return twice the number in the bins below each, then in all: (rows, classes, kinds, ...).

        The kinds are background and foreground, and elements count 1 or not at all. Halves of these
        are wanted, and to add 2 costs no more than to add 1.
        """
        xp = self.xp
        dtype = self.lib.counting_dtype(self._dtype, 2 * self._place.shape[2])
        if self._counted is None:
            two = xp.full((1, 1, 1), 2, dtype=dtype, device=device(self._place))
        else:
            two = 2 * xp.astype(self._counted, dtype)
        return self.lib.accumulated(self._after_zero(two))

    def sums(self) -> tuple[Array, Array]:
        """Return how much of both kinds is in each bin: (rows, classes, bins)."""
        xp = self.xp
        wide = wide_dtype(xp, self._dtype, device(self._place))
        found = self._after_zero(xp.astype(self._counted, wide))
        return found[:, :, 1, 1:], found[:, :, 0, 1:]

    def _after_zero(self, x: Array) -> Array:
        """Return the sums of `x` by kind and bin, a 0 in front of them."""
        rows, classes, _ = self._place.shape
        length = self._bins + 1
        found = self.lib.sums_after_zero(self._place, x, 2 * length - 1, x.dtype)
        return self.xp.reshape(found, (rows, classes, 2, length))

    def beside(self, foreground: Array, background: Array) -> Array:
        """Return numbers of bins by kind as `spread` takes them."""
        return self.xp.concat([background, background[:, :, :1], foreground], axis=2)

    def spread(self, numbers: Array) -> Array:
        """Return to each element the number of its place, times how much it counts.

        Numbers of the bins as background, one that no element gets, and so as foreground.
        """
        by_place = self.lib.in_order(numbers, self._place)
        if self._counted is not None:
            by_place *= self.xp.astype(self._counted, by_place.dtype, copy=False)
        return by_place


def _one_by_one(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


class _Piece:
    """Some of the elements, and the place of each among the bins of all rows and classes."""

    def __init__(
        self,
        lib: Library,
        x: Array,
        foreground: Array,
        background: Array,
        bins: int,
        *,
        can_inspect: bool,
    ) -> None:
        self.lib, xp = lib, lib.xp
        self.xp = xp
        self._shape = (*x.shape[:2], bins)
        self._on = device(x)
        self._wide = wide_dtype(xp, x.dtype, self._on)
        self._place = self._places(x, foreground, can_inspect=can_inspect)
        self._parts = (foreground, background)
        self._apart = is_bool(xp, foreground.dtype)
        if self._apart:
            counted = foreground | background
            self._counts = None if can_inspect and xp.all(counted) else counted

    def _places(self, x: Array, foreground: Array, *, can_inspect: bool) -> Array:
        """Return the bin of each element, counted on from row to row.

        Where each counts as one kind only, each bin is two, so that one pass serves both kinds.
        """
        xp, bins = self.xp, self._shape[2]
        index = index_dtype(xp, self._on)
        rows, kinds = math.prod(x.shape[:2]), 2 if is_bool(xp, foreground.dtype) else 1
        dtype = _narrowest(xp, kinds * rows * bins) if can_inspect else index
        scaled = _scaled(xp, x, bins) if can_inspect else self.lib.bins_of(x, bins)
        place = xp.astype(scaled, dtype, copy=False)
        if rows != 1:
            first = xp.arange(rows, dtype=dtype, device=self._on)
            place = place + bins * xp.reshape(first, (*x.shape[:2], 1))
        if kinds == 2:
            place = place + place + xp.astype(foreground, dtype)
        return place

    def sums(self, x: Array | None = None) -> tuple[Array, Array]:
        """Return the counts of both kinds, or the sums of `x`: (rows, classes, bins)."""
        if self._apart:
            both = self._by_bin(self._weighted(self._counts, x), kinds=2)
            both = self.xp.reshape(both, (*self._shape, 2))
            return both[..., 1], both[..., 0]
        weighted = (self._weighted(part, x) for part in self._parts)
        each = [self.xp.reshape(self._by_bin(one, kinds=1), self._shape) for one in weighted]
        return each[0], each[1]

    def spread(self, foreground: Array, background: Array) -> Array:
        """Return to each element its counts times the numbers of its bin, by kind."""
        if not self._apart:
            pairs = zip(self._parts, (foreground, background), strict=True)
            return sum(self.xp.astype(part, one.dtype) * self._of_bin(one) for part, one in pairs)
        both = self._of_bin(self.xp.stack((background, foreground), axis=-1))
        return both if self._counts is None else self.xp.astype(self._counts, both.dtype) * both

    def _weighted(self, counts: Array | None, x: Array | None) -> Array | None:
        """Return the counts times `x`; None stands for 1."""
        xp = self.xp
        if x is None:
            return counts if counts is None else xp.astype(counts, self._wide)
        return x if counts is None else xp.astype(counts, x.dtype) * x

    def _of_bin(self, numbers: Array) -> Array:
        """Return the number of each element's bin."""
        xp, place = self.xp, self._place
        taken = xp.take(xp.reshape(numbers, (-1,)), xp.reshape(place, (-1,)), axis=0)
        return xp.reshape(taken, place.shape)

    def _by_bin(self, counts: Array | None, *, kinds: int) -> Array:
        """Return the sums by bin of counts, or their number, in one row."""
        xp, place = self.xp, self.xp.reshape(self._place, (-1,))
        counts = counts if counts is None else xp.reshape(counts, (-1,))
        return self.lib.sum_at(place, counts, kinds * math.prod(self._shape), self._wide)


def _narrowest(xp: Namespace, length: int) -> DType:
    """Return the integers for places among so many: NumPy computes with narrow ones faster."""
    if length <= xp.iinfo(xp.uint16).max:
        return xp.uint16
    return xp.int32 if length <= xp.iinfo(xp.int32).max else xp.int64


def _scaled(xp: Namespace, x: Array, bins: int) -> Array:
    """Return `x` times the bins: 1 and above in the last bin, below 0, and NaN, in the first.

    As `Library.bins_of`, but inspected: most often nothing lies outside.
    """
    scaled = x * bins
    if 0 in x.shape:
        return scaled
    last = bins * (1.0 - float(xp.finfo(x.dtype).eps))  # bins - 0.5 may round to bins
    low, high = xp.min(scaled), xp.max(scaled)
    if low >= 0.0 and high <= last:
        return scaled
    clipped = xp.clip(scaled, 0.0, last)
    return xp.where(xp.isnan(clipped), 0.0, clipped) if xp.isnan(low) else clipped

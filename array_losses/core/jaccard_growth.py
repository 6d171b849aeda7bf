"""Lovász losses on a device where each pixel counts 1 or not at all: few kernels, in place.

How much the pixels raise the Jaccard loss is what `losses/lovasz.py` says, in forms for whole
numbers. Arrays are (rows, classes, images, pixels) and, with what goes together on one axis,
(rows, classes, pixels).
"""

from __future__ import annotations

from array_losses.core.histogram import KindHistogram
from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, device

__all__ = ["by_bins", "by_sorting"]

_NEXT_TO_NOTHING = 2.0**-64

# Below all errors: those of pixels that do not count.
_LAST = -1.0


def by_sorting(
    lib: Library, errors: Array, foreground: Array, counted: Array | None, *, keep_absent: bool
) -> tuple[Array, Array, Array]:
    """Return loss, support and d loss / d errors, exact.

    With `keep_absent` also of classes without a foreground, whose loss is then wanted.

    Parameters
    ----------
    errors : array (rows, classes, images, pixels)
    foreground : bool array (rows, classes, pixels)
    counted : bool array that broadcasts to it, or None where all count
    """
    xp, dtype = lib.xp, errors.dtype
    errors = xp.reshape(errors, foreground.shape)
    if counted is not None:
        errors, foreground = xp.where(counted, errors, _LAST), foreground & counted
    ordered, order = lib.sorted_descending(errors)
    del errors  # and its memory, if it was a copy
    foreground = lib.in_order(foreground, order)
    growth, support = _along(lib, foreground, dtype, keep_absent=keep_absent)
    if keep_absent and counted is not None:
        first = growth[:, :, :1]  # where none counts, the first does not either
        first *= xp.astype(ordered[:, :, :1] > _LAST, dtype)
    by_error = lib.back_in_place(order, growth)
    growth *= ordered
    return xp.sum(growth, axis=2), support, by_error


def by_bins(
    lib: Library, errors: Array, kinds: KindHistogram, *, keep_absent: bool
) -> tuple[Array, Array, Array]:
    """Return loss, support and d loss / d errors of what a histogram tells apart.

    With `keep_absent` also of classes without a foreground, whose loss is then wanted.
    """
    xp = lib.xp
    growth, support = _from_below(
        lib, kinds.twice_from_below(), errors.dtype, keep_absent=keep_absent
    )
    by_error = kinds.spread(growth)
    del kinds, growth
    losses = errors * xp.reshape(by_error, errors.shape)
    return xp.sum(losses, axis=(2, 3)), support, by_error


def _along(
    lib: Library, foreground: Array, dtype: DType, *, keep_absent: bool
) -> tuple[Array, Array]:
    """Return the growth of pixels in order, and G; those that do not count are the last.

    F + B is then the place in the order. With F and B after a pixel, its own among them:
    1 / (G + B) for foreground, (G - F) / ((G + B - 1) (G + B)) for background, and so 0 after all
    foreground.
    """
    xp, count = lib.xp, foreground.shape[2]
    found = lib.running_count(foreground, dtype)
    rest = found[:, :, -1:] - found
    support = xp.astype(found[:, :, -1], dtype)  # a copy
    del found
    rest = xp.astype(rest, dtype, copy=False)
    # The growth of the first pixel is 1 / (G + B), whatever it is: x / x / (G + B) also where x is
    # next to 0. Where it is not, that is lost to rounding.
    union = rest + xp.arange(_NEXT_TO_NOTHING, count, dtype=dtype, device=device(foreground))
    if keep_absent:
        first = rest[:, :, :1]
        first += _NEXT_TO_NOTHING
    growth = xp.where(foreground, union, rest)
    del rest
    growth /= lib.add_product(union, union, union)
    return growth, support


def _from_below(
    lib: Library, twice: Array, dtype: DType, *, keep_absent: bool
) -> tuple[Array, Array]:
    """Return the growth of a pixel of each step, and G.

    With U = G + B before a step, V = G + B after it, Q and R the foreground from it and from below
    it down: (1 / U + 1 / V) / 2 for foreground, (Q + R) / (2 U V) for background. V and R are U and
    Q of the step below. Where U is 0, so is G: with 1 for Q and 1/2 for U that is 1 / V.

    Parameters
    ----------
    twice : array (rows, classes, kinds, 1 + steps)
        Twice the background, and the foreground, in all steps below each, then in all.

    Returns
    -------
    growth : array (rows, classes, places)
        As `KindHistogram.spread` takes it.
    support : array (rows, classes)
    """
    xp, (rows, classes, kinds, length) = lib.xp, twice.shape
    background, found = twice[:, :, 0, :], twice[:, :, 1, :]
    support = 0.5 * xp.astype(found[:, :, -1], dtype, copy=False)
    total = background[:, :, -1:] + found[:, :, -1:]
    if keep_absent:
        found = xp.maximum(found, background + (2 - total))
    union, found = (xp.astype(x, dtype, copy=False) for x in (total - background, found))
    inverse = lib.inverse(union, least=1.0)
    # In place of the counts, where these are of that dtype.
    growth = xp.reshape(xp.astype(twice, dtype, copy=False), (rows, classes, kinds * length))
    of_background, of_foreground = growth[:, :, : length - 1], growth[:, :, length:-1]
    lib.add_into(of_background, found[:, :, 1:], found[:, :, :-1])
    of_background *= inverse[:, :, 1:]
    of_background *= inverse[:, :, :-1]
    lib.add_into(of_foreground, inverse[:, :, 1:], inverse[:, :, :-1])
    return growth, support

"""Low precision: how a block is widened to the compute dtype, and narrowed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace

__all__ = ["Conversion", "as_float16", "conversion"]


@dataclass(frozen=True)
class Conversion:
    """From the dtype of the logits to the compute dtype, and back; the same array where equal."""

    widen: Callable[[Array], Array]
    narrow: Callable[[Array], Array]


def conversion(lib: Library, dtype: DType, compute: DType) -> Conversion:
    """Return the conversion between two dtypes of a library."""
    return Conversion(
        lambda x: lib.xp.astype(x, compute, copy=False), lambda x: lib.narrowed(x, dtype)
    )


def as_float16(xp: Namespace, x: Array) -> Array:
    """Return `x` as float16, first rounded to where a small number is one.

    NumPy takes 50 to 70 ns to round a float32 to a float16 below its normal range, as most entries
    of a gradient are, and a tenth of that where nothing is left to round. There its numbers are the
    multiples of 2**-24, the distance between the float32 numbers next to 0.75.
    """
    if not xp.all(xp.isfinite(x)):
        return xp.astype(x, xp.float16)
    rounded = x + 0.75
    rounded -= 0.75
    rounded -= x
    rounded *= xp.astype(xp.abs(x) < 2.0**-14, x.dtype)
    rounded += x
    return xp.astype(rounded, xp.float16)

"""CuPy: eager arrays on a GPU, whose values are not inspected, since that waits for it."""

from __future__ import annotations

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType

__all__ = ["CuPy"]


class CuPy(Library):
    """CuPy, whose arrays are written in place."""

    writes_by_index = True

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places."""
        return self.xp.bincount(places, x, minlength=length)

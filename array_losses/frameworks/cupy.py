"""CuPy: eager arrays on a GPU, whose values are not inspected, since that waits for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace, device
from array_losses.frameworks.sent import Sent

__all__ = ["CuPy"]


class CuPy(Library):
    """CuPy, whose arrays are written in place."""

    writes_by_index = True

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self._sent = Sent(xp.ndarray)

    def as_current(self, x: Array) -> AbstractContextManager[Any]:
        """Return a context in which the device of `x` is the current one.

        On no other does CuPy make arrays and start kernels, wherever their arguments are.
        """
        return x.device

    def per_class(self, values: tuple[float, ...], dtype: DType, on: Any) -> Array:
        """Return numbers that are known, one per class, as a row that nobody writes to."""

        def send() -> Array:
            # Blocking: another stream may be the next to read it.
            return self.xp.asarray(list(values), dtype=dtype, device=on, blocking=True)

        return self._sent.get((values, dtype, int(on)), send)

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places.

        `bincount` would wait for the largest place. Like it, this adds in any order: counts are
        exact, and weighted sums, in the widest dtype, may differ in their last bits from run to
        run. Threads that add at one place take turns; with a bin for nearly all background that is
        slow, but the alternative, a sort, moves more.
        """
        sums = self.xp.zeros((length,), dtype=dtype, device=device(places))
        sums.scatter_add(places, 1.0 if x is None else x)
        return sums

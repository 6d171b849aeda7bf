"""CuPy: eager arrays on a GPU, whose values are not inspected, since that waits for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace, device, index_dtype
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

    def softmax(self, logits: Array) -> tuple[Array, Any]:
        """Return the probability of each class, and what its logarithm can be had from sooner."""
        xp, peak = self.xp, self.largest_class(logits)
        p = logits - peak
        xp.exp(p, out=p)
        total = self.over_classes(p)
        p /= total
        return p, (peak, total)

    def class_index(self, labels: Array, num_classes: int) -> Array:
        """Return labels as the index of a class, the nearest for one that is none."""
        xp = self.xp
        # A number is an argument of the kernel: no array is filled with it.
        index = xp.astype(labels, index_dtype(xp, device(labels)), copy=False)
        return xp.minimum(xp.maximum(index, 0), num_classes - 1)

    def take_class(self, x: Array, index: Array) -> Array:
        """Return the entry of `x` at the class that `index` (images, 1, pixels) names."""
        if x.shape[0] == x.shape[2] == 1:
            return self.xp.take(x[0, :, 0], index, axis=0)  # one kernel in place of seven
        return super().take_class(x, index)

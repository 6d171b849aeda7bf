"""NumPy: what it does best on eager arrays in the memory of the CPU."""

from __future__ import annotations

import functools
import math
import platform

from array_losses.core import memory, sorting, threads
from array_losses.core.labels import IndexedLabels, Labels
from array_losses.core.library import Library
from array_losses.core.low_precision import as_float16
from array_losses.core.namespace import Array, DType, Namespace, device, index_dtype

__all__ = ["NumPy"]

# Up to so many classes it multiplies with all of them faster than it reads and writes at labels.
_FEW_CLASSES = 8
# So many elements at a time stay in the cache with all that is made of them.
_PIECE = 1 << 17
# It leaves dot products to OpenBLAS, which starts threads for one of more than 10,000 numbers: of
# float64, and of float32 except on x86. They spin beside ours and everybody else's. Next to one
# busy process that takes 30 times as long: https://github.com/OpenMathLib/OpenBLAS/issues/5171.
_LONGEST_DOT = 1 << 13


class NumPy(Library):
    """NumPy, which releases the interpreter lock, and whose arrays are written in place."""

    writes_by_index = True
    checks_devices = True  # There is but one.
    works_in_pieces = True

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        memory.keep_freed_blocks(xp)

    def threads(self) -> int:
        """Return the number of cores that may be used."""
        return threads.available()

    def new_gradient(self, logits: Array, workers: int) -> Array:
        """Return an array like the logits, its memory handed out to the threads."""
        gradient = self.xp.empty_like(logits)
        memory.touch(gradient, workers)
        return gradient

    def narrowed(self, x: Array, dtype: DType) -> Array:
        """Return a gradient in the dtype of the logits."""
        if dtype == self.xp.float16 and x.dtype != dtype:
            return as_float16(self.xp, x)
        return super().narrowed(x, dtype)

    def labels(self, labels: Array, num_classes: int) -> Labels:
        """Return labels that are read and written as eager arrays are best."""
        form = _OneHotLabels if num_classes <= _FEW_CLASSES else _BincountLabels
        return form(self, labels, num_classes)

    def all_within(self, target: Array, highest: int) -> bool:
        """Return whether integers are known, at one glance, to lie within 0 to `highest`.

        Read as unsigned, what is negative is large: one maximum in place of two extremes.
        """
        if not target.dtype.isnative:
            return False
        unsigned = target.view(f"u{target.dtype.itemsize}") if target.dtype.kind == "i" else target
        return bool(self.xp.max(unsigned) <= highest)

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places."""
        return self.xp.bincount(places, x, minlength=length)

    def sum_pixels(self, x: Array, y: Array) -> Array:
        """Return the sums over pixels of `x` times `y`, (images, classes)."""
        xp = self.xp
        if x.shape[2] <= _LONGEST_DOT or (x.dtype == xp.float32 and _is_x86()):
            return xp.vecdot(x, y)
        return _short_dots(xp, x, y)

    def sum_classes(self, x: Array, y: Array) -> Array:
        """Return the sums over classes of `x` times `y`, (images, 1, pixels).

        `x` may hold one number per class.
        """
        # Not as a matrix product: for a large block OpenBLAS would start threads, as above.
        form = "ncx,ncp->np" if x.shape[2] == 1 else "ncp,ncp->np"
        return self.xp.einsum(form, x, y)[:, None, :]

    def descending(self, x: Array) -> Array:
        """Return the order that sorts along the last axis, the largest entry first."""
        is_row = math.prod(x.shape[:-1]) == 1
        if is_row and sorting.bits_dtype(self.xp, x) is not None:
            return sorting.descending(self.xp, x)
        return super().descending(x)

    def count_true(self, mask: Array) -> Array:
        """Return how many entries of `mask` are true, counted without a copy as integers."""
        xp, on = self.xp, device(mask)
        return xp.asarray(xp.count_nonzero(mask), dtype=index_dtype(xp, on), device=on)

    def largest(self, x: Array, number: Array) -> Array:
        """Return where the `number` largest entries of a row are, and all that are NaN."""
        row = self.xp.reshape(x, (-1,))
        return self.xp.reshape(sorting.largest(self.xp, row, int(number)), x.shape)

    def pieces(self, count: int) -> list[slice]:
        """Return slices that cut so many elements into pieces for the cache."""
        return [slice(i, i + _PIECE) for i in range(0, count, _PIECE)] or [slice(None)]


class _OneHotLabels(IndexedLabels):
    """Labels of few classes, read and written by products with all of them."""

    by_products = True

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        return self.lib.sum_classes(self.one_hot(x.dtype), x)

    def pick_beside_infinity(self, x: Array) -> Array:
        """Return the same, also where other entries of a pixel are infinite."""
        return super().pick(x)

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the entries at the labels, and all others with 0 there."""
        label = self.pick(x)
        others = self.one_hot(x.dtype) * label
        return label, self.xp.subtract(x, others, out=others)

    def join(self, label: Array, others: Array) -> Array:
        """Return the inverse of `split`; `others`, with 0 at the labels, may change."""
        others += self.one_hot(label.dtype) * label
        return others

    def of_class(self, numbers: Array) -> Array:
        """Return the label's entry of `numbers` (images or 1, classes, 1)."""
        return self.lib.sum_classes(numbers, self.one_hot(numbers.dtype))


class _BincountLabels(IndexedLabels):
    """Labels of many classes, whose sums need no comparison with each."""

    def sums(self, x: Array) -> Array:
        """Return the sums of `x` (images, 1, pixels) by label, (images, classes)."""
        xp, images = self.xp, self._labels.shape[0]
        length = images * self.num_classes
        flat = xp.bincount(self._flat_class_place(), xp.reshape(x, (-1,)), minlength=length)
        return xp.reshape(flat, (images, self.num_classes))


def _short_dots(xp: Namespace, x: Array, y: Array) -> Array:
    """Return `vecdot` of arrays with the same pixels, added up from pieces."""
    pieces, rest = divmod(x.shape[2], _LONGEST_DOT)
    even = x.shape[2] - rest
    rows = [one[:, :, :even].reshape(*one.shape[:2], pieces, _LONGEST_DOT) for one in (x, y)]
    found = xp.add.reduce(xp.vecdot(*rows), axis=2)
    return found + xp.vecdot(x[:, :, even:], y[:, :, even:]) if rest else found


@functools.cache
def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64"}

"""What an array library does best: here with the functions of the standard alone.

`core` asks an object of this class and never which library it is; `frameworks` has a subclass for
each library that does some of it better.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from array_losses.core.labels import IndexedLabels, Labels
from array_losses.core.namespace import Array, DType, Namespace, device, index_dtype

__all__ = ["Library"]


class Library:
    """An array library that has nothing but the standard.

    Parameters
    ----------
    xp : the namespace of its arrays

    Attributes
    ----------
    writes_by_index : whether an integer array may be the index of what is written
    checks_devices : whether it raises an error itself where devices differ, or has but one
    compares_floats : whether its compilers compare labels faster as floating numbers
    works_in_pieces : whether sorting and counting inspect arrays, in pieces that fit the cache
    labelled_softmax : its compiler's form of `target_probability.LabelledSoftmax`, or None
    """

    writes_by_index = False
    checks_devices = False
    compares_floats = False
    works_in_pieces = False
    labelled_softmax: Any = None

    def __init__(self, xp: Namespace) -> None:
        self.xp = xp

    # Work and memory.

    def threads(self) -> int:
        """Return how many threads work on blocks side by side if nobody says otherwise."""
        return 1

    def new_gradient(self, logits: Array, workers: int) -> Array:
        """Return an array like the logits, to be written by so many threads."""
        return self.xp.empty_like(logits)

    def narrowed(self, x: Array, dtype: DType) -> Array:
        """Return a gradient in the dtype of the logits."""
        return self.xp.astype(x, dtype, copy=False)

    def as_current(self, x: Array) -> AbstractContextManager[Any]:
        """Return a context in which the library computes on the device of `x`."""
        return nullcontext()

    def per_class(self, values: tuple[float, ...], dtype: DType, on: Any) -> Array:
        """Return numbers that are known, one per class, as a row that nobody writes to."""
        return self.xp.asarray(list(values), dtype=dtype, device=on)

    # Labels.

    def labels(self, labels: Array, num_classes: int) -> Labels:
        """Return labels that are read and written as eager arrays are best."""
        return IndexedLabels(self, labels, num_classes)

    def compared_labels(self, labels: Array, num_classes: int) -> Labels:
        """Return labels that are read and written by comparison, which a compiler fuses."""
        return Labels(self, labels, num_classes)

    def all_within(self, target: Array, highest: int) -> bool:
        """Return whether integers are known, at one glance, to lie within 0 to `highest`."""
        return False

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places.

        The standard has no scatter: it sorts the places.
        """
        xp, on = self.xp, device(places)
        if x is None:
            x = xp.ones(places.shape, dtype=dtype, device=on)
        order = xp.argsort(places, stable=True)
        ordered = xp.take(xp.astype(x, dtype, copy=False), order, axis=0)
        total = xp.cumulative_sum(ordered, include_initial=True)
        ends = xp.arange(length + 1, dtype=places.dtype, device=on)
        edges = xp.searchsorted(xp.take(places, order, axis=0), ends)
        sums = xp.take(total, edges, axis=0)
        return sums[1:] - sums[:-1]

    def sums_after_zero(self, places: Array, x: Array, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place along the last axis, a 0 in front of them.

        `x` broadcasts to the places.
        """
        xp, (*rows, count) = self.xp, places.shape
        number, on = math.prod(rows), device(places)
        index = index_dtype(xp, on)
        first = 1 + (length + 1) * xp.arange(number, dtype=index, device=on)
        places = xp.astype(places, index, copy=False) + xp.reshape(first, (*rows, 1))
        places, total = xp.reshape(places, (number * count,)), number * (length + 1)
        if math.prod(x.shape) == 1:
            sums = xp.astype(self.sum_at(places, None, total, dtype), dtype, copy=False)
            return x * xp.reshape(sums, (*rows, length + 1))
        every = xp.reshape(xp.broadcast_to(x, (*rows, count)), (number * count,))
        sums = xp.astype(self.sum_at(places, every, total, dtype), dtype, copy=False)
        return xp.reshape(sums, (*rows, length + 1))

    def bins_of(self, x: Array, bins: int) -> Array:
        """Return the bin from 0 to 1 of each entry: below 0, and NaN, the first; above 1, the last.

        As integers.
        """
        xp = self.xp
        last = bins * (1.0 - float(xp.finfo(x.dtype).eps))  # bins - 0.5 may round to bins
        scaled = xp.minimum(x * bins, xp.full_like(x, last))
        return xp.astype(xp.where(x > 0.0, scaled, 0.0), index_dtype(xp, device(x)))

    def add_multiple(self, x: Array, y: Array, factor: float) -> Array:
        """Return `x` plus a number times `y`, which may be a mask, in place of `x`."""
        x += factor * self.xp.astype(y, x.dtype, copy=False)
        return x

    # Large kernels of devices, for arrays (images, classes, pixels).

    def softmax(self, logits: Array) -> tuple[Array, Any]:
        """Return the probability of each class, and what its logarithm can be had from sooner."""
        peak = self.largest_class(logits)
        p = self.xp.exp(logits - peak)
        total = self.over_classes(p)
        p /= total
        return p, (peak, total)

    def log_softmax(self, logits: Array, known: Any) -> Array:
        """Return the logarithm of the probability of each class."""
        peak, total = known
        log_p = logits - peak
        log_p -= self.xp.log(total)
        return log_p

    def log_softmax_at(self, logits: Array, known: Any, index: Array) -> Array:
        """Return that of the class that `index` names, (images, 1, pixels)."""
        peak, total = known
        return self.take_class(logits, index) - peak - self.xp.log(total)

    def sigmoid(self, logits: Array) -> Array:
        """Return the logistic function, with the relative accuracy of its small values."""
        xp = self.xp
        small = xp.exp(-xp.abs(logits))
        large = 1.0 / (1.0 + small)
        return xp.where(logits < 0.0, small * large, large)

    def log_sigmoid(self, logits: Array) -> Array:
        """Return its logarithm."""
        xp = self.xp
        return xp.minimum(logits, xp.zeros_like(logits)) - xp.log1p(xp.exp(-xp.abs(logits)))

    def softmax_backward(self, p: Array, dp: Array) -> Array:
        """Return p (dp - mean of dp), which may lie in place of `dp`."""
        dp -= self.sum_classes(dp, p)
        dp *= p
        return dp

    def add_product(self, x: Array, y: Array, z: Array) -> Array:
        """Return x + y z, in place of `x`."""
        x += y * z
        return x

    def filled(self, x: Array, where: Array, value: float) -> Array:
        """Return `x` with a number where a mask says so, in place if it can be."""
        return self.xp.where(where, value, x)

    def class_index(self, labels: Array, num_classes: int) -> Array:
        """Return labels as the index of a class, the nearest for one that is none."""
        xp, on = self.xp, device(labels)
        index = xp.astype(labels, index_dtype(xp, on), copy=False)
        highest = xp.full_like(index, num_classes - 1)
        return xp.minimum(xp.maximum(index, xp.zeros_like(index)), highest)

    def take_class(self, x: Array, index: Array) -> Array:
        """Return the entry of `x` at the class that `index` (images, 1, pixels) names."""
        xp, (images, _, pixels) = self.xp, index.shape
        every = xp.broadcast_to(x, (images, x.shape[1], pixels))
        return xp.take_along_axis(every, index, axis=1)

    def likeliest_class(self, p: Array) -> Array:
        """Return the index of the largest entry of all classes, (images, 1, pixels)."""
        return self.xp.argmax(p, axis=1, keepdims=True)

    def put_class(self, x: Array, index: Array, values: Array | float) -> Array:
        """Return `x` with a number, or values (images, 1, pixels), at that class.

        In place if it can be.
        """
        xp, (images, classes, pixels) = self.xp, x.shape
        on = device(x)
        if not self.writes_by_index:
            every = xp.arange(classes, dtype=index.dtype, device=on)
            return xp.where(index == every[None, :, None], values, x)
        image, pixel = (xp.arange(n, dtype=index.dtype, device=on) for n in (images, pixels))
        one = values if isinstance(values, float) else values[:, 0, :]
        x[image[:, None], index[:, 0, :], pixel[None, :]] = one
        return x

    def times(self, x: Array, y: Array) -> Array:
        """Return a product that is contiguous whatever the strides of `x`, whose shape it has."""
        return x * y

    # Sums of products of arrays (images, classes, pixels).

    def sum_pixels(self, x: Array, y: Array) -> Array:
        """Return the sums over pixels of `x` times `y`, (images, classes)."""
        # PyTorch's dot product adds up float32 one after the other; its sum does so pairwise.
        return self.xp.sum(x * y, axis=2)

    def sum_classes(self, x: Array, y: Array) -> Array:
        """Return the sums over classes of `x` times `y`, (images, 1, pixels).

        `x` may hold one number per class.
        """
        # Not as a matrix product: a setting may let PyTorch and CuPy round its factors to 10 bits.
        return self.over_classes(x * y)

    def over_classes(self, x: Array) -> Array:
        """Return the sums over classes, (images, 1, pixels)."""
        return self.xp.sum(x, axis=1, keepdims=True)

    def largest_class(self, x: Array) -> Array:
        """Return the largest entries of all classes, (images, 1, pixels)."""
        return self.xp.max(x, axis=1, keepdims=True)

    # Order.

    def descending(self, x: Array) -> Array:
        """Return the order that sorts eager arrays along the last axis, the largest entry first.

        Equal entries keep their order.
        """
        return self.xp.argsort(x, axis=-1, descending=True, stable=True)

    def in_order(self, x: Array, order: Array) -> Array:
        """Return the entries of `x` in that order."""
        xp = self.xp
        if math.prod(x.shape[:-1]) != 1:
            return xp.take_along_axis(x, order, axis=-1)
        taken = xp.take(xp.reshape(x, (-1,)), xp.reshape(order, (-1,)), axis=0)
        return xp.reshape(taken, order.shape)

    def sorted_descending(self, x: Array) -> tuple[Array, Array]:
        """Return the entries along the last axis from the largest down, and their order.

        Equal entries keep their order.
        """
        order = self.descending(x)
        return self.in_order(x, order), order

    def sorted_with(self, x: Array, mask: Array) -> tuple[Array, Array, Array]:
        """Return the same, and a mask in that order."""
        ordered, order = self.sorted_descending(x)
        return ordered, order, self.in_order(mask, order)

    def back_in_place(self, order: Array, x: Array) -> Array:
        """Return sorted entries to the places from which `order` took them."""
        xp = self.xp
        if not self.writes_by_index:
            return xp.take_along_axis(x, xp.argsort(order, axis=-1), axis=-1)
        *rows, count = x.shape
        number = math.prod(rows)
        if number != 1:
            first = xp.arange(0, number * count, count, dtype=order.dtype, device=device(order))
            order = order + xp.reshape(first, (*rows, 1))
        result = xp.empty_like(x)
        xp.reshape(result, (-1,))[xp.reshape(order, (-1,))] = xp.reshape(x, (-1,))
        return result

    def counting_dtype(self, dtype: DType, highest: int) -> DType:
        """Return the dtype to count so far in: `dtype`, if it holds all integers up to there."""
        xp = self.xp
        if highest <= 2.0 / float(xp.finfo(dtype).eps):
            return dtype
        return xp.int32 if highest <= xp.iinfo(xp.int32).max else xp.int64

    def running_count(self, mask: Array, dtype: DType) -> Array:
        """Return how many entries are true up to each place of the last axis."""
        counts = self.counting_dtype(dtype, mask.shape[-1])
        return self.cumulative_sum(self.xp.astype(mask, counts), counts)

    def count_true(self, mask: Array) -> Array:
        """Return how many entries of `mask` are true, as an integer array to count on with."""
        counts = index_dtype(self.xp, device(mask))
        return self.xp.sum(self.xp.astype(mask, counts), dtype=counts)

    def largest(self, x: Array, number: Array) -> Array:
        """Return where the `number` largest entries of a row are, and all that are NaN.

        Of equal ones at the border the first. Masks come from comparisons, so no derivative goes
        through the sort.
        """
        xp = self.xp
        broken = xp.isnan(x)
        x = xp.where(broken, float("inf"), x)
        border = self._entry(x, xp.where(number < 1, 0, number - 1))
        counts = index_dtype(xp, device(x))
        above, level = x > border, xp.astype(x == border, counts)
        left = number - self.count_true(above)
        first = self.cumulative_sum(level, counts) <= left
        return above | (first & (x == border)) | broken

    def _entry(self, x: Array, place: Array) -> Array:
        """Return the entry at a place of the order from the largest down."""
        xp = self.xp
        ordered = xp.sort(x, axis=-1, descending=True)
        places = xp.arange(x.shape[-1], dtype=place.dtype, device=device(x))
        return xp.max(xp.where(places < place, -float("inf"), ordered), axis=-1, keepdims=True)

    def cumulative_sum(self, x: Array, dtype: DType = None) -> Array:
        """Return the sums of `x` up to each place of its last axis."""
        return self.xp.cumulative_sum(x, axis=-1, dtype=dtype)

    def accumulated(self, x: Array) -> Array:
        """Return the sums up to each place of the last axis, in place if they can be."""
        return self.cumulative_sum(x, x.dtype)

    def inverse(self, x: Array, least: float) -> Array:
        """Return 1 / x, of `x` not below `least`, in place of `x` if it can be."""
        xp = self.xp
        lowest = xp.full((1,) * x.ndim, least, dtype=x.dtype, device=device(x))
        return xp.reciprocal(xp.maximum(x, lowest))

    def add_into(self, room: Array, x: Array, y: Array) -> None:
        """Write a sum into a part of an array."""
        room[...] = x + y

    def pieces(self, count: int) -> list[slice]:
        """Return slices that cut so many elements into pieces for the cache."""
        return [slice(None)]

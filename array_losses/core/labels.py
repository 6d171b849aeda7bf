"""Labels: which are ignored, which lie outside the classes, and what an array holds at them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    device,
    index_dtype,
    is_bool,
    is_real_floating,
)

if TYPE_CHECKING:
    from array_losses.core.library import Library

__all__ = [
    "DeviceLabels",
    "IndexedLabels",
    "Labels",
    "as_integers",
    "check",
    "ignored",
    "outside",
]

_INT32_MAX = (1 << 31) - 1


def as_integers(xp: Namespace, target: Array) -> Array:
    """Return `target` with booleans as 0 and 1."""
    return xp.astype(target, xp.uint8) if is_bool(xp, target.dtype) else target


def ignored(xp: Namespace, target: Array, values: tuple[int, ...]) -> Array | None:
    """Return where `target` is one of the ignored `values`, or None if it never can be.

    A value that the dtype cannot hold is passed over: comparing with it is an OverflowError in
    array-api-strict and true of no element elsewhere.
    """
    limits = xp.iinfo(target.dtype)
    found = None
    for value in values:
        if limits.min <= value <= limits.max:
            label: Array | int = value
            if value > _INT32_MAX:  # JAX takes a number for an int32, whatever the labels are.
                label = xp.full((), value, dtype=target.dtype, device=device(target))
            here = target == label
            found = here if found is None else found | here
    return found


def outside(xp: Namespace, target: Array, highest: int) -> Array:
    """Return where `target` is not an integer from 0 to `highest`."""
    if highest >= xp.iinfo(target.dtype).max:
        return target < 0
    return (target < 0) | (target > highest)


def check(
    lib: Library,
    target: Array,
    highest: int,
    ignore_index: tuple[int, ...],
    pixel_weights: Array | None,
) -> bool:
    """Raise a ValueError for a counted label outside 0 to `highest`.

    Returns whether there is an ignored element, or one outside that does not count. Inspects
    values: for eager arrays in CPU memory only.
    """
    xp = lib.xp
    if math.prod(target.shape) == 0:
        return False
    some_ignored = any(0 <= value <= highest for value in ignore_index)
    if not some_ignored and lib.all_within(target, highest):
        return False
    low, high = int(xp.min(target)), int(xp.max(target))
    hidden = None
    if any(low <= value <= high for value in ignore_index):
        hidden = ignored(xp, target, ignore_index)
    if low >= 0 and high <= highest:
        return hidden is not None and bool(xp.any(hidden))
    bad = outside(xp, target, highest)
    if hidden is not None:
        bad = bad & ~hidden
    if pixel_weights is not None:
        bad = bad & (pixel_weights != xp.zeros_like(pixel_weights))
    if not xp.any(bad):
        return True
    zero = xp.zeros_like(target)
    found = int(xp.max(xp.where(bad, target, zero))) or int(xp.min(xp.where(bad, target, zero)))
    also = f" or the ignored {', '.join(map(str, ignore_index))}" if ignore_index else ""
    hint = "" if ignore_index else f"; to leave such pixels out, set `ignore_index={found}`"
    if (highest, found) == (1, 255):
        hint = f"; a 0/255 mask is `mask > 0`{hint}"
    msg = f"`target` must hold integers from 0 to {highest}{also}, got {found}{hint}."
    raise ValueError(msg)


class Labels:
    """The labels of a block, read and written by comparison; what is no class equals none.

    Parameters
    ----------
    labels : array (images, 1, pixels)
        Integers; for a compiler of PyTorch floating numbers, NaN where bad.
    """

    # Whether they are read and written by products, which leave what is split as it is.
    by_products = False

    def __init__(self, lib: Library, labels: Array, num_classes: int) -> None:
        self.lib = lib
        self.xp = lib.xp
        self.num_classes = num_classes
        self._device = device(labels)
        self._labels = labels
        self._narrow: Array = None
        self._equal: Array = None
        self._class_place: Array = None
        self._place: Array = None
        self._one_hot: Array = None

    @property
    def narrow(self) -> Array:
        """The labels in a narrow dtype: the narrower, the faster they are compared."""
        if self._narrow is None:
            dtype = self._narrow_dtype(self._labels.dtype)
            self._narrow = self.xp.astype(self._labels, dtype, copy=False)
        return self._narrow

    def _narrow_dtype(self, dtype: DType) -> DType:
        is_float = is_real_floating(self.xp, dtype)
        if not is_float and self.num_classes - 1 > self.xp.iinfo(dtype).max:
            return index_dtype(self.xp, self._device)
        return dtype

    @property
    def equal(self) -> Array:
        """Whether each class is the label, (images, classes, pixels)."""
        if self._equal is None:
            self._equal = self.narrow == self.numbers
        return self._equal

    @property
    def numbers(self) -> Array:
        """The numbers of the classes, to be compared with `narrow`, (1, classes, 1)."""
        dtype = self.narrow.dtype
        return self.xp.arange(self.num_classes, dtype=dtype, device=self._device)[None, :, None]

    def is_class(self, number: int) -> Array:
        """Return whether the label is this class, (images, 1, pixels)."""
        return self.narrow == number

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        return self.xp.sum(self.xp.where(self.equal, x, 0.0), axis=1, keepdims=True)

    def pick_beside_infinity(self, x: Array) -> Array:
        """Return the same, also where other entries of a pixel are infinite."""
        return self.pick(x)

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the entries at the labels, and all others with 0 there; `x` may change."""
        return self.pick(x), self.xp.where(self.equal, 0.0, x)

    def join(self, label: Array, others: Array) -> Array:
        """Return the inverse of `split`; `others`, with 0 at the labels, may change."""
        return self.xp.where(self.equal, label, others)

    def one_hot(self, dtype: DType) -> Array:
        """Return 1 at the label and 0 elsewhere, (images, classes, pixels)."""
        if self._one_hot is None:
            self._one_hot = self.xp.astype(self.equal, dtype)
        return self._one_hot

    def sums(self, x: Array) -> Array:
        """Return the sums of `x` (images, 1, pixels) by label, (images, classes)."""
        return self.lib.sum_pixels(self.one_hot(x.dtype), x)

    def of_class(self, numbers: Array) -> Array:
        """Return the label's entry of `numbers` (images or 1, classes, 1)."""
        return self.pick(numbers)


class IndexedLabels(Labels):
    """Labels of eager arrays, all of them classes, read and written by index."""

    def _narrow_dtype(self, dtype: DType) -> DType:
        return self.xp.uint8 if self.num_classes <= 1 << 8 else super()._narrow_dtype(dtype)

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        xp = self.xp
        found = xp.take(xp.reshape(x, (-1,)), self._flat_place(), axis=0)
        return xp.reshape(found, self._labels.shape)

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the entries at the labels, and all others with 0 there; `x` may change."""
        label = self.pick(x)
        return label, self._put(x, self.xp.zeros_like(label))

    def join(self, label: Array, others: Array) -> Array:
        """Return the inverse of `split`; `others`, with 0 at the labels, may change."""
        return self._put(others, label)

    def _put(self, x: Array, values: Array) -> Array:
        """Return `x` with values (images, 1, pixels) at the labels; `x` may change."""
        xp = self.xp
        if not self.lib.writes_by_index:
            return xp.where(self.equal, values, x)
        flat = xp.reshape(x, (-1,))
        flat[self._flat_place()] = xp.reshape(values, (-1,))
        return xp.reshape(flat, x.shape)

    def of_class(self, numbers: Array) -> Array:
        """Return the label's entry of `numbers` (images or 1, classes, 1)."""
        xp = self.xp
        if numbers.shape[0] != self._labels.shape[0]:
            numbers = xp.broadcast_to(numbers, (self._labels.shape[0], *numbers.shape[1:]))
        found = xp.take(xp.reshape(numbers, (-1,)), self._flat_class_place(), axis=0)
        return xp.reshape(found, self._labels.shape)

    def _flat_class_place(self) -> Array:
        """Return each pixel's place in an array (images, classes) that is laid out flat."""
        xp = self.xp
        if self._class_place is None:
            # torch indexes with int64 only, a JAX-like device has none: ask the device.
            place = xp.astype(self._labels, index_dtype(xp, self._device), copy=False)
            images = self._labels.shape[0]
            if images > 1:
                first = xp.arange(images, dtype=place.dtype, device=self._device)
                place = place + self.num_classes * first[:, None, None]
            self._class_place = xp.reshape(place, (-1,))
        return self._class_place

    def _flat_place(self) -> Array:
        """Return each pixel's place in an array (images, classes, pixels) that is laid out flat."""
        xp = self.xp
        if self._place is None:
            images, _, count = self._labels.shape
            by_image = xp.reshape(self._flat_class_place(), (images, count))
            place = by_image * count
            place += xp.arange(count, dtype=by_image.dtype, device=self._device)[None, :]
            self._place = xp.reshape(place, (-1,))
        return self._place


class DeviceLabels(Labels):
    """Labels on a device, where nothing is inspected: read and written by the index of the class.

    Parameters
    ----------
    labels : array (images, 1, pixels)
        Integers.
    mask : bool array of that shape, optional
        Which labels count; of the others none is bad.

    Attributes
    ----------
    index : array of that shape, of integers that all are classes
    bad : bool array of that shape, where a label is no class
    """

    def __init__(self, lib: Library, labels: Array, num_classes: int, mask: Array | None) -> None:
        super().__init__(lib, labels, num_classes)
        self.index = lib.class_index(labels, num_classes)
        bad = self.index != labels
        self.bad = bad if mask is None else bad & mask

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        return self.lib.take_class(x, self.index)

    def put(self, x: Array, values: Array | float) -> Array:
        """Return `x` with a number, or values (images, 1, pixels), at the labels; it may change."""
        return self.lib.put_class(x, self.index, values)

    def spoiled(self, x: Array) -> Array:
        """Return `x` (images, 1, pixels) with NaN at bad labels; `x` may change."""
        return self.lib.filled(x, self.bad, float("nan"))

    def split(self, x: Array) -> tuple[Array, Array]:
        """Return the entries at the labels, and all others with 0 there; `x` may change."""
        label = self.pick(x)
        return label, self.put(x, self.xp.zeros_like(label))

    def join(self, label: Array, others: Array) -> Array:
        """Return the inverse of `split`; `others`, with 0 at the labels, may change."""
        return self.put(others, label)

    def of_class(self, numbers: Array) -> Array:
        """Return the label's entry of `numbers` (images or 1, classes, 1)."""
        return self.pick(numbers)

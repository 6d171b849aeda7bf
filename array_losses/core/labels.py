"""Labels: which are ignored, which lie outside the classes, and what an array holds at them."""

from __future__ import annotations

import math

from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    device,
    index_dtype,
    is_bool,
    is_jax_namespace,
    is_numpy_namespace,
    is_real_floating,
    writes_by_index,
)
from array_losses.core.products import over_pixels

__all__ = ["Labels", "as_integers", "check", "ignored", "outside"]


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
            here = target == _as_label(xp, value, target)
            found = here if found is None else found | here
    return found


def _as_label(xp: Namespace, value: int, target: Array) -> Array | int:
    """Return a value to compare labels with: JAX takes a number for an int32, whatever they are."""
    if is_jax_namespace(xp) and value > xp.iinfo(xp.int32).max:
        return xp.asarray(value, dtype=target.dtype, device=device(target))
    return value


def outside(xp: Namespace, target: Array, highest: int) -> Array:
    """Return where `target` is none of the integers 0 to `highest`."""
    if highest >= xp.iinfo(target.dtype).max:
        return target < 0
    return (target < 0) | (target > highest)


def check(
    xp: Namespace,
    target: Array,
    highest: int,
    ignore_index: tuple[int, ...],
    pixel_weights: Array | None,
) -> bool:
    """Raise a ValueError for a counted label outside 0 to `highest`.

    Returns whether there is an ignored element, or one outside that does not count. Looks at
    values: for eager arrays on a CPU only.
    """
    if math.prod(target.shape) == 0:
        return False
    if _all_inside(xp, target, highest, ignore_index):
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


def _all_inside(xp: Namespace, target: Array, highest: int, ignore_index: tuple[int, ...]) -> bool:
    """Return whether all are classes that nobody ignores, if NumPy can tell at one glance.

    Read as unsigned, what is negative is large: one maximum in place of two extremes.
    """
    if not is_numpy_namespace(xp) or any(0 <= value <= highest for value in ignore_index):
        return False
    if not target.dtype.isnative:
        return False
    unsigned = target.view(f"u{target.dtype.itemsize}") if target.dtype.kind == "i" else target
    return bool(xp.max(unsigned) <= highest)


class Labels:
    """The labels of a block, all inside the classes; those of no class match none if `traced`.

    Parameters
    ----------
    labels : array (images, 1, pixels)
        Integers; for a compiler of PyTorch floating numbers, NaN where bad.
    traced : bool
        Whether a compiler or automatic differentiation follows: then arrays are read and written by
        comparison, which fuses, where otherwise by index.
    """

    def __init__(self, xp: Namespace, labels: Array, num_classes: int, *, traced: bool) -> None:
        self.xp = xp
        self.num_classes = num_classes
        self.traced = traced
        self._device = device(labels)
        self._labels = labels
        self._narrow: Array = None
        self._equal: Array = None
        self._class_index: Array = None
        self._index: Array = None
        self._share: Array = None

    @property
    def narrow(self) -> Array:
        """The labels in a narrow dtype: the narrower, the faster they are compared."""
        if self._narrow is None:
            dtype = self._narrow_dtype(self._labels.dtype)
            self._narrow = self.xp.astype(self._labels, dtype, copy=False)
        return self._narrow

    def _narrow_dtype(self, dtype: DType) -> DType:
        if is_real_floating(self.xp, dtype):
            return dtype
        if self.num_classes <= 1 << 8 and not self.traced:
            return self.xp.uint8
        if self.num_classes - 1 > self.xp.iinfo(dtype).max:
            return index_dtype(self.xp, self._device)
        return dtype

    @property
    def equal(self) -> Array:
        """Whether each class is the labelled one, (images, classes, pixels)."""
        if self._equal is None:
            xp, narrow = self.xp, self.narrow
            classes = xp.arange(self.num_classes, dtype=narrow.dtype, device=self._device)
            self._equal = narrow == classes[None, :, None]
        return self._equal

    def is_class(self, number: int) -> Array:
        """Return whether the labelled class is this one, (images, 1, pixels)."""
        return self.narrow == number

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        xp = self.xp
        # XLA gathers faster than it compares. Before 0.5 JAX cannot gather from nothing.
        if self.traced and is_jax_namespace(xp) and 0 not in x.shape:
            highest = min(self.num_classes - 1, xp.iinfo(self._labels.dtype).max)
            return xp.take_along_axis(x, xp.clip(self._labels, 0, highest), axis=1)
        if self.traced:
            return xp.sum(xp.where(self.equal, x, 0.0), axis=1, keepdims=True)
        found = xp.take(xp.reshape(x, (-1,)), self._flat_index(), axis=0)
        return xp.reshape(found, self._labels.shape)

    def put(self, x: Array, values: Array) -> Array:
        """Return `x` with `values` (images, 1, pixels) at the labels; `x` itself may change."""
        xp = self.xp
        if self.traced or not writes_by_index(xp):
            return xp.where(self.equal, values, x)
        flat = xp.reshape(x, (-1,))
        flat[self._flat_index()] = xp.reshape(values, (-1,))
        return xp.reshape(flat, x.shape)

    def sums(self, x: Array) -> Array:
        """Return the sums of `x` (images, 1, pixels) by labelled class, (images, classes)."""
        xp = self.xp
        if not is_numpy_namespace(xp):
            if self._share is None:
                self._share = xp.astype(self.equal, x.dtype)
            return over_pixels(xp, self._share, x)
        images = self._labels.shape[0]
        length = images * self.num_classes
        flat = xp.bincount(self._flat_class_index(), xp.reshape(x, (-1,)), minlength=length)
        return xp.reshape(flat, (images, self.num_classes))

    def of_class(self, numbers: Array) -> Array:
        """Return the labelled class's entry of `numbers` (images or 1, classes, 1)."""
        xp = self.xp
        if self.traced:
            return xp.sum(xp.where(self.equal, numbers, 0.0), axis=1, keepdims=True)
        if numbers.shape[0] != self._labels.shape[0]:
            numbers = xp.broadcast_to(numbers, (self._labels.shape[0], *numbers.shape[1:]))
        found = xp.take(xp.reshape(numbers, (-1,)), self._flat_class_index(), axis=0)
        return xp.reshape(found, self._labels.shape)

    def _flat_class_index(self) -> Array:
        """Return each pixel's place in an array (images, classes) that is laid out flat."""
        xp = self.xp
        if self._class_index is None:
            # torch indexes with int64 only, a JAX-like device has none: ask the device.
            index = xp.astype(self._labels, index_dtype(xp, self._device), copy=False)
            images = self._labels.shape[0]
            if images > 1:
                first = xp.arange(images, dtype=index.dtype, device=self._device)
                index = index + self.num_classes * first[:, None, None]
            self._class_index = xp.reshape(index, (-1,))
        return self._class_index

    def _flat_index(self) -> Array:
        """Return each pixel's place in an array (images, classes, pixels) that is laid out flat."""
        xp = self.xp
        if self._index is None:
            images, _, count = self._labels.shape
            by_image = xp.reshape(self._flat_class_index(), (images, count))
            place = by_image * count
            place += xp.arange(count, dtype=by_image.dtype, device=self._device)[None, :]
            self._index = xp.reshape(place, (-1,))
        return self._index

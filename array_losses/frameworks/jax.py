"""JAX: what it does best, and what is known of its arrays."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType
from array_losses.frameworks.jax_softmax import CompiledSoftmax, CpuSoftmax

__all__ = ["Jax", "alike", "as_numpy", "is_known", "is_traced"]


class Jax(Library):
    """JAX, whose functions are compiled, with labels read by comparison and nothing written."""

    checks_devices = True  # Tracers have no device, sharded arrays many.

    def labelled_softmax(
        self,
        logits: Callable[[slice], Array],
        labels: Labels,
        spoiled: Callable[[Array], Array],
    ) -> CompiledSoftmax:
        """Return the softmax of labels in the form for what will run it."""
        form = CpuSoftmax if _default_platform() == "cpu" else CompiledSoftmax
        return form(self, logits, labels, spoiled)

    def compared_labels(self, labels: Array, num_classes: int) -> Labels:
        """Return labels that are read and written by comparison, which a compiler fuses."""
        return _GatheredLabels(self, labels, num_classes)

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places."""
        x = x if x is None else x.astype(dtype)
        return jnp.bincount(places, x, length=length).astype(dtype)

    def sorted_with(self, x: Array, mask: Array) -> tuple[Array, Array, Array]:
        """Return entries from the largest down, their order, and a mask in that order.

        One sort of two arrays, the other of which holds place and mask: XLA sorts pairs on a GPU by
        their digits.
        """
        axis = x.ndim - 1
        place = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
        if not _fits(2 * x.shape[-1]):
            negative, order = jax.lax.sort((-x, place), dimension=axis, num_keys=1)
            return -negative, order, self.in_order(mask, order)
        both = place * 2 + mask.astype(place.dtype)
        negative, both = jax.lax.sort((-x, both), dimension=axis, num_keys=1)
        return -negative, both >> 1, both % 2 == 1

    def back_in_place(self, order: Array, x: Array) -> Array:
        """Return sorted entries to the places from which `order` took them."""
        if not _fits(math.prod(x.shape)):
            return super().back_in_place(order, x)
        rows = (-1, x.shape[-1])
        first = jax.lax.broadcasted_iota(order.dtype, x.reshape(rows).shape, 0) * rows[1]
        places = jnp.zeros_like(x).reshape(-1).at[(first + order.reshape(rows)).reshape(-1)]
        found = places.set(x.reshape(-1), unique_indices=True, mode="promise_in_bounds")
        return found.reshape(x.shape)


def _fits(size: object) -> bool:
    """Return whether a size is known, not left open, and an int32."""
    return isinstance(size, int) and size <= jnp.iinfo(jnp.int32).max


class _GatheredLabels(Labels):
    """Labels that are read by a gather, which XLA does faster than it compares."""

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        if 0 in x.shape:  # Before 0.5 JAX cannot gather from nothing.
            return super().pick(x)
        highest = min(self.num_classes - 1, jnp.iinfo(self._labels.dtype).max)
        return jnp.take_along_axis(x, jnp.clip(self._labels, 0, highest), axis=1)


def _default_platform() -> str:
    """Return where JAX runs what does not say where, which is all that is known while it traces.

    `jax.lax.platform_dependent` would know, but not in `shard_map` before JAX 0.5.
    """
    device = jax.config.jax_default_device
    return jax.default_backend() if device is None else getattr(device, "platform", device)


def alike(*arrays: Array | None) -> tuple[Array | None, ...]:
    """Return arrays of NumPy as those of JAX, and integers of less than 8 bits in 8.

    With those JAX can do little.
    """
    return tuple(_as_ours(x) for x in arrays)


def _as_ours(x: Array | None) -> Array | None:
    if x is None:
        return None
    if isinstance(x, np.ndarray | np.generic):
        known = x.dtype.kind in "biuf" and not isinstance(x, np.ma.MaskedArray)
        return _from_numpy(x) if known else x
    name = str(getattr(x, "dtype", None))
    if name in _NARROW:
        return x.astype(jnp.uint8 if name.startswith("u") else jnp.int8)
    return x


def _from_numpy(x: Array) -> Array:
    dtype = jax.dtypes.canonicalize_dtype(x.dtype.newbyteorder("="))
    if x.dtype.kind in "iu" and x.dtype.itemsize > dtype.itemsize:
        # Without its high bits a bad label could be a good one.
        x = np.clip(x, jnp.iinfo(dtype).min, jnp.iinfo(dtype).max)
    return jnp.asarray(x.astype(dtype, copy=False))


_NARROW = frozenset({"int1", "int2", "int4", "uint1", "uint2", "uint4"})


def as_numpy(*arrays: Array | None) -> tuple[Array, ...] | None:
    """Return NumPy arrays of the same memory, None where there can be none."""
    if is_traced(*arrays) or not all(x is None or _is_near(x) for x in arrays):
        return None
    return tuple(x if x is None else np.asarray(x) for x in arrays)


def is_traced(*arrays: Array | None) -> bool:
    """Return whether JAX follows one of some arrays."""
    return any(isinstance(x, jax.core.Tracer) for x in arrays)


def is_known(x: Array | None) -> bool:
    """Return whether the values of an array are there, in the memory of the CPU."""
    return x is None or (not isinstance(x, jax.core.Tracer) and _is_near(x))


def _is_near(x: Array) -> bool:
    return bool(x.is_fully_addressable) and all(d.platform == "cpu" for d in x.devices())

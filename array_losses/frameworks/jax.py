"""JAX: what it does best, and what is known of its arrays."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from array_losses.core.derivative import Derivative
from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array, DType, Namespace
from array_losses.core.probability import once, times
from array_losses.core.target_probability import LabelledSoftmax, SoftCounts, pooled

__all__ = ["Jax", "alike", "as_numpy", "is_known", "is_traced"]

# More classes than these would make long programs.
_FEW_CLASSES = 32


class Jax(Library):
    """JAX, whose functions are compiled, with labels read by comparison and nothing written."""

    checks_devices = True  # Tracers have no device, sharded arrays many.

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self.labelled_softmax = CompiledSoftmax

    def compared_labels(self, labels: Array, num_classes: int) -> Labels:
        """Return labels that are read and written by comparison, which a compiler fuses."""
        return _GatheredLabels(self, labels, num_classes)

    def sum_at(self, places: Array, x: Array | None, length: int, dtype: DType) -> Array:
        """Return the sums of `x` by place, one axis each; None for `x` counts the places."""
        x = x if x is None else x.astype(dtype)
        return jnp.bincount(places, x, length=length).astype(dtype)


class _GatheredLabels(Labels):
    """Labels that are read by a gather, which XLA does faster than it compares."""

    def pick(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each label, (images, 1, pixels)."""
        if 0 in x.shape:  # Before 0.5 JAX cannot gather from nothing.
            return super().pick(x)
        highest = min(self.num_classes - 1, jnp.iinfo(self._labels.dtype).max)
        return jnp.take_along_axis(x, jnp.clip(self._labels, 0, highest), axis=1)

    def of_class(self, numbers: Array) -> Array:
        """Return the label's entry of `numbers` (images or 1, classes, 1)."""
        return _over_classes(jnp.sum, jnp.add, _where, self.equal, numbers)


class CompiledSoftmax(LabelledSoftmax):
    """The labelled softmax for XLA, which writes as little as possible.

    On a CPU, XLA reduces over an axis that is not the last one number after the other: sums over
    few classes are written out, class by class. And what is large is computed anew from the logits
    wherever it is needed.
    """

    def __init__(self, lib: Library, logits: Array, labels: Labels) -> None:
        self._logits = logits
        self._peak = _over_classes(jnp.max, jnp.maximum, _itself, logits)
        super().__init__(lib, jnp.exp(logits - self._peak), labels, can_inspect=False)
        self._log_e = labels.pick(logits) - self._peak  # What is gathered from is written.

    @once
    def _split(self) -> tuple[Array, Array]:
        e, others = jnp.exp(self._log_e), jnp.where(self._labels.equal, 0.0, self._exp)
        return e, others

    def _other(self, logits: Array, equal: Array) -> Array:
        return jnp.where(equal, 0.0, jnp.exp(logits - self._peak))

    @once
    def _sum_others(self) -> Array:
        return _over_classes(jnp.sum, jnp.add, self._other, self._logits, self._labels.equal)

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        equal, e = self._labels.equal, self._split[0]
        share = times(weights, self._inverse)
        pieces = (
            jnp.where(equal, e * share, 0.0),
            jnp.where(equal, 0.0, self._exp * share),
            jnp.where(equal, self._sum_others * share, 0.0),
        )
        inside, outside, missed = (jnp.sum(piece, axis=2) for piece in pieces)
        return pooled(self.xp, (inside, outside, missed), per_image=per_image)

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, the label among the others: that fuses into one loop."""
        equal, grad_logits = self._labels.equal, None
        dp = self._dense(d, weights)
        if dp is not None:
            start = _over_classes(jnp.max, jnp.maximum, self._if_likeliest, dp, self._logits)
            dp = dp - start
            mean = _over_classes(jnp.sum, jnp.add, _product, dp, self._exp) * self._inverse
            grad_logits = self._exp * (dp - mean) * self._inverse
        if d.log_p_t is not None:
            of_log = jnp.where(equal, self._sum_others, -self._exp) * (d.log_p_t * self._inverse)
            grad_logits = of_log if grad_logits is None else grad_logits + of_log
        return grad_logits

    def _dense(self, d: Derivative, weights: Array | None) -> Array | None:
        """Return d loss / d p of each class, None where p_t alone is read, by its logarithm."""
        dp, equal = d.p, self._labels.equal
        if d.error is not None:
            of_error = jnp.where(equal, -d.error, d.error)
            dp = of_error if dp is None else dp + of_error
        if d.by_class is not None:
            of_class = times(weights, jnp.where(equal, *d.by_class))
            dp = of_class if dp is None else dp + of_class
        return dp

    def _if_likeliest(self, dp: Array, logits: Array) -> Array:
        return jnp.where(logits == self._peak, dp, -jnp.inf)


def _over_classes(
    reduction: Callable[..., Array],
    operation: Callable[[Array, Array], Array],
    make: Callable[..., Array],
    *arrays: Array,
) -> Array:
    """Return a reduction over the classes of what is made of arrays; the operation is of two."""
    classes = arrays[0].shape[1]
    if classes > _FEW_CLASSES:
        return reduction(make(*arrays), axis=1, keepdims=True)
    parts = [make(*(x[:, c : c + 1, :] for x in arrays)) for c in range(classes)]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [operation(a, b) for a, b in pairs] + rest
    return _made_once(parts[0])


def _itself(x: Array) -> Array:
    return x


def _product(x: Array, y: Array) -> Array:
    return x * y


def _where(equal: Array, x: Array) -> Array:
    return jnp.where(equal, x, 0.0)


def _made_once(x: Array) -> Array:
    """Return `x`, one number per pixel, such that XLA does not compute it anew for each class.

    It never computes a division twice, and cannot tell that this one is by 1.
    """
    return x / (1.0 + 0.0 * x)


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

"""The softmax of labels for XLA, in closed form, which reads and writes as little as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax.numpy as jnp

from array_losses.core.derivative import Derivative
from array_losses.core.labels import Labels
from array_losses.core.library import Library
from array_losses.core.namespace import Array
from array_losses.core.probability import once, times
from array_losses.core.target_probability import LabelledSoftmax, SoftCounts, pooled

__all__ = ["CompiledSoftmax", "CpuSoftmax"]

# More classes than these would make long programs.
_FEW_CLASSES = 32

_EVERY = slice(None)


class CompiledSoftmax(LabelledSoftmax):
    """The softmax of labels as GPUs run it best.

    XLA makes one kernel of operations on arrays of one shape. Sums over few classes are written
    out, class by class, so that all that is one number per pixel is of one shape: the largest logit
    and the sum of the exponentials, say. And what is large is computed anew from the logits
    wherever it is needed.

    Parameters
    ----------
    logits : callable
        Returns the logits of some classes, given as a slice.
    spoiled : callable
        Returns an array (images, 1, pixels) with NaN where the target is bad.
    """

    def __init__(
        self,
        lib: Library,
        logits: Callable[[slice], Array],
        labels: Labels,
        spoiled: Callable[[Array], Array],
    ) -> None:
        self._logits = logits
        self._labels = labels
        self._spoiled = spoiled
        self._peak = _made_once(self._over_classes(jnp.max, jnp.maximum, logits))
        every = logits(_EVERY)
        super().__init__(lib, jnp.exp(every - self._peak), labels, can_inspect=False)
        self._log_e = labels.pick(every) - self._peak

    def _over_classes(
        self,
        reduction: Callable[..., Array],
        operation: Callable[[Array, Array], Array],
        make: Callable[[slice], Array],
    ) -> Array:
        """Return a reduction over all classes of what is made of some; the operation is of two."""
        classes = self._labels.num_classes
        if classes > _FEW_CLASSES:
            return reduction(make(_EVERY), axis=1, keepdims=True)
        return _combined(operation, [make(slice(c, c + 1)) for c in range(classes)])

    # What is one number per pixel.

    @once
    def _split(self) -> tuple[Array, Array]:
        e, others = jnp.exp(self._log_e), jnp.where(self._labels.equal, 0.0, self._exp)
        return e, others

    @once
    def _sum_others(self) -> Array:
        def other(some: slice) -> Array:
            return jnp.where(self._equal(some), 0.0, jnp.exp(self._logits(some) - self._peak))

        return _made_once(self._spoiled(self._over_classes(jnp.sum, jnp.add, other)))

    @once
    def _share(self) -> Array:
        """1 / the sum of all exponentials, without that of the label apart."""
        total = self._over_classes(jnp.sum, jnp.add, self._exp_of)
        return _made_once(self._spoiled(1.0 / total))

    # What is one number per pixel and class, of some classes.

    def _equal(self, some: slice) -> Array:
        """Return whether the label is one of them."""
        labels = self._labels
        return labels.equal if some == _EVERY else labels.is_class(some.start)

    def _exp_of(self, some: slice) -> Array:
        """Return their exponentials."""
        return jnp.exp(self._logits(some) - self._peak)

    def _is_likeliest(self, some: slice) -> Array:
        """Return whether they have the largest logit."""
        return self._logits(some) == self._peak

    def _of_classes(self, d: Derivative, weights: Array | None) -> Callable[[slice], Array]:
        """Return what returns their d loss / d p."""
        return lambda some: self._by_p(d, weights, some)

    def _by_p(self, d: Derivative, weights: Array | None, some: slice) -> Array:
        """Return d loss / d p, where p_t is not read by its logarithm."""
        dp, equal = None if d.p is None else d.p[:, some, :], self._equal(some)
        if d.error is not None:
            of_error = d.error[:, some, :]
            of_error = jnp.where(equal, -of_error, of_error)
            dp = of_error if dp is None else dp + of_error
        if d.by_class is not None:
            of_class = times(weights, jnp.where(equal, *(x[:, some, :] for x in d.by_class)))
            dp = of_class if dp is None else dp + of_class
        return dp

    # Sums over pixels, and the way back.

    def confusion(self, weights: Array | None, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives."""
        labels, classes = self._labels.narrow, self._labels.numbers
        share = times(weights, self._share)

        def present(labels: Array, x: Array, share: Array) -> Array:
            return jnp.where(labels == classes, x * share, 0.0)

        def absent(labels: Array, x: Array, share: Array) -> Array:
            return jnp.where(labels == classes, 0.0, x * share)

        sums = (
            self._over_pixels(present, labels, self._exp, share),
            self._over_pixels(absent, labels, self._exp, share),
            self._over_pixels(present, labels, self._sum_others, share),
        )
        return pooled(self.xp, sums, per_image=per_image)

    def errors(self) -> Array:
        """Return p, but 1 - p for the label, over the total of all classes in their order."""
        return jnp.where(self._labels.equal, self._sum_others, self._exp) * self._share

    def _over_pixels(self, make: Callable[..., Array], *arrays: Array) -> Array:
        """Return the sums over pixels of what is made of arrays (images, classes or 1, pixels)."""
        return jnp.sum(make(*arrays), axis=2)

    def backward(self, d: Derivative, weights: Array | None) -> Array:
        """Return d loss / d logits, the label among the others: that fuses into one loop."""
        grad_logits = None
        if d.p is not None or d.error is not None or d.by_class is not None:
            grad_logits = self._backward_p(d, weights)
        if d.log_p_t is not None:
            of_log = jnp.where(self._labels.equal, self._sum_others, -self._exp)
            of_log = of_log * (d.log_p_t * self._inverse)
            grad_logits = of_log if grad_logits is None else grad_logits + of_log
        return grad_logits

    def _backward_p(self, d: Derivative, weights: Array | None) -> Array:
        """Return p (dp - mean of dp), each dp measured from that of the likeliest class."""
        if d.by_class is not None:
            # XLA would join the product that each is with the difference from `start`, another of
            # them, and round it otherwise than there.
            present, absent = d.by_class
            d = replace(d, by_class=(_made_once(present), _made_once(absent)))
        dp = self._of_classes(d, weights)

        def if_likeliest(some: slice) -> Array:
            return jnp.where(self._is_likeliest(some), dp(some), -jnp.inf)

        start = _made_once(self._over_classes(jnp.max, jnp.maximum, if_likeliest))

        def share_of_mean(some: slice) -> Array:
            return (dp(some) - start) * self._exp_of(some)

        mean = self._over_classes(jnp.sum, jnp.add, share_of_mean)
        mean = _made_once(mean * self._share)
        return self._exp * (dp(_EVERY) - start - mean) * self._share


class CpuSoftmax(CompiledSoftmax):
    """The softmax of labels as CPUs run it best.

    There the exponentials are written once, and read where the losses need all classes. And sums
    over pixels begin with sums of a few stretches of them: XLA would first write all that is
    summed.
    """

    def _exp_of(self, some: slice) -> Array:
        return self._exp[:, some, :]

    def _of_classes(self, d: Derivative, weights: Array | None) -> Callable[[slice], Array]:
        if d.p is None and d.error is None:
            return super()._of_classes(d, weights)
        every = _made_once(self._by_p(d, weights, _EVERY))
        return lambda some: every[:, some, :]

    def _is_likeliest(self, some: slice) -> Array:
        # That with an exponential which rounds to 1 is as near.
        return self._exp_of(some) == 1.0

    def _over_pixels(self, make: Callable[..., Array], *arrays: Array) -> Array:
        count = arrays[0].shape[2]
        length = count // _STRETCHES
        if not isinstance(count, int) or not length:
            return super()._over_pixels(make, *arrays)

        def of(first: int, last: int) -> Array:
            return make(*(x[:, :, first:last] for x in arrays))

        stretches = [of(i * length, (i + 1) * length) for i in range(_STRETCHES)]
        total = jnp.sum(_kept_apart(_combined(jnp.add, stretches)), axis=2)
        if length * _STRETCHES == count:
            return total
        return total + jnp.sum(of(length * _STRETCHES, count), axis=2)


_STRETCHES = 32


def _combined(operation: Callable[[Array, Array], Array], parts: list[Array]) -> Array:
    """Return the parts, combined two by two."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [operation(a, b) for a, b in pairs] + rest
    return parts[0]


def _kept_apart(x: Array) -> Array:
    """Return `x`, such that a sum over it does not take over the sums that it is made of.

    XLA's sums on a CPU (by YNNPACK) know sums and products, but not how to choose.
    """
    return jnp.where(jnp.isnan(x), jnp.nan, x)


def _made_once(x: Array) -> Array:
    """Return `x`, one number per pixel, such that XLA does not compute it anew for each class.

    It never computes a division twice, and cannot tell that this one is by 1.
    """
    return x / (1.0 + 0.0 * x)

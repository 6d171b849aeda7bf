"""A block of pixels as a loss sees it: probabilities, target and weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from array_losses.core import labels
from array_losses.core.activations import Activation, activate
from array_losses.core.labels import Labels
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    compute_dtype,
    device,
    index_dtype,
    is_bool,
    is_real_floating,
    per_class,
    wide_dtype,
)

__all__ = ["Block", "Pixels", "View", "count_dtype"]


@dataclass(frozen=True)
class Block:
    """The arrays of a block: (images, classes, pixels), labels and weights without the classes.

    The logits are read when they are first asked for: what depends on the target alone does not.
    """

    xp: Namespace
    shape: tuple[int, int, int]
    dtype: DType
    logits: Callable[[], Array]
    target: Array
    pixel_weights: Array | None


@dataclass(frozen=True)
class View:
    """How a loss looks at pixels: losses with the same view share one `Pixels` of a block."""

    activation: str | None
    ignore_index: tuple[int, ...]


class Pixels:
    """A block of pixels, seen with an activation and a rule of what is ignored.

    Parameters
    ----------
    block : Block
    view : View
    look : bool
        Whether values may be looked at: then a bad label raises a ValueError. Otherwise the logits
        there become NaN, so that no sum can hide it.
    traced : bool
        Whether automatic differentiation or a compiler follows every operation. Only then are
        gathers avoided (a comparison and a sum fuse better, and torch.func.vmap has no rule for
        some gathers).

    Attributes
    ----------
    target : array (images, classes, pixels); bool (`hard`) or floating
    mask : bool array broadcastable to the logits, or None where every element counts
    weights : array broadcastable to the logits, or None where every element weighs 1
    unit_weights : whether all weights are 0 or 1
    """

    def __init__(self, block: Block, view: View, *, look: bool, traced: bool) -> None:
        self.xp = xp = block.xp
        self.view = view
        self.traced = traced
        self._look = look
        self.shape = block.shape
        self.num_classes = block.shape[1]
        self.dtype = compute_dtype(xp, block.dtype)
        self.device = device(block.target)
        self.labelled: bool = block.target.ndim == 2
        self.hard = not is_real_floating(xp, block.target.dtype)
        self._read_logits = block.logits
        self._logits: Array | None = None
        self._replaced: list[Callable[[Array], Array]] = []
        self.mask: Array | None = None
        self.unit_weights = True
        self.weights: Array | None = None
        self._activation: Activation | None = None
        self._classes: Labels | None = None
        self._at_target: Activation | None = None
        self._target: Array | None = None
        self._read_target(block.target, block.pixel_weights, look=look)
        self._read_weights(block.pixel_weights, look=look)
        if look and not self.hard:
            _check_probabilities(xp, self._target, "target", "a 0/255 mask is `mask > 0`")

    # What counts.

    def _read_target(self, target: Array, pixel_weights: Array | None, *, look: bool) -> None:
        xp = self.xp
        if not self.hard:
            self._target = xp.astype(target, self.dtype, copy=False)
            return
        target = labels.as_integers(xp, target)
        target = target[:, None, :] if self.labelled else target
        highest = self.num_classes - 1 if self.labelled and self.num_classes > 1 else 1
        ignore = self.view.ignore_index
        weights = None if pixel_weights is None else pixel_weights[:, None, :]
        if not look or labels.check(xp, target, highest, ignore, weights):
            hidden = labels.ignored(xp, target, ignore)
            if hidden is not None:
                self._count_only(~hidden)
                target = xp.where(hidden, xp.zeros_like(target), target)
            bad = labels.outside(xp, target, highest)
            if not look:
                self._replaced.append(lambda z: xp.where(bad, float("nan"), z))
            target = xp.where(bad, xp.zeros_like(target), target)
        if self.labelled and self.num_classes > 1:
            self._classes = Labels(xp, target, self.num_classes, traced=self.traced)
        else:
            self._target = target == 1

    def _read_weights(self, pixel_weights: Array | None, *, look: bool) -> None:
        xp = self.xp
        if pixel_weights is not None and is_bool(xp, pixel_weights.dtype):
            self._count_only(pixel_weights[:, None, :])
            pixel_weights = None
        if self.mask is not None:
            self.weights = xp.astype(self.mask, self.dtype)
        if pixel_weights is None:
            return
        self.unit_weights = False
        weights = xp.astype(pixel_weights[:, None, :], self.dtype)
        negative = weights < 0.0
        if not look:
            weights = xp.where(negative, float("nan"), weights)
        elif xp.any(negative if self.mask is None else negative & self.mask):
            msg = f"`pixel_weights` must not be negative, got {float(xp.min(weights))}."
            raise ValueError(msg)
        self._hide_broken(weights == 0.0)
        self.weights = weights if self.mask is None else xp.where(self.mask, weights, 0.0)

    def _count_only(self, counted: Array) -> None:
        """Leave out all elements but `counted`, whatever they hold."""
        xp = self.xp
        self.mask = counted if self.mask is None else self.mask & counted
        pixels = counted
        if self.exclusive and counted.shape[1] > 1:
            pixels = xp.any(counted, axis=1, keepdims=True)
        self._replaced.append(lambda z: xp.where(pixels, z, _HARMLESS))
        if not self.hard:
            self._target = xp.where(counted, self._target, 0.0)

    def _hide_broken(self, weightless: Array) -> None:
        """Replace what a pixel holds where its weight is 0.

        Traced, only what is not finite: the rest serves d loss / d weight.
        """
        xp = self.xp

        def hidden(x: Array, *, probabilities: bool) -> Array:
            if not self.traced:
                return weightless
            broken = ~xp.isfinite(x)
            if probabilities:
                broken = broken | (x <= 0.0) | (x >= 1.0)
            return weightless & broken

        given = self.view.activation is None
        self._replaced.append(lambda z: xp.where(hidden(z, probabilities=given), _HARMLESS, z))
        if not self.hard:
            target = self._target
            self._target = xp.where(hidden(target, probabilities=False), 0.0, target)

    # What is there.

    @property
    def logits(self) -> Array:
        """The logits in the compute dtype, harmless where nothing counts."""
        if self._logits is None:
            z = self.xp.astype(self._read_logits(), self.dtype, copy=False)
            for replace in self._replaced:
                z = replace(z)
            if self._look and self.view.activation is None:
                hint = "with `activation=None` (and for scores) logits are no probabilities"
                _check_probabilities(self.xp, z, "logits` or `prediction", hint)
            self._logits = z
        return self._logits

    @property
    def exclusive(self) -> bool:
        """Whether a pixel has exactly one class."""
        if self.view.activation is None:
            return self.num_classes > 1
        return self.view.activation == "softmax"

    @property
    def activation(self) -> Activation:
        """The probabilities of the block."""
        if self._activation is None:
            self._activation = activate(
                self.xp, self.logits, self.view.activation, traced=self.traced
            )
        return self._activation

    @property
    def labels(self) -> Labels | None:
        """The labels, where there are some and the classes exclude each other."""
        return self._classes if self.exclusive else None

    @property
    def at_target(self) -> Activation:
        """The probabilities of the labelled class; only where there are `labels`."""
        if self._at_target is None:
            if self.labels is None:
                msg = "Only labels of classes that exclude each other pick one of them."
                raise RuntimeError(msg)
            self._at_target = self.activation.at_target(self.labels)
        return self._at_target

    @property
    def target(self) -> Array:
        """The target with its classes on axis 1: bool where `hard`, else probabilities."""
        return self._target if self._classes is None else self._classes.equal

    @property
    def share(self) -> Array:
        """The target as numbers."""
        xp = self.xp
        if self.hard and self.traced:
            # XLA turns a product with a converted bool into a select, which would hide a NaN.
            one = xp.ones((), dtype=self.dtype, device=self.device)
            return xp.where(self.target, one, xp.zeros_like(one))
        return xp.astype(self.target, self.dtype, copy=False)

    def per_class(self, values: tuple[float, ...]) -> Array:
        """Return one number a class as an array that broadcasts over the block."""
        return per_class(self.xp, values, self.dtype, self.device)

    # Sums over pixels.

    def sum(self, x: Array, *, per_image: bool = False) -> Array:
        """Return the weighted sum of `x` over pixels: (1, classes), or (images, classes)."""
        x = x if self.weights is None else self.weights * x
        return _sum_pixels(self.xp, x, per_image=per_image)

    def sum_inside(self, of: Callable[[Activation], Array], *, per_image: bool) -> Array:
        """Return the weighted sum over the pixels that have the class, by a hard target."""
        if self.labels is None or self.traced:
            x = self.xp.where(self.target, of(self.activation), 0.0)
            return self.sum(x, per_image=per_image)
        return self._dot(self.share, of(self.at_target), per_image=per_image)

    def sum_outside(self, of: Callable[[Activation], Array], *, per_image: bool) -> Array:
        """Return the weighted sum over the pixels without the class, by a hard target."""
        if self.labels is None or self.traced:
            x = self.xp.where(self.target, 0.0, of(self.activation))
            return self.sum(x, per_image=per_image)
        outside = self.xp.astype(self.labels.unequal, self.dtype)
        return self._dot(outside, of(self.activation), per_image=per_image)

    def _dot(self, a: Array, b: Array, *, per_image: bool) -> Array:
        """Return the weighted sum of products over pixels, with no array for the products."""
        b = b if self.weights is None else self.weights * b
        summed = self.xp.vecdot(a, b)
        return summed if per_image else self.xp.sum(summed, axis=0)[None, :]

    def counts(self, *, by_class: bool) -> Array:
        """Return the summed weights of what counts: of the pixels, (1, 1), or (1, classes)."""
        xp, weights = self.xp, self.weights
        images, classes, pixels = self.shape
        if weights is None:
            shape = (1, classes if by_class else 1)
            return xp.full(shape, float(images * pixels), dtype=self.dtype, device=self.device)
        if weights.shape[1] > 1 and not by_class:
            weights = xp.max(weights, axis=1, keepdims=True)
        if self.unit_weights:
            # As integers: float32 stops counting at 2**24.
            whole = xp.astype(weights, index_dtype(xp, self.device))
            summed = xp.astype(_sum_pixels(xp, whole, per_image=False), self.dtype)
        else:
            summed = _sum_pixels(xp, weights, per_image=False)
        return xp.broadcast_to(summed, (1, classes)) if by_class else summed

    def counts_of_class(self, number: int | None, images: slice) -> tuple[Array, Array]:
        """Return each pixel's weight as foreground and as background of a class, or of all.

        As bools where all weights are 0 or 1; `count_dtype` says in what to sum them.
        """
        xp = self.xp
        target, mask, weights = self._of_class(number, images)
        if self.hard and self.unit_weights:
            return (target, ~target) if mask is None else (target & mask, ~target & mask)
        dtype = wide_dtype(xp, self.dtype, self.device)
        there = xp.astype(target, dtype)
        if weights is None:
            return there, 1.0 - there
        weights = xp.astype(weights, dtype)
        return weights * there, weights * (1.0 - there)

    def _of_class(
        self, number: int | None, images: slice
    ) -> tuple[Array, Array | None, Array | None]:
        """Return target, mask and weights of one class, (images, 1, pixels), or of all."""
        if number is None:
            return self.target, self.mask, self.weights
        one = slice(number, number + 1)

        def part(x: Array | None) -> Array | None:
            return x if x is None else x[images, one if x.shape[1] > 1 else slice(None), :]

        if self._classes is not None:
            target = self._classes.is_class(number)[images, :, :]
        else:
            target = part(self.target)
        return target, part(self.mask), part(self.weights)

    # The way back.

    def backward(self, dp: Array) -> Array:
        """Return d loss / d logits from d loss / d p, which the weights multiply."""
        return self.activation.backward(dp if self.weights is None else self.weights * dp)

    def backward_by_class(self, inside: Array, outside: Array) -> Array:
        """Return `backward` of dp = `inside` where a hard target has the class, else `outside`.

        Both hold one number a class, (images or 1, classes, 1).
        """
        if self.labels is None:
            return self.backward(self.xp.where(self.target, inside, outside))
        dz = self.activation.backward_by_class(inside, outside, self.labels, self.at_target)
        return dz if self.weights is None else self.weights * dz


def count_dtype(xp: Namespace, counts: Array) -> DType:
    """Return the dtype to sum counts of pixels in: float32 would stop counting bools at 2**24."""
    return index_dtype(xp, device(counts)) if is_bool(xp, counts.dtype) else counts.dtype


def _sum_pixels(xp: Namespace, x: Array, *, per_image: bool) -> Array:
    # With its dtype: array-api-strict widens sums of integers also where the device has no int64.
    if per_image:
        return xp.sum(x, axis=2, dtype=x.dtype)
    return xp.sum(x, axis=(0, 2), dtype=x.dtype)[None, :]


def _check_probabilities(xp: Namespace, x: Array, name: str, hint: str) -> None:
    """Raise a ValueError for what is far from a probability; resampled ones may be a bit off."""
    if 0 in x.shape:
        return
    low, high = float(xp.min(x)), float(xp.max(x))
    if low < -_OVERSHOOT or high > 1.0 + _OVERSHOOT:
        found = low if low < -_OVERSHOOT else high
        msg = f"`{name}` must hold probabilities from 0 to 1, got {found:g}; {hint}."
        raise ValueError(msg)


# By how much interpolation (cubic, say) may carry a probability out of [0, 1].
_OVERSHOOT = 0.25

# Stands in for the logits of ignored pixels: finite under every activation, also as a probability.
_HARMLESS = 0.5

"""A block of pixels as a loss sees it: probabilities, target and weights."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import labels
from array_losses.core.activations import Activation, activate
from array_losses.core.namespace import (
    Array,
    Namespace,
    compute_dtype,
    device,
    index_dtype,
    is_bool,
    is_real_floating,
    per_class,
)

__all__ = ["Block", "Pixels", "View"]


@dataclass(frozen=True)
class Block:
    """The arrays of a block: (images, classes, pixels), labels and weights without the classes."""

    xp: Namespace
    logits: Array
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
        Whether values may be looked at: then a bad label raises a ValueError. Otherwise its pixel
        gets the weight NaN, so that no sum can hide it.
    traced : bool
        Whether automatic differentiation or a compiler follows every operation. Only then are
        gathers avoided (a comparison and a sum fuse better, and torch.func.vmap has no rule for
        some gathers).

    Attributes
    ----------
    logits : array (images, classes, pixels), widened to the compute dtype
    target : array (images, classes, pixels); bool (`hard`) or floating
    mask : bool array broadcastable to the logits, or None where every element counts
    weights : array broadcastable to the logits, or None where every element weighs 1
    unit_weights : whether all weights are 0 or 1
    """

    def __init__(self, block: Block, view: View, *, look: bool, traced: bool) -> None:
        self.xp = xp = block.xp
        self.view = view
        self.traced = traced
        self.dtype = compute_dtype(xp, block.logits.dtype)
        self.num_classes: int = block.logits.shape[1]
        self.labelled: bool = block.target.ndim == 2  # noqa: PLR2004
        self.hard = not is_real_floating(xp, block.target.dtype)
        self.logits: Array = xp.astype(block.logits, self.dtype, copy=False)
        self.mask: Array | None = None
        self.unit_weights = True
        self.weights: Array | None = None
        self._activation: Activation | None = None
        self._target: Array | None = None
        self._indices: Array | None = None
        self._read_target(block.target, look=look)
        self._read_weights(block.pixel_weights, look=look)

    # What counts.

    def _read_target(self, target: Array, *, look: bool) -> None:
        xp = self.xp
        if not self.hard:
            self._target = xp.astype(target, self.dtype, copy=False)
            return
        target = labels.as_integers(xp, target)
        target = target[:, None, :] if self.labelled else target
        highest = self.num_classes - 1 if self.labelled and self.num_classes > 1 else 1
        hidden = None
        if not look or labels.check(xp, target, highest, self.view.ignore_index):
            hidden = labels.ignored(xp, target, self.view.ignore_index)
        if hidden is not None:
            self._count_only(~hidden)
            target = xp.where(hidden, xp.zeros_like(target), target)
        if not look:
            bad = labels.outside(xp, target, highest)
            self.logits = xp.where(bad, float("nan"), self.logits)
            target = xp.where(bad, xp.zeros_like(target), target)
        self._labels = target

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
        elif xp.any(negative):
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
        self.logits = xp.where(pixels, self.logits, _HARMLESS)
        if not self.hard:
            self._target = xp.where(counted, self._target, 0.0)

    def _hide_broken(self, weightless: Array) -> None:
        """Replace what is not finite where the weight is 0; the rest stays, for d loss / d weight."""
        xp = self.xp
        broken = ~xp.isfinite(self.logits)
        if self.view.activation is None:
            broken = broken | (self.logits <= 0.0) | (self.logits >= 1.0)
        self.logits = xp.where(weightless & broken, _HARMLESS, self.logits)
        if not self.hard:
            broken = ~xp.isfinite(self._target)
            self._target = xp.where(weightless & broken, 0.0, self._target)

    # What is there.

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
    def target(self) -> Array:
        """The target with its classes on axis 1: bool where `hard`, else probabilities."""
        if self._target is None:
            on = device(self.logits)
            self._target = (
                labels.is_class(self.xp, self._labels, self.num_classes, on)
                if self.labelled
                else self._labels == 1
            )
        return self._target

    @property
    def share(self) -> Array:
        """The target as numbers."""
        return self.xp.astype(self.target, self.dtype, copy=False)

    def where_target(self, present: Array, absent: Array) -> Array:
        """Return `present` where the target has the class and `absent` elsewhere, mixed if soft."""
        if self.hard:
            return self.xp.where(self.target, present, absent)
        return self.target * present + (1.0 - self.target) * absent

    def at_target(self, x: Array) -> Array:
        """Return the entry of `x` (images, classes, pixels) at each pixel's label."""
        xp = self.xp
        if self.traced:
            if is_bool(xp, x.dtype):
                return xp.any(self.target & x, axis=1, keepdims=True)
            return xp.sum(xp.where(self.target, x, 0.0), axis=1, keepdims=True)
        if self._indices is None:
            # torch takes int64 indices only, a JAX-like device has none: ask the device.
            self._indices = xp.astype(self._labels, index_dtype(xp, device(x)), copy=False)
        return xp.take_along_axis(x, self._indices, axis=1)

    def of_target(self, values: tuple[float, ...]) -> Array:
        """Return the number of each pixel's labelled class."""
        numbers = self.xp.broadcast_to(self.per_class(values), self.logits.shape)
        return self.at_target(numbers)

    def per_class(self, values: tuple[float, ...]) -> Array:
        """Return one number a class as an array that broadcasts over the block."""
        return per_class(self.xp, values, self.logits)

    # Sums over pixels.

    def sum(self, x: Array, *, per_image: bool = False) -> Array:
        """Return the weighted sum of `x` over pixels: (1, classes), or (images, classes)."""
        x = x if self.weights is None else self.weights * x
        return _sum_pixels(self.xp, x, per_image=per_image)

    def counts(self) -> Array:
        """Return the summed weights of the pixels that count: (1, 1), or (1, classes) if by class."""
        xp, weights = self.xp, self.weights
        images, classes, pixels = self.logits.shape
        if weights is None:
            shape = (1, 1 if self.exclusive else classes)
            on = device(self.logits)
            return xp.full(shape, float(images * pixels), dtype=self.dtype, device=on)
        if self.exclusive and weights.shape[1] > 1:
            weights = xp.max(weights, axis=1, keepdims=True)
        if self.unit_weights:
            # As integers: float32 stops counting at 2**24.
            whole = xp.astype(weights, index_dtype(xp, device(weights)))
            summed = xp.astype(_sum_pixels(xp, whole, per_image=False), self.dtype)
        else:
            summed = _sum_pixels(xp, weights, per_image=False)
        return summed if self.exclusive else xp.broadcast_to(summed, (1, classes))


def _sum_pixels(xp: Namespace, x: Array, *, per_image: bool) -> Array:
    return xp.sum(x, axis=2) if per_image else xp.sum(x, axis=(0, 2))[None, :]


# Stands in for the logits of ignored pixels: finite under every activation, also as a probability.
_HARMLESS = 0.5

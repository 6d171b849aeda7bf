"""Target and weights of a block: which class is where, and which pixels count."""

from __future__ import annotations

from collections.abc import Callable

from array_losses.core import labels
from array_losses.core.block import Block, View
from array_losses.core.labels import DeviceLabels, Labels
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    device,
    is_bool,
)

__all__ = ["Target", "check_probabilities", "only_probabilities"]


class Target:
    """The target and the weights of a block, read and checked.

    Parameters
    ----------
    block : Block
    view : View
    can_inspect : bool
        Whether values can be inspected: then a bad value raises a ValueError. Otherwise the logits
        of a bad label, and what is no probability in a soft target, become NaN, so that no sum can
        hide it.
    traced : bool
        Whether automatic differentiation or a compiler follows every operation.

    Attributes
    ----------
    one_hot : array (images, classes, pixels), bool or floating; None where there are `labels`
    labels : Labels, or None
    mask : bool array broadcastable to the logits, or None where every element counts
    weights : array broadcastable to the logits, or None where every element weighs 1
    unit_weights : whether all weights are 0 or 1
    plain : whether there are labels of which none is ignored or outside the classes
    """

    def __init__(self, block: Block, view: View, *, can_inspect: bool, traced: bool) -> None:
        self.xp = block.xp
        self._lib = block.lib
        self._block = block
        self._view = view
        self._can_inspect = can_inspect
        self._traced = traced
        self._replaced: list[Callable[[Array], Array]] = []
        self._bad: Array | None = None
        self.one_hot: Array | None = None
        self.labels: Labels | None = None
        self.mask: Array | None = None
        self.unit_weights = True
        self.plain = False
        self.weights: Array | None = None
        if block.hard:
            self._read_labels(block.target, block.pixel_weights)
        else:
            target = self.xp.astype(block.target, block.dtype, copy=False)
            unchecked = view.bounded and not can_inspect
            self.one_hot = only_probabilities(self.xp, target) if unchecked else target
        self._read_weights(block.pixel_weights)
        if can_inspect and not block.hard and view.bounded:
            check_probabilities(
                self.xp,
                self.one_hot,
                "target",
                "a 0/255 mask is `mask > 0`",
                below="to leave out one class at a pixel, give a multi-hot target of an integer "
                "dtype that holds `ignore_index` there",
            )

    def harmless(self, logits: Array) -> Array:
        """Return the logits, or some classes of them, with something finite where nothing counts.

        At bad labels they are left as they are.
        """
        if self._can_inspect and self._replaced and self._all_harmless(logits):
            return logits
        for replace in self._replaced:
            logits = replace(logits)
        return logits

    def spoiled(self, x: Array) -> Array:
        """Return `x`, NaN where a label that nobody inspects is bad."""
        if self._bad is None:
            return x
        if self._traced:  # A sum's derivative costs nothing.
            return x + _nan_where(self.xp, self._bad, x.dtype)
        return self.xp.where(self._bad, float("nan"), x)

    def _all_harmless(self, logits: Array) -> bool:
        """Return whether no logit can do harm: in NumPy a `where` costs more than an activation.

        A probability of 0 can: its logarithm is not finite. A large logit can, times a weight.
        """
        if self._view.activation is None:
            return False
        if 0 in logits.shape:
            return True
        xp = self.xp
        return bool(xp.max(logits) < _LARGE) and bool(xp.min(logits) > -_LARGE)

    def _read_labels(self, target: Array, pixel_weights: Array | None) -> None:
        xp, can_inspect = self.xp, self._can_inspect
        labelled, num_classes = self._block.labelled, self._block.shape[1]
        target = target[:, None, :] if labelled else target
        weights = None if pixel_weights is None else pixel_weights[:, None, :]
        if not (can_inspect or self._traced):
            self._read_on_device(target, weights)
            return
        target = labels.as_integers(xp, target)
        highest = num_classes - 1 if labelled and num_classes > 1 else 1
        ignore = self._view.ignore_index
        self.plain = self._block.plain or (
            can_inspect and not labels.check(self._lib, target, highest, ignore, weights)
        )
        if not self.plain:
            hidden = labels.ignored(xp, target, ignore)
            bad = labels.outside(xp, target, highest)
            if hidden is not None:
                self._count_only(~hidden)
                bad = bad & ~hidden
            if self._traced and labelled and self._lib.compares_floats:
                target = self._as_floats(target, bad)
                self._replaced.append(lambda z: z + 0.0 * target)
            elif self._traced:
                self._bad = bad
            else:  # Comparisons need no replacement, indices do.
                unfit = bad if hidden is None else bad | hidden
                target = target * xp.astype(~unfit, target.dtype)
        if labelled and num_classes > 1:
            make = self._lib.compared_labels if self._traced else self._lib.labels
            self.labels = make(target, num_classes)
        else:
            self.one_hot = target == 1

    def _read_on_device(self, target: Array, weights: Array | None) -> None:
        """Read a hard target that is not inspected: a bad label makes NaN of what it says."""
        xp, num_classes = self.xp, self._block.shape[1]
        by_label = self._block.labelled and num_classes > 1
        ignores = any(value in {0, 1} for value in self._view.ignore_index)
        if is_bool(xp, target.dtype) and not (by_label or ignores):
            self.one_hot = target
            return
        target = labels.as_integers(xp, target)
        hidden = labels.ignored(xp, target, self._view.ignore_index)
        if hidden is not None:
            self._count_only(~hidden)
        counted = self.mask
        if weights is not None:
            some = weights if is_bool(xp, weights.dtype) else weights != 0.0
            counted = some if counted is None else counted & some
        if by_label:
            self.labels = DeviceLabels(self._lib, target, num_classes, counted)
            self._bad = self.labels.bad
            return
        self.one_hot = target == 1
        bad = target != self.one_hot  # neither 0 nor 1
        self._bad = bad if counted is None else bad & counted

    def _as_floats(self, target: Array, bad: Array) -> Array:
        """Return labels as floating numbers, infinite for a bad one.

        Compilers compare them faster, and then keep them in place of masks.
        """
        return self.xp.where(bad, float("inf"), self.xp.astype(target, self._block.dtype))

    def _read_weights(self, pixel_weights: Array | None) -> None:
        xp, dtype = self.xp, self._block.dtype
        if pixel_weights is not None and is_bool(xp, pixel_weights.dtype):
            self._count_only(pixel_weights[:, None, :])
            pixel_weights = None
        if self.mask is not None:
            self.weights = xp.astype(self.mask, dtype)
        if pixel_weights is None:
            return
        self.unit_weights = False
        weights = xp.astype(pixel_weights[:, None, :], dtype)
        highest = _HEADROOM * float(xp.finfo(dtype).max)
        bad = (weights < 0.0) | (weights > highest)
        if self._traced:  # Not NaN itself: PyTorch's compiler takes no two of them for equal.
            weights = weights + 0.0 * xp.where(bad, float("inf"), weights)
        elif not self._can_inspect:
            weights = self._lib.filled(weights, bad, float("nan"))  # a copy already
        elif xp.any(bad if self.mask is None else bad & self.mask):
            counted = weights if self.mask is None else xp.where(self.mask, weights, 0.0)
            _raise_for_weights(float(xp.min(counted)), float(xp.max(counted)), highest)
        self._hide_broken(weights == 0.0)
        self.weights = weights if self.mask is None else xp.where(self.mask, weights, 0.0)

    def _count_only(self, counted: Array) -> None:
        """Leave out all elements but `counted`, whatever they hold."""
        xp = self.xp
        self.mask = counted if self.mask is None else self.mask & counted
        if self._traced and self._bad is not None:
            self._bad = self._bad & counted
        pixels = counted
        if self._view.multiclass(self._block.shape[1]) and counted.shape[1] > 1:
            pixels = xp.any(counted, axis=1, keepdims=True)
        self._replaced.append(lambda z: xp.where(pixels, z, _HARMLESS))
        if not self._block.hard:
            self.one_hot = xp.where(counted, self.one_hot, 0.0)

    def _hide_broken(self, weightless: Array) -> None:
        """Replace what a pixel holds where its weight is 0.

        Traced, only what is not finite, or what some factor could make so: the rest serves
        d loss / d weight.
        """
        # What is kept must not refer to this object, which keeps it: nothing would be freed until
        # the garbage is collected.
        xp, everywhere = self.xp, not self._traced
        if self._traced and self._bad is not None:
            self._bad = self._bad & ~weightless

        def replaced(value: float, x: Array, *, probabilities: bool) -> Array:
            hidden = weightless if everywhere else weightless & _broken(xp, x, probabilities)
            return xp.where(hidden, value, x)

        given = self._view.activation is None
        self._replaced.append(lambda z: replaced(_HARMLESS, z, probabilities=given))
        if not self._block.hard:
            self.one_hot = replaced(0.0, self.one_hot, probabilities=False)


def _broken(xp: Namespace, x: Array, probabilities: bool) -> Array:
    """Return where `x` is not finite, or what some factor could make so.

    Where it holds `probabilities`, its logarithm too.
    """
    broken = ~(xp.abs(x) < _LARGE)
    return broken | (x <= 0.0) | (x >= 1.0) if probabilities else broken


def only_probabilities(xp: Namespace, x: Array) -> Array:
    """Return `x` with NaN for what is far from a probability, where it cannot be inspected."""
    far = (x < -_OVERSHOOT) | (x > 1.0 + _OVERSHOOT)
    return x + _nan_where(xp, far, x.dtype)


def _nan_where(xp: Namespace, bad: Array, dtype: DType) -> Array:
    zero = xp.zeros(bad.shape, dtype=dtype, device=device(bad))
    return xp.where(bad, float("nan"), zero)


def check_probabilities(
    xp: Namespace, x: Array, name: str, hint: str, *, below: str | None = None
) -> None:
    """Raise a ValueError for what is far from a probability; resampled ones may be a bit off.

    `below` is the hint for a number below 0.
    """
    if 0 in x.shape:
        return
    low, high = float(xp.min(x)), float(xp.max(x))
    if low < -_OVERSHOOT or high > 1.0 + _OVERSHOOT:
        found = low if low < -_OVERSHOOT else high
        hint = below if below and found < 0.0 else hint
        msg = f"`{name}` must hold probabilities from 0 to 1, got {found:g}; {hint}."
        raise ValueError(msg)


# By how much interpolation (cubic, say) may carry a probability out of [0, 1].
_OVERSHOOT = 0.25


def _raise_for_weights(low: float, high: float, highest: float) -> None:
    if low < 0.0:
        msg = f"`pixel_weights` must not be negative, got {low}."
        raise ValueError(msg)
    msg = (
        f"`pixel_weights` must not be above {highest:.1g}, for their sums to be finite, got {high}."
    )
    raise ValueError(msg)


# What of the largest number a pixel may weigh, so that sums and their inverse are numbers.
_HEADROOM = 1e-8

# Times any class weight that leaves room for a loss, this is far from overflow.
_LARGE = 1e4

# Stands in for the logits of ignored pixels: finite under every activation, also as a probability.
_HARMLESS = 0.5

"""A block of pixels as a loss sees it: probabilities, target and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_losses.core import autodiff, probability, target_probability
from array_losses.core.block import Block, View
from array_losses.core.derivative import Derivative
from array_losses.core.device_probability import (
    DeviceEveryClass,
    DeviceMultilabel,
    DeviceOneHot,
    DeviceSigmoid,
    DeviceSoftmax,
)
from array_losses.core.fused_softmax import FusedSoftmax
from array_losses.core.labels import DeviceLabels, Labels
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    device,
    index_dtype,
    is_bool,
    kept_within,
    sum_pixels,
    wide_dtype,
)
from array_losses.core.target import Target, check_probabilities, only_probabilities
from array_losses.core.target_probability import HardTarget, SoftCounts

__all__ = ["Mode", "Pixels", "count_dtype"]


@dataclass(frozen=True)
class Mode:
    """How a block may be worked on.

    Attributes
    ----------
    can_inspect : whether values can be inspected: eager arrays in the memory of the CPU
    traced : whether a compiler or automatic differentiation follows every operation
    autodiff : whether what is computed will be differentiated by the framework
    """

    can_inspect: bool = False
    traced: bool = False
    autodiff: bool = False

    @property
    def on_device(self) -> bool:
        """Whether nothing follows the operations, and yet no value can be inspected."""
        return not (self.can_inspect or self.traced)


@dataclass
class _Made:
    """What was made of a block so far, for all losses that see it alike."""

    target: Target | None = None
    logits: Array | None = None
    every: Any = None
    p_t: Any = None
    one_hot: Array | None = None
    ends: tuple[Array, Array] | None = None


class Pixels:
    """A block of pixels, seen with an activation and a rule of what is ignored.

    Parameters
    ----------
    block : Block
    view : View
    mode : Mode
    """

    def __init__(self, block: Block, view: View, mode: Mode) -> None:
        self.lib = block.lib
        self.xp: Namespace = block.xp
        self.view = view
        self.mode = mode
        self.shape = block.shape
        self.num_classes = block.shape[1]
        self.dtype = block.dtype
        self.device = block.device
        self.labelled = block.labelled
        self.hard = block.hard
        self.multiclass = view.multiclass(self.num_classes)
        self._block = block
        self._made = _Made()
        self.chosen: Array | None = None

    def only(self, chosen: Array) -> Pixels:
        """Return the same pixels where those that are not `chosen` weigh 0, (images, 1, pixels).

        What was made for the one need not be made for the other.
        """
        few = Pixels(self._block, self.view, self.mode)
        few._made = self._made
        few.chosen = chosen
        return few

    # Target and weights.

    @property
    def read_target(self) -> Target:
        """Target and weights, read and checked when they are first asked for."""
        if self._made.target is None:
            mode = self.mode
            self._made.target = Target(
                self._block, self.view, can_inspect=mode.can_inspect, traced=mode.traced
            )
        return self._made.target

    @property
    def was_read(self) -> bool:
        """Whether the target was read."""
        return self._made.target is not None

    @property
    def weights(self) -> Array | None:
        """The weight of each element, broadcastable to the logits; None where all weigh 1."""
        weights = None
        if self._block.pixel_weights is not None or self.view.ignore_index:
            weights = self.read_target.weights
        if self.chosen is None:
            return weights
        chosen = self.xp.astype(self.chosen, self.dtype)
        return chosen if weights is None else chosen * weights

    @property
    def labels(self) -> Labels | None:
        """The labels, where there are some and the classes exclude each other."""
        return self.read_target.labels if self.multiclass else None

    @property
    def target(self) -> Array:
        """The target with its classes on axis 1: bool where `hard`, else probabilities."""
        labels = self.read_target.labels
        return self.read_target.one_hot if labels is None else labels.equal

    @property
    def one_hot(self) -> Array:
        """The target as numbers."""
        xp = self.xp
        if self.hard and self.mode.traced:
            # XLA turns a product with a converted bool into a select, which would hide a NaN.
            one = xp.ones((), dtype=self.dtype, device=self.device)
            return xp.where(self.target, one, xp.zeros_like(one))
        if self._made.one_hot is None:
            self._made.one_hot = xp.astype(self.target, self.dtype, copy=False)
        return self._made.one_hot

    def of_target(self, numbers: Array) -> Array:
        """Return one number per class (1, classes, 1) times the target; of labels, the label's."""
        labels = self.labels
        if labels is None or labels.by_products:
            return self.one_hot * numbers
        return labels.of_class(numbers)

    @property
    def sign(self) -> Array:
        """1 where a hard target has the class, -1 where not."""
        return 2.0 * self.one_hot - 1.0

    def signed(self, x: Array) -> Array:
        """Return `x` where a hard target has the class, -x where not."""
        if not self.mode.on_device:
            return x * self.sign
        labels = self.read_target.labels
        if isinstance(labels, DeviceLabels):
            return labels.put(-x, labels.pick(x))
        return self.xp.where(self.target, x, -x)

    @property
    def ends(self) -> tuple[Array, Array] | None:
        """Where a floating target is exactly 0, and where 1; None if it is known: nowhere.

        There it is as a hard one: what is made of 1 - p keeps its digits, and a kink at p = g has
        but one side.
        """
        if self._made.ends is None:
            xp, g = self.xp, self.target
            zero, one = g == 0.0, g == 1.0
            if self.mode.can_inspect and not (xp.any(zero) or xp.any(one)):
                return None
            self._made.ends = zero, one
        return self._made.ends

    def sides(self, p: Array) -> tuple[Array, Array]:
        """Return where `p` lies below a floating target, and where on it, also as derivative."""
        below, on = p < self.target, p == self.target
        if self.ends is None:
            return below, on
        zero, one = self.ends
        return (below | one) & ~zero, on & ~(zero | one)

    def per_class(self, values: tuple[float, ...]) -> Array:
        """Return one number per class as an array that broadcasts over the block."""
        return self.lib.per_class(values, self.dtype, self.device)[None, :, None]

    # Probabilities.

    @property
    def logits(self) -> Array:
        """The logits in the compute dtype, harmless where nothing counts."""
        if self._made.logits is None:
            z = self.read_target.spoiled(self._unspoiled)
            self._made.logits = z if self.view.activation else self._bounded(z)
        return self._made.logits

    @property
    def _unspoiled(self) -> Array:
        """The same, also where a bad label should make them NaN."""
        return self._harmless(self._block.logits())

    def _unspoiled_of(self, some: slice) -> Array:
        """Return the same of some classes."""
        return self._harmless(self._block.logits()[:, some, :])

    def _harmless(self, logits: Array) -> Array:
        z = self.xp.astype(logits, self.dtype, copy=False)
        return self.read_target.harmless(z)

    def _bounded(self, p: Array) -> Array:
        """Return given probabilities; others raise a ValueError, or are NaN uninspected."""
        if not self.mode.can_inspect:
            return only_probabilities(self.xp, p)
        logits = "with `activation=None` (and for scores) logits are no probabilities"
        above = f"{logits}; values from 0 to 255 are to be divided by 255"
        check_probabilities(self.xp, p, "logits` or `prediction", above, below=logits)
        return p

    @property
    def every(self) -> Any:
        """The probability of every class: `p`, `one_minus_p`, `log_p`."""
        if self._made.every is None:
            self._made.every = self._activate(self.logits)
        return self._made.every

    def _activate(self, logits: Array) -> Any:
        mode, softmax = self.mode, self.view.activation == "softmax"
        forms = autodiff if mode.autodiff else probability
        if self.view.activation is None:
            return forms.Given(self.lib, logits)
        if mode.autodiff:
            return (autodiff.Softmax if softmax else autodiff.Sigmoid)(self.lib, logits)
        if mode.on_device:
            return (DeviceEveryClass if softmax else DeviceSigmoid)(self.lib, logits)
        form = probability.Softmax if softmax else probability.sigmoid
        return form(self.lib, logits, can_inspect=mode.can_inspect)

    def flipped(self, sign: Array) -> Any:
        """Return `every` with p and 1 - p exchanged where `sign` is -1, not 1."""
        if self.view.activation == "sigmoid":
            return self._activate(self.logits * sign)
        xp, p = self.xp, self.logits
        return self._activate(xp.where(sign < 0.0, 1.0 - p, p))

    @property
    def p_t(self) -> Any:
        """The probability p_t of what a hard target says: `p`, `one_minus_p`, `log_p`.

        Of the label, (images, 1, pixels); or per class (multilabel), that it is there or is not.
        """
        if self._made.p_t is None:
            self._made.p_t = self._followed_p_t() if self.mode.autodiff else self._explicit_p_t()
        return self._made.p_t

    def _explicit_p_t(self) -> HardTarget:
        lib, labels, can_inspect = self.lib, self.labels, self.mode.can_inspect
        kept, softmax = self._block.kept, self.view.activation == "softmax"
        if labels is not None and softmax:
            if lib.labelled_softmax is not None:
                spoiled = self.read_target.spoiled
                return lib.labelled_softmax(self._unspoiled_of, labels, spoiled)
            if self.mode.traced:
                return FusedSoftmax(lib, self.logits, labels)
            if isinstance(labels, DeviceLabels):
                return DeviceSoftmax(lib, self._unspoiled, labels)
            if kept is None:
                return target_probability.LabelledSoftmax.of_logits(
                    lib, self.logits, labels, can_inspect=can_inspect
                )
            return target_probability.LabelledSoftmax(
                lib, kept(), labels, normalised=True, can_inspect=can_inspect
            )
        if labels is not None:
            return target_probability.LabelledGiven(lib, self.logits, labels)
        if self.multiclass and self.mode.on_device:
            return DeviceOneHot(self.every, self.target)
        if self.multiclass:
            return target_probability.OneHot(self.every, self.one_hot)
        if self.mode.on_device and self.view.activation == "sigmoid":
            return DeviceMultilabel(lib, self.logits, self.target)
        at = self.flipped(self.sign) if kept is None else probability.ModerateSigmoid(lib, kept())
        return target_probability.Multilabel(at, self.one_hot, can_inspect=can_inspect)

    def _followed_p_t(self) -> Any:
        if self.labels is None:
            return self.flipped(self.sign)
        softmax = self.view.activation == "softmax"
        form = autodiff.LabelledSoftmax if softmax else autodiff.LabelledGiven
        return form(self.lib, self.logits, self.labels)

    def kept(self) -> Array | None:
        """Return what another pass can have in place of the logits, if p_t was asked for."""
        return None if self._made.p_t is None else self._made.p_t.kept()

    def errors(self) -> Array:
        """Return |target - p| of each class, for a hard target."""
        if not self.mode.autodiff:
            return self.p_t.errors()
        return self.xp.where(self.target, self.every.one_minus_p, self.every.p)

    def positive(self, x: Array) -> Array:
        """Return `x` where it is above 0, and else 0, also as derivative."""
        if self.mode.traced:  # At 0, JAX and PyTorch would give `maximum` half a derivative.
            return self.xp.where(x <= 0.0, 0.0, x)
        if self.mode.on_device:
            return kept_within(self.xp, x, 0.0)
        return self.xp.maximum(x, self.xp.zeros_like(x))

    # Sums over pixels.

    def weighted(self, x: Array) -> Array:
        """Return `x` times the weights of the pixels."""
        return probability.times(self.weights, x)

    def sum(self, x: Array, *, per_image: bool = False) -> Array:
        """Return the weighted sum of `x` over pixels: (1, classes), or (images, classes)."""
        return sum_pixels(self.xp, self.weighted(x), per_image=per_image)

    def confusion(self, *, per_image: bool) -> SoftCounts:
        """Return the weighted true positives, false positives and false negatives, summed.

        For a hard target; (1, classes) each, or (images, classes).
        """
        xp = self.xp
        if not self.mode.autodiff:
            return self.p_t.confusion(self.weights, per_image=per_image)
        there = self.target
        if isinstance(self.p_t, autodiff.LabelledSoftmax):
            p, one_minus_p, outside = self.p_t.p, self.p_t.one_minus_p, self.p_t.p_others
        else:
            p, one_minus_p = self.every.p, self.every.one_minus_p
            outside = xp.where(there, 0.0, p)
        pieces = (xp.where(there, p, 0.0), outside, xp.where(there, one_minus_p, 0.0))
        tp, fp, fn = (self.sum(piece, per_image=per_image) for piece in pieces)
        return tp, fp, fn

    def counts(self, *, by_class: bool) -> Array:
        """Return the summed weights of what counts: of the pixels, (1, 1), or (1, classes)."""
        xp, weights = self.xp, self.weights
        images, classes, pixels = self.shape
        if weights is None:
            shape = (1, classes if by_class else 1)
            # Not as a float: of a size that a compiler leaves open there is none.
            return xp.full(shape, images * pixels, dtype=self.dtype, device=self.device)
        if weights.shape[1] > 1 and not by_class:
            weights = xp.max(weights, axis=1, keepdims=True)
        if self.read_target.unit_weights:
            # As integers: float32 stops counting at 2**24.
            whole = xp.astype(weights, index_dtype(xp, self.device))
            summed = xp.astype(sum_pixels(xp, whole, per_image=False), self.dtype)
        else:
            summed = sum_pixels(xp, weights, per_image=False)
        return xp.broadcast_to(summed, (1, classes)) if by_class else summed

    def number_chosen(self) -> Array:
        """Return how many pixels are chosen, those that do not count among them, (1, 1)."""
        xp, counts = self.xp, index_dtype(self.xp, self.device)
        number = sum_pixels(xp, xp.astype(self.chosen, counts), per_image=False)
        return xp.astype(number, self.dtype)

    def counts_of_class(self, number: int | None, images: slice) -> tuple[Array, Array]:
        """Return each pixel's weight as foreground and as background of a class, or of all.

        As bools where all weights are 0 or 1; `count_dtype` says in what to sum them.
        """
        xp = self.xp
        target, mask, weights = self._of_class(number, images)
        if self.hard and self.read_target.unit_weights:
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
        read = self.read_target
        if number is None:
            return self.target, read.mask, self.weights
        one = slice(number, number + 1)

        def part(x: Array | None) -> Array | None:
            return x if x is None else x[images, one if x.shape[1] > 1 else slice(None), :]

        if read.labels is not None:
            target = read.labels.is_class(number)[images, :, :]
        else:
            target = part(self.target)
        return target, part(read.mask), part(self.weights)

    # From a derivative to the logits.

    def by_p(self, dp: Array) -> Derivative:
        """Return the derivative from d loss / d p of each class, times the weights."""
        return Derivative(p=self.weighted(dp))

    def backward(self, d: Derivative) -> Array:
        """Return d loss / d logits: one way through the activation, whatever the losses are."""
        grad_logits, dense = d.logits, d
        if not (d.by_class is None and d.log_p_t is None and d.error is None):
            grad_logits = _sum(grad_logits, self.p_t.backward(d, self.weights))
            dense = Derivative(log_p=d.log_p, log_one_minus_p=d.log_one_minus_p)
        if not (dense.p is None and dense.log_p is None and dense.log_one_minus_p is None):
            grad_logits = _sum(grad_logits, self.every.backward(dense))
        return grad_logits


def count_dtype(xp: Namespace, counts: Array) -> DType:
    """Return the dtype to sum counts of pixels in: float32 would stop counting bools at 2**24."""
    return index_dtype(xp, device(counts)) if is_bool(xp, counts.dtype) else counts.dtype


def _sum(x: Array | None, y: Array) -> Array:
    return y if x is None else x + y

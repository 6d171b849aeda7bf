"""A block of pixels as a loss sees it: probabilities, target and weights."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import activations, hard, labelled, traced
from array_losses.core.activations import Activation
from array_losses.core.block import Block, View
from array_losses.core.counted import Counted, check_probabilities, only_probabilities
from array_losses.core.hard import HardView
from array_losses.core.labels import Labels
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    device,
    index_dtype,
    is_bool,
    per_class,
    wide_dtype,
)

__all__ = ["Pixels", "count_dtype"]


@dataclass
class _Made:
    """What was made of a block so far, for all who look at it alike."""

    counted: Counted | None = None
    logits: Array | None = None
    activation: Activation | None = None
    so: Activation | None = None
    hard_view: HardView | None = None
    share: Array | None = None
    ends: tuple[Array, Array] | None = None


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
    """

    def __init__(self, block: Block, view: View, *, look: bool, traced: bool) -> None:
        self.xp = block.xp
        self.view = view
        self.traced = traced
        self.shape = block.shape
        self.num_classes = block.shape[1]
        self.dtype = block.dtype
        self.device = block.device
        self.labelled = block.labelled
        self.hard = block.hard
        self.exclusive = view.exclusive(self.num_classes)
        self._block = block
        self._look = look
        self._made = _Made()
        self.chosen: Array | None = None

    def only(self, chosen: Array) -> Pixels:
        """Return the same pixels where those that are not `chosen` weigh 0, (images, 1, pixels).

        What was made for the one need not be made for the other.
        """
        few = Pixels(self._block, self.view, look=self._look, traced=self.traced)
        few._made = self._made
        few.chosen = chosen
        return few

    # What is there.

    @property
    def counted(self) -> Counted:
        """What the target and the weights say; read and checked when it is first asked for."""
        if self._made.counted is None:
            look, traced = self._look, self.traced
            self._made.counted = Counted(self._block, self.view, look=look, traced=traced)
        return self._made.counted

    @property
    def looked_at(self) -> bool:
        """Whether the target was read."""
        return self._made.counted is not None

    @property
    def weights(self) -> Array | None:
        """The weight of each element, broadcastable to the logits; None where all weigh 1."""
        weights = None
        if self._block.pixel_weights is not None or self.view.ignore_index:
            weights = self.counted.weights
        if self.chosen is None:
            return weights
        chosen = self.xp.astype(self.chosen, self.dtype)
        return chosen if weights is None else chosen * weights

    @property
    def logits(self) -> Array:
        """The logits in the compute dtype, harmless where nothing counts."""
        if self._made.logits is None:
            z = self.xp.astype(self._block.logits(), self.dtype, copy=False)
            z = self.counted.harmless(z)
            self._made.logits = z if self.view.activation else self._bounded(z)
        return self._made.logits

    def _bounded(self, p: Array) -> Array:
        """Return given probabilities; others raise a ValueError, or are NaN without a look."""
        if not self._look:
            return only_probabilities(self.xp, p)
        logits = "with `activation=None` (and for scores) logits are no probabilities"
        above = f"{logits}; values from 0 to 255 are to be divided by 255"
        check_probabilities(self.xp, p, "logits` or `prediction", above, below=logits)
        return p

    @property
    def activation(self) -> Activation:
        """The probabilities of the block."""
        if self._made.activation is None:
            self._made.activation = self._activate(self.logits)
        return self._made.activation

    def _activate(self, logits: Array) -> Activation:
        if self.view.activation is None:
            return activations.Probabilities(self.xp, logits)
        forms = traced if self.traced else activations
        if self.view.activation == "softmax":
            return forms.Softmax(self.xp, logits)
        if self.traced:
            return traced.Sigmoid(self.xp, logits)
        return activations.sigmoid(self.xp, logits, look=self._look)

    def flipped(self, sign: Array) -> Activation:
        """Return `activation` with p and 1 - p exchanged where `sign` is -1, not 1."""
        if self.view.activation == "sigmoid":
            return self._activate(self.logits * sign)
        xp, p = self.xp, self.logits
        return self._activate(xp.where(sign < 0.0, 1.0 - p, p))

    @property
    def labels(self) -> Labels | None:
        """The labels, where there are some and the classes exclude each other."""
        return self.counted.classes if self.exclusive else None

    @property
    def so(self) -> Activation:
        """The probabilities of what is so; only where the target is `hard`."""
        if self._made.so is None:
            self._made.so = self._follow_what_is_so() if self.traced else self.hard_view
        return self._made.so

    @property
    def hard_view(self) -> HardView:
        """The probabilities as a hard target sees them; only for eager arrays."""
        if self._made.hard_view is None:
            self._made.hard_view = self._look_at_what_is_so()
        return self._made.hard_view

    def _look_at_what_is_so(self) -> HardView:
        xp, view = self.xp, self.view
        if self._block.kept is not None:
            return self._look_again(self._block.kept())
        if self.labels is not None and view.activation == "softmax":
            return labelled.labelled_softmax(xp, self.logits, self.labels, look=self._look)
        if self.labels is not None:
            return hard.LabelledProbabilities(xp, self.logits, self.labels)
        if self.exclusive:
            return hard.OneHot(self.activation, self.share)
        if view.activation == "sigmoid":
            return hard.apart(xp, self.logits, self.share, look=self._look)
        return hard.Apart(self.flipped(self.sign), self.share, self.sign)

    def _look_again(self, kept: Array) -> HardView:
        if self.labels is not None:
            return labelled.kept_softmax(self.xp, kept, self.labels)
        return hard.kept_apart(self.xp, kept, self.share)

    def kept(self) -> Array | None:
        """Return what another pass can have in place of the logits, if they were looked at so."""
        made = self._made.hard_view
        return None if made is None else made.kept()

    def _follow_what_is_so(self) -> Activation:
        if self.labels is None:
            return self.flipped(self.sign)
        if self.view.activation == "softmax":
            return traced.LabelledSoftmax(self.xp, self.logits, self.labels)
        return hard.LabelledProbabilities(self.xp, self.logits, self.labels)

    @property
    def target(self) -> Array:
        """The target with its classes on axis 1: bool where `hard`, else probabilities."""
        classes = self.counted.classes
        return self.counted.target if classes is None else classes.equal

    @property
    def share(self) -> Array:
        """The target as numbers."""
        xp = self.xp
        if self.hard and self.traced:
            # XLA turns a product with a converted bool into a select, which would hide a NaN.
            one = xp.ones((), dtype=self.dtype, device=self.device)
            return xp.where(self.target, one, xp.zeros_like(one))
        if self._made.share is None:
            self._made.share = xp.astype(self.target, self.dtype, copy=False)
        return self._made.share

    @property
    def ends(self) -> tuple[Array, Array] | None:
        """Where a floating target is exactly 0, and where 1; None if a look tells: nowhere.

        There it is as a hard one: what is made of 1 - p keeps its digits, and a kink at p = g has
        but one side.
        """
        if self._made.ends is None:
            xp, g = self.xp, self.target
            zero, one = g == 0.0, g == 1.0
            if self._look and not (xp.any(zero) or xp.any(one)):
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

    @property
    def sign(self) -> Array:
        """1 where a hard target has the class, -1 where not."""
        return 2.0 * self.share - 1.0

    def per_class(self, values: tuple[float, ...]) -> Array:
        """Return one number a class as an array that broadcasts over the block."""
        return per_class(self.xp, values, self.dtype, self.device)

    def errors(self) -> Array:
        """Return |target - p| of each class, for a hard target."""
        if not self.traced:
            return self.hard_view.errors()
        return self.xp.where(self.target, self.activation.not_p, self.activation.p)

    def positive(self, x: Array) -> Array:
        """Return `x` where it is above 0, and else 0, also as derivative."""
        if self.traced:  # At 0, JAX and PyTorch would give `maximum` half a derivative.
            return self.xp.where(x <= 0.0, 0.0, x)
        return self.xp.maximum(x, self.xp.zeros_like(x))

    # Sums over pixels.

    def sum(self, x: Array, *, per_image: bool = False) -> Array:
        """Return the weighted sum of `x` over pixels: (1, classes), or (images, classes)."""
        x = x if self.weights is None else self.weights * x
        return _sum_pixels(self.xp, x, per_image=per_image)

    def confusion(self, *, per_image: bool) -> tuple[Array, Array, Array]:
        """Return the weighted true positives, false positives and false negatives, summed.

        For a hard target; (1, classes) each, or (images, classes).
        """
        xp = self.xp
        if not self.traced:
            sums = self.hard_view.confusion(self.weights)
            if per_image or self.shape[0] == 1:
                return sums
            return tuple(xp.sum(one, axis=0)[None, :] for one in sums)
        there = self.target
        if isinstance(self.so, traced.LabelledSoftmax):
            p, not_p, outside = self.so.p, self.so.not_p, self.so.p_others
        else:
            p, not_p = self.activation.p, self.activation.not_p
            outside = xp.where(there, 0.0, p)
        pieces = (xp.where(there, p, 0.0), outside, xp.where(there, not_p, 0.0))
        return tuple(self.sum(piece, per_image=per_image) for piece in pieces)

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
        if self.counted.unit_weights:
            # As integers: float32 stops counting at 2**24.
            whole = xp.astype(weights, index_dtype(xp, self.device))
            summed = xp.astype(_sum_pixels(xp, whole, per_image=False), self.dtype)
        else:
            summed = _sum_pixels(xp, weights, per_image=False)
        return xp.broadcast_to(summed, (1, classes)) if by_class else summed

    def number_chosen(self) -> Array:
        """Return how many pixels are chosen, those that do not count among them, (1, 1)."""
        xp, counts = self.xp, index_dtype(self.xp, self.device)
        number = _sum_pixels(xp, xp.astype(self.chosen, counts), per_image=False)
        return xp.astype(number, self.dtype)

    def counts_of_class(self, number: int | None, images: slice) -> tuple[Array, Array]:
        """Return each pixel's weight as foreground and as background of a class, or of all.

        As bools where all weights are 0 or 1; `count_dtype` says in what to sum them.
        """
        xp = self.xp
        target, mask, weights = self._of_class(number, images)
        if self.hard and self.counted.unit_weights:
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
            return self.target, self.counted.mask, self.weights
        one = slice(number, number + 1)

        def part(x: Array | None) -> Array | None:
            return x if x is None else x[images, one if x.shape[1] > 1 else slice(None), :]

        classes = self.counted.classes
        if classes is not None:
            target = classes.is_class(number)[images, :, :]
        else:
            target = part(self.target)
        return target, part(self.counted.mask), part(self.weights)

    # The way back.

    def backward(self, dp: Array) -> Array:
        """Return d loss / d logits from d loss / d p, which the weights multiply."""
        return self.activation.backward(dp if self.weights is None else self.weights * dp)

    def backward_by_class(self, inside: Array, outside: Array) -> Array:
        """Return `backward` of dp = `inside` where a hard target has the class, else `outside`.

        Both hold one number a class, (images or 1, classes, 1).
        """
        return self.hard_view.backward_by_class(inside, outside, self.weights)


def count_dtype(xp: Namespace, counts: Array) -> DType:
    """Return the dtype to sum counts of pixels in: float32 would stop counting bools at 2**24."""
    return index_dtype(xp, device(counts)) if is_bool(xp, counts.dtype) else counts.dtype


def _sum_pixels(xp: Namespace, x: Array, *, per_image: bool) -> Array:
    # With its dtype: array-api-strict widens sums of integers also where the device has no int64.
    if per_image:
        return xp.sum(x, axis=2, dtype=x.dtype)
    return xp.sum(x, axis=(0, 2), dtype=x.dtype)[None, :]

"""Lovász-Softmax and Lovász hinge: the Jaccard loss of a labelling, extended to probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from array_losses.core import options
from array_losses.core.formula import Totals
from array_losses.core.histogram import Histogram
from array_losses.core.kinds import are_kinds
from array_losses.core.namespace import Array, DType, Namespace, cumulative_sum, device
from array_losses.core.pixels import Pixels, count_dtype
from array_losses.core.ranges import flat, in_ranges
from array_losses.core.sorting import back_in_place, descending, in_order
from array_losses.core.threads import Map
from array_losses.losses.base import Activation
from array_losses.losses.class_mean import Absent, ClassLoss, Pool

__all__ = ["LovaszHingeLoss", "LovaszSoftmaxLoss"]


@dataclass(frozen=True)
class _Sorted:
    """The extension, exact. Its totals are loss and mass of each class.

    What has an error below `least` has no slope.
    """

    least: float

    def totals(self, pixels: Pixels, errors: Array, foreground: Array, background: Array) -> Totals:
        """Return the totals of a whole batch."""
        xp = pixels.xp
        order = descending(xp, errors, traced=pixels.traced)
        mass = _mass(xp, foreground)
        growth = _growth(xp, order, foreground, background, mass, pixels.dtype)
        losses = xp.sum(in_order(xp, errors, order) * growth, axis=2)
        return losses, xp.astype(mass[:, :, 0], pixels.dtype)

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class."""
        return totals[0]

    def mass(self, xp: Namespace, totals: Totals) -> Array:
        """Return the target's mass; NaN if an error is."""
        return totals[1] + 0.0 * totals[0]

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d class losses."""
        return (d,)

    def one_class(
        self, xp: Namespace, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss, mass and d loss / d errors."""
        if are_kinds(xp, foreground):
            kinds = (foreground, background)
            return in_ranges(xp, errors, kinds, self.least, _growth_of_kinds, each)
        shape, (errors, f, b) = errors.shape, flat(xp, errors, foreground, background)
        mass = _mass(xp, f)
        order = descending(xp, errors, traced=False)
        slope = back_in_place(xp, order, _growth(xp, order, f, b, mass, errors.dtype))
        return xp.sum(errors * slope, axis=2), mass[:, :, 0], xp.reshape(slope, shape)


@dataclass(frozen=True)
class _Binned:
    """The extension with errors of one bin taken in the mean of two orders.

    In one order a bin's foreground comes first, in the other its background. The growth along any
    order is at most the growth in descending order, so the loss is never above the exact one; and
    below by no more than the width of a bin, as all growths of a class sum to 1 at most.

    The totals add up: for each class and bin, how much foreground and background it holds, and the
    sum of their errors.
    """

    scale: Callable[[Namespace, Array], Array]
    width: int

    def totals(self, pixels: Pixels, errors: Array, foreground: Array, background: Array) -> Totals:
        """Return the sums by class and bin."""
        histogram = self._histogram(pixels.xp, errors, foreground, background)
        sums = (*histogram.sums(), *histogram.sums(errors))
        return tuple(_flat(pixels.xp, one) for one in sums)

    def _histogram(
        self, xp: Namespace, errors: Array, foreground: Array, background: Array
    ) -> Histogram:
        """Return the errors in bins."""
        unit = self.scale(xp, errors)
        return Histogram(xp, unit, foreground, background, self.width, look=False)

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class."""
        foreground, background, wrong_foreground, wrong_background = (
            self._by_bin(xp, one) for one in totals
        )
        growth = _growth_by_bin(xp, foreground, background)
        return xp.sum(growth[0] * wrong_foreground + growth[1] * wrong_background, axis=2)

    def mass(self, xp: Namespace, totals: Totals) -> Array:
        """Return the target's mass; NaN if an error is."""
        foreground, _, *wrong = (self._by_bin(xp, one) for one in totals)
        return xp.sum(foreground, axis=2) + 0.0 * xp.sum(wrong[0] + wrong[1], axis=2)

    def rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d errors of foreground and background, by class and bin."""
        growth = _growth_by_bin(xp, self._by_bin(xp, totals[0]), self._by_bin(xp, totals[1]))
        return tuple(_flat(xp, d[:, :, None] * one) for one in growth)

    def error_rates(
        self, xp: Namespace, errors: Array, counts: tuple[Array, Array], rates: Totals
    ) -> Array:
        """Return d loss / d errors of a block."""
        histogram = self._histogram(xp, errors, *counts)
        shape = (*errors.shape[:2], self.width)
        return histogram.spread(*(xp.broadcast_to(self._by_bin(xp, one), shape) for one in rates))

    def one_class(
        self, xp: Namespace, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss, mass and d loss / d errors."""
        shape, (errors, f, b) = errors.shape, flat(xp, errors, foreground, background)
        unit = self.scale(xp, errors)
        histogram = Histogram(xp, unit, f, b, self.width, look=True, each=each)
        sums = histogram.sums()
        numbers = (xp.astype(one, errors.dtype) for one in _growth_by_bin(xp, *sums))
        slope = histogram.spread(*numbers)
        loss, mass = xp.sum(errors * slope, axis=2), xp.sum(sums[0], axis=2)
        return loss, mass, xp.reshape(slope, shape)

    def _by_bin(self, xp: Namespace, x: Array) -> Array:
        rows, length = x.shape
        return xp.reshape(x, (rows, length // self.width, self.width))


@dataclass(frozen=True, kw_only=True)
class _LovaszLoss(ClassLoss):
    """The sum of the errors, largest first, times the growth of the Jaccard loss along them."""

    pool: Pool = "batch"
    bins: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        if self.bins is not None:
            self._set(bins=options.integer("bins", self.bins, lowest=1))

    by_class = True

    @property
    def additive(self) -> bool:
        """Whether totals add up: not where all pixels must be sorted together."""
        return self.bins is not None

    def _extension(self, totals: Totals = ()) -> _Sorted | _Binned:
        """Return the form of the extension, or the one that given totals come from.

        Those of whole classes are the same for both: loss and mass of each.
        """
        if self.bins is None or len(totals) == 2:
            return _Sorted(self.least_error)
        # Two steps a bin: the loss is off by the width of one step, and only to one side.
        return _Binned(self.unit_errors, 2 * self.bins)

    @property
    def least_error(self) -> float:
        """The error below which a pixel has no slope."""
        return -float("inf")

    def errors(self, pixels: Pixels) -> Array:
        """Return how wrong each pixel is about each class, never below 0."""
        raise NotImplementedError

    def unit_errors(self, xp: Namespace, errors: Array) -> Array:
        """Return the errors on the scale from 0 to 1 on which the bins are even."""
        raise NotImplementedError

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits from `d` = d loss / d errors."""
        raise NotImplementedError

    def totals(self, pixels: Pixels) -> Totals:
        """Return loss and mass of each class, of the whole batch; with bins, sums by bin."""
        xp = pixels.xp
        parts = (self.errors(pixels), *pixels.counts_of_class(None, slice(None)))
        return self._extension().totals(pixels, *(self._together(xp, x) for x in parts))

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class."""
        return self._extension(totals).class_losses(xp, totals)

    def mass(self, xp: Namespace, totals: Totals) -> Array:
        """Return the target's mass."""
        return self._extension(totals).mass(xp, totals)

    def class_rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d class losses; with bins, d loss / d errors by class and bin."""
        return self._extension(totals).rates(xp, totals, d)

    def slope(self, pixels: Pixels, rates: Totals) -> Array:
        """Return d loss / d logits; only with bins."""
        counts = pixels.counts_of_class(None, slice(None))
        errors = self.errors(pixels)
        extension = self._extension()
        if isinstance(extension, _Sorted):
            msg = "What is sorted has no slope that a block of pixels could tell."
            raise TypeError(msg)
        d = extension.error_rates(pixels.xp, errors, counts, rates)
        return self.error_slope(pixels, pixels.xp.astype(d, errors.dtype))

    def one_class(
        self, xp: Namespace, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss and mass of one class, (1, 1), and d loss / d errors, of their shape."""
        return self._extension().one_class(xp, errors, foreground, background, each)

    def _together(self, xp: Namespace, x: Array) -> Array:
        """Return `x` with all pixels that are sorted together on its last axis."""
        if self.per_image or x.shape[0] == 1:
            return x
        images, classes, count = x.shape
        return xp.reshape(xp.permute_dims(x, (1, 0, 2)), (1, classes, images * count))


def _flat(xp: Namespace, x: Array) -> Array:
    """Return what is by class and bin with both on one axis."""
    rows, classes, bins = x.shape
    return xp.reshape(x, (rows, classes * bins))  # A -1 has no meaning if there are no rows.


def _mass(xp: Namespace, foreground: Array) -> Array:
    """Return the foreground's mass, (rows, classes, 1)."""
    counts = count_dtype(xp, foreground)
    return xp.sum(xp.astype(foreground, counts), axis=2, keepdims=True, dtype=counts)


def _growth(
    xp: Namespace, order: Array, foreground: Array, background: Array, mass: Array, dtype: DType
) -> Array:
    """Return how much each pixel, in order, raises the Jaccard loss.

    With F and B the foreground and background before a pixel, f and b its own, G the mass:
    J = (F + B) / (G + B) before it, so it adds (f (G + B) + b (G - F)) / ((G + B) (G + B + b)),
    which subtracts no near-equal numbers. Without a foreground, J is 1 from the first pixel on.
    """
    counts = count_dtype(xp, foreground)
    f = xp.astype(in_order(xp, foreground, order), counts)
    b = xp.astype(in_order(xp, background, order), counts)
    rest = xp.astype(mass - (cumulative_sum(xp, f, counts) - f), dtype)
    union = xp.astype(mass + (cumulative_sum(xp, b, counts) - b), dtype)
    f, b = xp.astype(f, dtype), xp.astype(b, dtype)
    first = union == 0.0
    after = xp.where(first, 1.0, union + b)
    growth = f / after + (b / xp.where(first, 1.0, union)) * (rest / after)
    return xp.where(first, xp.astype(f + b > 0.0, dtype), growth)


def _growth_of_kinds(
    xp: Namespace, foreground: Array, rest: int, before: int, dtype: DType
) -> Array:
    """Return the same for some in order where each pixel counts 1 as foreground or background.

    F + B is then the place in the order: 1 / (G + B) for foreground, and for background
    (G - F) / ((G + B) (G + B + 1)). `foreground` is 1 or 0, `rest` is G - F at the first pixel and
    `before` its place.
    """
    counts, (count,) = foreground.dtype, foreground.shape
    remaining = foreground - xp.cumulative_sum(foreground, dtype=counts) + rest
    place = xp.arange(before, before + count, dtype=counts, device=device(foreground))
    union = xp.astype(remaining + place, dtype)
    f, remaining = xp.astype(foreground, dtype), xp.astype(remaining, dtype)
    growth = remaining / (union + 1.0)
    growth = growth + f * (1.0 - growth)
    if rest + before > 0:
        return growth / union
    # Without a foreground the union is 0 before the first pixel, which adds 1, and rest is 0.
    nothing = xp.astype(union == 0.0, dtype)
    return (growth + nothing) / (union + nothing)


def _growth_by_bin(xp: Namespace, foreground: Array, background: Array) -> tuple[Array, Array]:
    """Return how much a foreground and a background pixel of each bin raise the Jaccard loss.

    With f and b what the bin holds and F, B what the bins above it do: 1 / (G + B) and
    (G - F - f) / ((G + B) (G + B + b)) with the foreground first, 1 / (G + B + b) and
    (G - F) / ((G + B) (G + B + b)) with the background first; here their means.
    """
    f, b = foreground, background
    mass = xp.sum(f, axis=2, keepdims=True)
    rest = mass - (_from_the_top(xp, f) - f)
    union = mass + (_from_the_top(xp, b) - b)
    first = union == 0.0
    union, after = xp.where(first, 1.0, union), xp.where(first, 1.0, union + b)
    of_foreground = 0.5 * (1.0 / union + 1.0 / after)
    # Divided in turn: the product of both divisors, which XLA makes of `x / y / z`, may overflow.
    of_background = (1.0 / union) * ((rest - 0.5 * f) / after)
    # Without a foreground, J is 1 from the first bin on that holds anything.
    only = 1.0 / xp.where(b == 0.0, 1.0, b)
    return xp.where(first, 0.0, of_foreground), xp.where(first, only, of_background)


def _from_the_top(xp: Namespace, x: Array) -> Array:
    """Return the cumulative sum over the bins, the last bin first."""
    return xp.flip(cumulative_sum(xp, xp.flip(x, axis=2)), axis=2)


@dataclass(frozen=True, kw_only=True)
class LovaszSoftmaxLoss(_LovaszLoss):
    r"""Lovász-Softmax loss: a surrogate of the Jaccard index, by sorting the errors of each class.

    With the errors :math:`m_i = |g_i - p_i|` of a class sorted in descending order, and
    :math:`J_k` the Jaccard loss of taking the first k pixels for mistaken,

    .. math:: \sum_k m_{(k)} (J_k - J_{k-1}).

    Pixel weights and the shares of a soft target act as counts of pixels.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `DiceLoss`.
    pool : {"batch", "image"}
        Over what the pixels are sorted, as for `DiceLoss`.
    absent, normalize
        As for `DiceLoss`.
    bins : int, optional
        None is exact, by sorting. A number tells errors apart in that many bins only, each halved:
        linear in the pixels, with totals that add up (`all_reduce`), and a loss that is below the
        exact one by at most 1 / (2 bins), never above it.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    JaccardLoss : the soft Jaccard loss, which needs no sorting.
    LovaszHingeLoss : works on the margins of logits.

    References
    ----------
    M. Berman, A. Rannen Triki, M. B. Blaschko, "The Lovász-Softmax Loss: A Tractable Surrogate for
    the Optimization of the Intersection-Over-Union Measure in Neural Networks", CVPR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> float(al.LovaszSoftmaxLoss()(logits, target))
    0.5
    """

    activation: Activation = "softmax"

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.choice("activation", self.activation, ("softmax", "sigmoid", None))

    def errors(self, pixels: Pixels) -> Array:
        """Return |g - p|."""
        if pixels.hard:
            return pixels.errors()
        xp, p, g = pixels.xp, pixels.activation.p, pixels.target
        apart = xp.maximum(p, g) - xp.minimum(p, g)
        if pixels.ends is None:
            return apart
        zero, one = pixels.ends
        return xp.where(one, pixels.activation.not_p + (g - 1.0), xp.where(zero, p - g, apart))

    def unit_errors(self, xp: Namespace, errors: Array) -> Array:
        """Return the errors themselves."""
        return errors

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits: the sign of p - g, through the activation."""
        if pixels.hard:
            return pixels.hard_view.backward_errors(d)
        below, on = pixels.sides(pixels.activation.p)
        return pixels.activation.backward(pixels.xp.where(on, 0.0, pixels.xp.where(below, -d, d)))


@dataclass(frozen=True, kw_only=True)
class LovaszHingeLoss(_LovaszLoss):
    r"""Lovász hinge: as `LovaszSoftmaxLoss`, on the hinge errors of the logits.

    The errors are :math:`\max(0, 1 - z_i (2 g_i - 1))`, each class against the rest; with one class
    the target is a binary mask.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction
        As for `DiceLoss`.
    pool, normalize
        As for `LovaszSoftmaxLoss`.
    absent
        As for `DiceLoss`, but an absent class is kept by default.
    bins : int, optional
        As for `LovaszSoftmaxLoss`, but the bins are even in e / (1 + e) of an error e: the loss is
        below the exact one by at most (1 + m)^2 / (2 bins), with m the largest error.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    LovaszSoftmaxLoss : works on probabilities.

    References
    ----------
    J. Yu, M. B. Blaschko, "Learning Submodular Losses with the Lovász Hinge", ICML 2015. Berman et
    al., CVPR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 1, 4)), np.asarray([[0, 0, 0, 1]])
    >>> float(al.LovaszHingeLoss()(logits, target))
    1.0
    """

    absent: Absent = "keep"

    @property
    def least_error(self) -> float:
        """Above 0: beyond the margin there is no slope. Rounded, 1 - z is 0 or far above this."""
        return 1e-30

    def errors(self, pixels: Pixels) -> Array:
        """Return max(0, 1 - z (2 g - 1))."""
        return pixels.positive(self._margin(pixels))

    def unit_errors(self, xp: Namespace, errors: Array) -> Array:
        """Return e / (1 + e): an error may be any number."""
        return errors / (1.0 + errors)

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits: minus the sign where the error is above 0."""
        xp = pixels.xp
        wrong = xp.astype(~(self._margin(pixels) <= 0.0), d.dtype)
        return -d * wrong * self._side(pixels)

    def _margin(self, pixels: Pixels) -> Array:
        return 1.0 - pixels.logits * self._side(pixels)

    def _side(self, pixels: Pixels) -> Array:
        return pixels.sign if pixels.hard else 2.0 * pixels.target - 1.0

"""Lovász-Softmax and Lovász hinge: the Jaccard loss of a labelling, extended to probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from array_losses.core import jaccard_growth, options
from array_losses.core.bucket_sort import flat, in_buckets
from array_losses.core.derivative import Derivative
from array_losses.core.histogram import Histogram, KindHistogram
from array_losses.core.library import Library
from array_losses.core.namespace import (
    Array,
    DType,
    Namespace,
    cumulative_sum,
    device,
    is_bool,
    wide_dtype,
)
from array_losses.core.pixels import Pixels, count_dtype
from array_losses.core.protocol import LossByClass, Strategy, Sums
from array_losses.core.threads import Map
from array_losses.losses.base import Activation
from array_losses.losses.class_mean import Absent, ClassLoss, Pool

__all__ = ["LovaszHingeLoss", "LovaszSoftmaxLoss"]


# Below all errors: those of pixels that do not count.
_LAST = -1.0


@dataclass(frozen=True)
class _Sorted:
    """The extension, exact: errors from the largest down times the growth of the Jaccard loss.

    What has an error below `least` has no derivative. `keep_absent`: whether the loss of a class
    without a foreground is wanted.
    """

    least: float
    keep_absent: bool

    def sums(self, pixels: Pixels, errors: Array, foreground: Array, background: Array) -> Sums:
        """Return loss and support of each class of a whole batch."""
        lib, xp = pixels.lib, pixels.xp
        # With argsort, not sort: at ties the derivatives of sort differ between JAX and PyTorch.
        order = xp.argsort(errors, axis=-1, descending=True, stable=True)
        support = _support(xp, foreground)
        growth = _growth(lib, order, foreground, background, support, pixels.dtype)
        losses = xp.sum(lib.in_order(errors, order) * growth, axis=2)
        return LossByClass(losses, xp.astype(support[:, :, 0], pixels.dtype) + 0.0 * losses)

    def at_once(
        self, lib: Library, errors: Array, foreground: Array, background: Array
    ) -> tuple[Array, Array, Array]:
        """Return loss, support and d loss / d errors of bools, with nothing written in place."""
        xp = lib.xp
        errors = xp.where(foreground | background, errors, _LAST)
        ordered, order, f = lib.sorted_with(errors, foreground)
        growth, support = _growth_of_bools(lib, f, ordered > _LAST, errors.dtype)
        losses = xp.sum(ordered * growth, axis=2)
        return losses, support, lib.back_in_place(order, growth)

    def one_class(
        self, lib: Library, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss, support and d loss / d errors."""
        xp = lib.xp
        if is_bool(xp, foreground.dtype):
            kinds = (foreground, background)
            return in_buckets(lib, errors, kinds, self.least, _growth_of_kinds, each)
        shape, (errors, f, b) = errors.shape, flat(xp, errors, foreground, background)
        support, order = _support(xp, f), lib.descending(errors)
        growth = _growth(lib, order, f, b, support, errors.dtype)
        by_error = lib.back_in_place(order, growth)
        loss = xp.sum(errors * by_error, axis=2)
        return loss, support[:, :, 0], xp.reshape(by_error, shape)

    def all_classes(
        self, lib: Library, errors: Array, target: Array, counted: Array | None
    ) -> tuple[Array, Array, Array]:
        """Return loss, support and d loss / d errors of classes side by side."""
        xp = lib.xp
        if _in_kinds(xp, target, counted):
            return jaccard_growth.by_sorting(
                lib, errors, target, counted, keep_absent=self.keep_absent
            )
        dtype, wide = errors.dtype, wide_dtype(xp, errors.dtype, device(errors))
        ordered, order = lib.sorted_descending(xp.reshape(errors, target.shape))
        if counted is not None:
            counted = lib.in_order(xp.broadcast_to(counted, order.shape), order)
        f, b = _parts(xp, lib.in_order(target, order), counted, dtype)
        support = xp.sum(f, axis=2, keepdims=True, dtype=wide)
        growth = _growth_in_order(lib, f, b, support, wide, dtype)
        losses = xp.sum(ordered * growth, axis=2)
        return losses, support[:, :, 0], lib.back_in_place(order, growth)


@dataclass(frozen=True)
class _Binned:
    """The extension of errors that are rounded to steps, two per bin.

    Within a step the foreground-first and background-first orders are averaged. The growth along
    any order is at most the growth in descending order, so the loss is never above the exact one;
    and below by no more than the width of a step, as all growths of a class sum to 1 at most.

    The sums add up: for each class and step, how much foreground and background it holds, and the
    sum of their errors.
    """

    scale: Callable[[Namespace, Array], Array]
    steps: int
    keep_absent: bool

    def sums(self, pixels: Pixels, errors: Array, foreground: Array, background: Array) -> Sums:
        """Return the sums by class and step."""
        histogram = self._histogram(pixels.lib, errors, foreground, background)
        sums = (*histogram.sums(), *histogram.sums(errors))
        return tuple(_flat(pixels.xp, one) for one in sums)

    def _histogram(
        self, lib: Library, errors: Array, foreground: Array, background: Array
    ) -> Histogram:
        unit = self.scale(lib.xp, errors)
        return Histogram(lib, unit, foreground, background, self.steps)

    def class_losses(self, xp: Namespace, sums: Sums) -> Array:
        """Return the loss of each class."""
        foreground, background, wrong_foreground, wrong_background = (
            self._by_step(xp, one) for one in sums
        )
        growth = _growth_by_step(xp, foreground, background)
        return xp.sum(growth[0] * wrong_foreground + growth[1] * wrong_background, axis=2)

    def support(self, xp: Namespace, sums: Sums) -> Array:
        """Return the target's weight; NaN if an error is."""
        foreground, _, *wrong = (self._by_step(xp, one) for one in sums)
        return xp.sum(foreground, axis=2) + 0.0 * xp.sum(wrong[0] + wrong[1], axis=2)

    def grad_class_losses(self, xp: Namespace, sums: Sums, d: Array) -> Sums:
        """Return d loss / d errors of foreground and background, by class and step."""
        growth = _growth_by_step(xp, self._by_step(xp, sums[0]), self._by_step(xp, sums[1]))
        return tuple(_flat(xp, d[:, :, None] * one) for one in growth)

    def by_error(
        self, lib: Library, errors: Array, counts: tuple[Array, Array], grad_sums: Sums
    ) -> Array:
        """Return d loss / d errors of a block."""
        xp, histogram = lib.xp, self._histogram(lib, errors, *counts)
        shape = (*errors.shape[:2], self.steps)
        growth = (xp.broadcast_to(self._by_step(xp, one), shape) for one in grad_sums)
        return histogram.spread(*growth)

    def one_class(
        self, lib: Library, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss, support and d loss / d errors."""
        xp, shape = lib.xp, errors.shape
        errors, f, b = flat(xp, errors, foreground, background)
        unit = self.scale(xp, errors)
        in_pieces = lib.works_in_pieces
        histogram = Histogram(lib, unit, f, b, self.steps, in_pieces=in_pieces, each=each)
        sums = histogram.sums()
        numbers = (xp.astype(one, errors.dtype) for one in _growth_by_step(xp, *sums))
        by_error = histogram.spread(*numbers)
        loss, support = xp.sum(errors * by_error, axis=2), xp.sum(sums[0], axis=2)
        return loss, support, xp.reshape(by_error, shape)

    def all_classes(
        self, lib: Library, errors: Array, target: Array, counted: Array | None
    ) -> tuple[Array, Array, Array]:
        """Return loss, support and d loss / d errors of classes side by side."""
        xp, unit, dtype = lib.xp, self.scale(lib.xp, errors), errors.dtype
        if is_bool(xp, target.dtype):
            kinds = KindHistogram(lib, unit, target, counted, self.steps)
            if _in_kinds(xp, target, counted):
                return jaccard_growth.by_bins(lib, errors, kinds, keep_absent=self.keep_absent)
            f, b = kinds.sums()
            numbers = (xp.astype(one, dtype) for one in _growth_by_step(xp, f, b))
            by_error = kinds.spread(kinds.beside(*numbers))
        else:
            wide = wide_dtype(xp, dtype, device(errors))
            counts = _parts(xp, target, counted, wide)
            histogram = Histogram(lib, xp.reshape(unit, target.shape), *counts, self.steps)
            f, b = histogram.sums()
            numbers = (xp.astype(one, dtype) for one in _growth_by_step(xp, f, b))
            by_error = histogram.spread(*numbers)
        losses = xp.sum(errors * xp.reshape(by_error, errors.shape), axis=(2, 3))
        return losses, xp.sum(f, axis=2), by_error

    def _by_step(self, xp: Namespace, x: Array) -> Array:
        rows, length = x.shape
        return xp.reshape(x, (rows, length // self.steps, self.steps))


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

    @property
    def strategy(self) -> Strategy:
        """All pixels of a class together, sorted or in a histogram."""
        return "sorted" if self.bins is None else "histogram"

    @property
    def _extension(self) -> _Sorted | _Binned:
        if self.bins is None:
            return _Sorted(self.least_error, self.absent == "keep")
        return _Binned(self.unit_errors, 2 * self.bins, self.absent == "keep")

    @property
    def least_error(self) -> float:
        """The error below which a pixel has no derivative."""
        return -float("inf")

    def errors(self, pixels: Pixels) -> Array:
        """Return how wrong each pixel is about each class, never below 0."""
        raise NotImplementedError

    def unit_errors(self, xp: Namespace, errors: Array) -> Array:
        """Return the errors on the scale from 0 to 1 on which the bins are even."""
        raise NotImplementedError

    def error_derivative(self, pixels: Pixels, d: Array) -> Derivative:
        """Return the derivative from `d` = d loss / d errors."""
        raise NotImplementedError

    def sums_of(self, pixels: Pixels) -> Sums:
        """Return loss and support of each class, of the whole batch; with bins, sums by step."""
        xp = pixels.xp
        parts = (self.errors(pixels), *pixels.counts_of_class(None, slice(None)))
        return self._extension.sums(pixels, *(self._together(xp, x) for x in parts))

    def at_once(self, pixels: Pixels) -> tuple[Sums, Array]:
        """Return loss and support of each class of a whole batch, and d loss / d errors."""
        xp, sort = pixels.xp, _Sorted(self.least_error, self.absent == "keep")
        parts = (self.errors(pixels), *pixels.counts_of_class(None, slice(None)))
        together = (self._together(xp, x) for x in parts)
        losses, support, by_error = sort.at_once(pixels.lib, *together)
        images, classes, count = pixels.shape
        if not self.per_image:
            by_error = xp.reshape(by_error, (classes, images, count))
            by_error = xp.permute_dims(by_error, (1, 0, 2))
        return LossByClass(losses, support), by_error

    def class_losses(self, xp: Namespace, sums: Sums) -> Array:
        """Return the loss of each class."""
        if isinstance(sums, LossByClass):
            return sums.losses
        return self._binned.class_losses(xp, sums)

    def support(self, xp: Namespace, sums: Sums) -> Array:
        """Return the target's weight; NaN if an error is."""
        if isinstance(sums, LossByClass):
            return sums.support
        return self._binned.support(xp, sums)

    def grad_class_losses(self, xp: Namespace, sums: Sums, d: Array) -> Sums:
        """Return d loss / d class losses; with sums by step, d loss / d errors by those."""
        if isinstance(sums, LossByClass):
            return (d,)
        return self._binned.grad_class_losses(xp, sums, d)

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return the derivative of a block; only of sums by step."""
        counts = pixels.counts_of_class(None, slice(None))
        errors = self.errors(pixels)
        d = self._binned.by_error(pixels.lib, errors, counts, grad_sums)
        return self.error_derivative(pixels, pixels.xp.astype(d, errors.dtype))

    @property
    def _binned(self) -> _Binned:
        extension = self._extension
        if isinstance(extension, _Sorted):
            msg = "An exact Lovász loss sorts all pixels; a block does not tell its derivative."
            raise TypeError(msg)
        return extension

    def one_class(
        self, lib: Library, errors: Array, foreground: Array, background: Array, each: Map
    ) -> tuple[Array, Array, Array]:
        """Return loss and support of one class, (1, 1), and d loss / d errors, of their shape."""
        return self._extension.one_class(lib, errors, foreground, background, each)

    def all_classes(
        self, lib: Library, errors: Array, target: Array, counted: Array | None
    ) -> tuple[Array, Array, Array]:
        """Return loss and support of classes side by side, and d loss / d errors."""
        return self._extension.all_classes(lib, errors, target, counted)

    def _together(self, xp: Namespace, x: Array) -> Array:
        """Return `x` with all pixels that are sorted together on its last axis."""
        if self.per_image or x.shape[0] == 1:
            return x
        images, classes, count = x.shape
        return xp.reshape(xp.permute_dims(x, (1, 0, 2)), (1, classes, images * count))


def _flat(xp: Namespace, x: Array) -> Array:
    """Return what is by class and step with both on one axis."""
    rows, classes, steps = x.shape
    return xp.reshape(x, (rows, classes * steps))  # A -1 has no meaning if there are no rows.


def _support(xp: Namespace, foreground: Array) -> Array:
    """Return the foreground's weight, (rows, classes, 1)."""
    counts = count_dtype(xp, foreground)
    return xp.sum(xp.astype(foreground, counts), axis=2, keepdims=True, dtype=counts)


def _growth(
    lib: Library, order: Array, foreground: Array, background: Array, support: Array, dtype: DType
) -> Array:
    """Return how much each pixel, in order, raises the Jaccard loss.

    With F and B the foreground and background before a pixel, f and b its own, G the support:
    J = (F + B) / (G + B) before it, so it adds (f (G + B) + b (G - F)) / ((G + B) (G + B + b)),
    which subtracts no near-equal numbers. Without a foreground, J is 1 from the first pixel on.
    """
    counts = count_dtype(lib.xp, foreground)
    f, b = (lib.xp.astype(lib.in_order(x, order), counts) for x in (foreground, background))
    return _growth_in_order(lib, f, b, support, counts, dtype)


def _growth_in_order(
    lib: Library, f: Array, b: Array, support: Array, counts: DType, dtype: DType
) -> Array:
    """Return the same from foreground and background in order, summed in the dtype `counts`."""
    xp = lib.xp
    rest = xp.astype(support - (lib.cumulative_sum(f, counts) - f), dtype)
    union = xp.astype(support + (lib.cumulative_sum(b, counts) - b), dtype)
    f, b = xp.astype(f, dtype), xp.astype(b, dtype)
    first = union == 0.0
    after = xp.where(first, 1.0, union + b)
    growth = f / after + (b / xp.where(first, 1.0, union)) * (rest / after)
    return xp.where(first, xp.astype(f + b > 0.0, dtype), growth)


def _growth_of_bools(
    lib: Library, foreground: Array, counted: Array, dtype: DType
) -> tuple[Array, Array]:
    """Return the same where each pixel counts 1 or, at the end of the order, not at all, and G.

    F + B is then the place in the order. With U = G + B less f: 1 / (U + 1) for foreground, and for
    background (G - F) / (U (U + 1)). Where U is 0 the first pixel adds 1, whatever it is.
    """
    xp = lib.xp
    counts = count_dtype(xp, foreground)
    found = lib.cumulative_sum(xp.astype(foreground, counts), counts)
    support = found[:, :, -1:]
    place = xp.arange(foreground.shape[2], dtype=counts, device=device(foreground))
    union = xp.astype(support - found + place[None, None, :], dtype)
    rest, first = xp.astype(support - found, dtype), union == 0.0
    share = xp.where(foreground, 1.0, rest / xp.where(first, 1.0, union))
    share = xp.where(first, xp.astype(counted, dtype), share)
    return share / (union + 1.0), xp.astype(support[:, :, 0], dtype)


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


def _growth_by_step(xp: Namespace, foreground: Array, background: Array) -> tuple[Array, Array]:
    """Return how much a foreground and a background pixel of each step raise the Jaccard loss.

    With f and b what the step holds and F, B what the steps above it do: 1 / (G + B) and
    (G - F - f) / ((G + B) (G + B + b)) with the foreground first, 1 / (G + B + b) and
    (G - F) / ((G + B) (G + B + b)) with the background first; here their means.
    """
    f, b = foreground, background
    support = xp.sum(f, axis=2, keepdims=True)
    rest = support - (_from_the_top(xp, f) - f)
    union = support + (_from_the_top(xp, b) - b)
    first = union == 0.0
    union, after = xp.where(first, 1.0, union), xp.where(first, 1.0, union + b)
    of_foreground = 0.5 * (1.0 / union + 1.0 / after)
    # Divided in turn: the product of both divisors, which XLA makes of `x / y / z`, may overflow.
    of_background = (1.0 / union) * ((rest - 0.5 * f) / after)
    # Without a foreground, J is 1 from the first step on that holds anything.
    only = 1.0 / xp.where(b == 0.0, 1.0, b)
    return xp.where(first, 0.0, of_foreground), xp.where(first, only, of_background)


def _in_kinds(xp: Namespace, target: Array, counted: Array | None) -> bool:
    """Return whether each pixel counts 1, as foreground or background, or not at all."""
    return is_bool(xp, target.dtype) and (counted is None or is_bool(xp, counted.dtype))


def _parts(
    xp: Namespace, target: Array, counted: Array | None, dtype: DType
) -> tuple[Array, Array]:
    """Return how much each pixel counts as foreground and as background."""
    there = xp.astype(target, dtype)
    if counted is None:
        return there, 1.0 - there
    counted = xp.astype(counted, dtype)
    return counted * there, counted * (1.0 - there)


def _from_the_top(xp: Namespace, x: Array) -> Array:
    """Return the cumulative sum over the steps, the last step first."""
    return xp.flip(cumulative_sum(xp, xp.flip(x, axis=2)), axis=2)


@dataclass(frozen=True, kw_only=True)
class LovaszSoftmaxLoss(_LovaszLoss):
    r"""Lovász-Softmax loss: a surrogate of the Jaccard index, by sorting the errors of each class.

    With the errors :math:`m_i = |g_i - p_i|` of a class sorted in descending order, and
    :math:`J_k` the Jaccard loss of taking the first k pixels for mistaken,

    .. math:: \sum_k m_{(k)} (J_k - J_{k-1}).

    Pixel weights and the values of a soft target act as counts of pixels.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `DiceLoss`.
    pool : {"batch", "image"}
        Over what the pixels are sorted, as for `DiceLoss`.
    absent, normalize
        As for `DiceLoss`.
    bins : int, optional
        None is exact, by sorting. With a number, errors are rounded to 2·bins steps; within a step
        the foreground-first and background-first orders are averaged. That is linear in the pixels,
        its sums add up over devices (`all_reduce`), and the loss is below the exact one by at most
        1 / (2 bins), never above it.

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

    def errors(self, pixels: Pixels) -> Array:
        """Return |g - p|."""
        if pixels.hard:
            return pixels.errors()
        xp, p, g = pixels.xp, pixels.every.p, pixels.target
        apart = xp.maximum(p, g) - xp.minimum(p, g)
        if pixels.ends is None:
            return apart
        zero, one = pixels.ends
        return xp.where(one, pixels.every.one_minus_p + (g - 1.0), xp.where(zero, p - g, apart))

    def unit_errors(self, xp: Namespace, errors: Array) -> Array:
        """Return the errors themselves."""
        return errors

    def error_derivative(self, pixels: Pixels, d: Array) -> Derivative:
        """Return the derivative: by p it has the sign of p - g."""
        if pixels.hard:
            return Derivative(error=d)
        below, on = pixels.sides(pixels.every.p)
        return Derivative(p=pixels.xp.where(on, 0.0, pixels.xp.where(below, -d, d)))


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
        """Above 0: no derivative beyond the margin. Rounded, 1 - z is 0 or far above this."""
        return 1e-30

    def errors(self, pixels: Pixels) -> Array:
        """Return max(0, 1 - z (2 g - 1))."""
        return pixels.positive(self._margin(pixels))

    def unit_errors(self, xp: Namespace, errors: Array) -> Array:
        """Return e / (1 + e): an error may be any number."""
        return errors / (1.0 + errors)

    def error_derivative(self, pixels: Pixels, d: Array) -> Derivative:
        """Return d loss / d logits: minus the sign where the error is above 0."""
        xp = pixels.xp
        wrong = xp.astype(~(self._margin(pixels) <= 0.0), d.dtype)
        return Derivative(logits=-self._signed(pixels, d * wrong))

    def _margin(self, pixels: Pixels) -> Array:
        return 1.0 - self._signed(pixels, pixels.logits)

    def _signed(self, pixels: Pixels, x: Array) -> Array:
        """Return `x` times 2 g - 1."""
        return pixels.signed(x) if pixels.hard else x * (2.0 * pixels.target - 1.0)

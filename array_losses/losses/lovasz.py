"""Lovász-Softmax and Lovász hinge: the Jaccard loss of a labelling, extended to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import options
from array_losses.core.formula import Totals
from array_losses.core.namespace import Array, DType, Namespace
from array_losses.core.pixels import Pixels, count_dtype
from array_losses.core.sorting import back_in_place, descending, in_order
from array_losses.losses.base import Activation
from array_losses.losses.class_mean import Absent, ClassLoss, Pool

__all__ = ["LovaszHingeLoss", "LovaszSoftmaxLoss"]


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
            msg = "`bins` must be None (exact) in this version, got a number of bins."
            raise NotImplementedError(msg)

    additive = False

    def errors(self, pixels: Pixels) -> Array:
        """Return how wrong each pixel is about each class, never below 0."""
        raise NotImplementedError

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits from `d` = d loss / d errors."""
        raise NotImplementedError

    def totals(self, pixels: Pixels) -> Totals:
        """Return the loss and the target's mass of each class: no sums, but of the whole batch."""
        xp = pixels.xp
        errors = self._together(xp, self.errors(pixels))
        foreground, background = (
            self._together(xp, x) for x in pixels.counts_of_class(None, slice(None))
        )
        order = descending(xp, errors, traced=pixels.traced)
        growth, mass = _growth(xp, order, foreground, background, pixels.dtype)
        losses = xp.sum(in_order(xp, errors, order) * growth, axis=2)
        return losses, xp.astype(mass, pixels.dtype)

    def class_losses(self, xp: Namespace, totals: Totals) -> Array:
        """Return the loss of each class."""
        return totals[0]

    def mass(self, totals: Totals) -> Array:
        """Return the target's mass."""
        return totals[1] + 0.0 * totals[0]

    def class_rates(self, xp: Namespace, totals: Totals, d: Array) -> Totals:
        """Return d loss / d class losses."""
        return (d,)

    def one_class(
        self, xp: Namespace, errors: Array, foreground: Array, background: Array
    ) -> tuple[Array, Array, Array]:
        """Return loss and mass of one class, (1, 1), and d loss / d errors, (1, 1, pixels)."""
        order = descending(xp, errors, traced=False)
        growth, mass = _growth(xp, order, foreground, background, errors.dtype)
        slope = back_in_place(xp, order, growth)
        return xp.sum(errors * slope, axis=2), mass, slope

    def _together(self, xp: Namespace, x: Array) -> Array:
        """Return `x` with all pixels that are sorted together on its last axis."""
        if self.per_image or x.shape[0] == 1:
            return x
        images, classes, count = x.shape
        return xp.reshape(xp.permute_dims(x, (1, 0, 2)), (1, classes, images * count))


def _growth(
    xp: Namespace, order: Array, foreground: Array, background: Array, dtype: DType
) -> tuple[Array, Array]:
    """Return how much each pixel, in order, raises the Jaccard loss; and the foreground's mass.

    With F and B the foreground and background before a pixel, f and b its own, G the mass:
    J = (F + B) / (G + B) before it, so it adds (f (G + B) + b (G - F)) / ((G + B) (G + B + b)),
    which subtracts no near-equal numbers. Without a foreground, J is 1 from the first pixel on.
    """
    counts = count_dtype(xp, foreground)
    f = xp.astype(in_order(xp, foreground, order), counts)
    b = xp.astype(in_order(xp, background, order), counts)
    mass = xp.sum(f, axis=2, keepdims=True, dtype=counts)
    rest = xp.astype(mass - (xp.cumulative_sum(f, axis=2, dtype=counts) - f), dtype)
    union = xp.astype(mass + (xp.cumulative_sum(b, axis=2, dtype=counts) - b), dtype)
    f, b = xp.astype(f, dtype), xp.astype(b, dtype)
    first = union == 0.0
    after = xp.where(first, 1.0, union + b)
    growth = f / after + (b / xp.where(first, 1.0, union)) * (rest / after)
    return xp.where(first, xp.astype(f + b > 0.0, dtype), growth), mass[:, :, 0]


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
    bins : None
        Exact, by sorting.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.
    NotImplementedError
        If `bins` is a number.

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
        xp, p = pixels.xp, pixels.activation.p
        return xp.maximum(p, pixels.target) - xp.minimum(p, pixels.target)

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits: the sign of p - g, through the activation."""
        if pixels.hard:
            return pixels.hard_view.backward_errors(d)
        xp, p, g = pixels.xp, pixels.activation.p, pixels.target
        return pixels.activation.backward(xp.where(p == g, 0.0, xp.where(p < g, -d, d)))


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
    bins : None
        Exact, by sorting.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.
    NotImplementedError
        If `bins` is a number.

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

    def errors(self, pixels: Pixels) -> Array:
        """Return max(0, 1 - z (2 g - 1))."""
        margin = self._margin(pixels)
        return pixels.xp.where(margin <= 0.0, 0.0, margin)

    def error_slope(self, pixels: Pixels, d: Array) -> Array:
        """Return d loss / d logits: minus the sign where the error is above 0."""
        xp, g = pixels.xp, pixels.target
        d = xp.where(self._margin(pixels) <= 0.0, 0.0, d)
        return xp.where(g, -d, d) if pixels.hard else d * (1.0 - 2.0 * g)

    def _margin(self, pixels: Pixels) -> Array:
        xp, z = pixels.xp, pixels.logits
        if pixels.hard:
            return 1.0 + xp.where(pixels.target, -z, z)
        return 1.0 - z * (2.0 * pixels.target - 1.0)

"""Cross entropy and Poly-1: the sum over pixels of -log p_t, and of a term beside it."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core import options
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels
from array_losses.core.target_terms import Term, target_terms
from array_losses.losses.hard_pixels import HardPixelMining
from array_losses.losses.pixel_mean import SidedLoss

__all__ = ["CrossEntropyLoss", "PolyLoss"]


@dataclass(frozen=True, kw_only=True)
class _SmoothedLoss(SidedLoss):
    """A pixel loss of a target that may be smoothed."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        smoothing = options.number("label_smoothing", self.label_smoothing, lowest=0.0, highest=1.0)
        self._set(label_smoothing=smoothing)

    def terms_of(self, pixels: Pixels) -> tuple[Term, ...]:
        """Return the terms of the smoothed target."""
        return target_terms(pixels, self.label_smoothing)


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss(HardPixelMining, _SmoothedLoss):
    r"""Cross entropy: categorical (softmax), or binary for every class (sigmoid).

    Softmax, with probabilities p, target g, pixel weights w and class weights :math:`\omega`:

    .. math::
        \frac{\sum_i w_i \sum_c -\omega_c q_{ic} \log p_{ic}}
             {\sum_i w_i \sum_c \omega_c g_{ic}},
        \qquad q = (1 - \varepsilon) g + \varepsilon / C

    Sigmoid: :math:`-\omega_c [\pi_c q \log p + (1 - q) \log(1 - p)]` for every pixel and class,
    with :math:`q = (1 - \varepsilon) g + \varepsilon / 2`, averaged over pixels and classes.

    Parameters
    ----------
    class_axis : int, default 1
        The axis of the logits that holds the classes; -1 for channels-last.
    ignore_index : int or sequence of ints, optional
        Target values that do not count. An error with a floating target.
    class_weights : sequence of numbers >= 0, optional
        One per class.
    include_background : bool, default True
        Whether class 0 counts (it takes part in the softmax either way).
    reduction : {"mean", "sum", "none"}
        "none" gives a map over pixels, classes summed.
    activation : {"softmax", "sigmoid", None}
        None: the input is probabilities already.
    normalize : {"weights", "valid", "all", "valid_pixels", ..., "all_elements"}
        The divisor of the mean: the summed weights, class weights included, of what counts (as
        PyTorch does); the summed pixel weights; or the number of all pixels. With a sigmoid each
        class of each pixel counts on its own. "valid_pixels", "all_pixels", "valid_elements" and
        "all_elements" count pixels, or pixels times classes, with any activation.
    label_smoothing : float from 0 to 1
        The share of the target that is spread evenly, :math:`\varepsilon`.
    pos_weight : number or sequence of one per class, optional
        The factor :math:`\pi` of the positive term, for sigmoid.
    top_k : number above 0 and up to 1, optional
        Hard pixel mining: of the n pixels of the batch keep the floor(top_k * n) with the largest
        losses, weights included, and at least one. Ignored pixels are not among the n, unless
        `normalize` is one of the "all".
    ohem_threshold : number above 0 and up to 1, optional
        Keep only pixels whose target probability p_t is below this (with a sigmoid, the product
        over all classes). Excludes `top_k`.
    min_kept : int, default 0
        With `ohem_threshold`: keep at least this many pixels, those of the lowest p_t.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value; and if `all_reduce` is given with hard pixel
        mining.

    See Also
    --------
    FocalLoss : down-weights the pixels that are right already.
    PolyLoss : weighs the first term of its series more, or less.

    Notes
    -----
    The same formula holds for labels, one-hot and soft targets. Where nothing counts the loss is 0
    (PyTorch gives NaN).

    With `top_k` or `ohem_threshold` the loss is the plain loss of a batch of these pixels alone;
    the choice itself has no derivative. Of equally hard pixels at the border the first are kept.

    References
    ----------
    Z. Wu, C. Shen, A. van den Hengel, "Bridging Category-level and Instance-level Semantic Image
    Segmentation", 2016 (`top_k`). A. Shrivastava, A. Gupta, R. Girshick, "Training Region-based
    Object Detectors with Online Hard Example Mining", CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits = np.zeros((1, 2, 3))
    >>> target = np.asarray([[0, 1, 255]])
    >>> round(float(al.CrossEntropyLoss(ignore_index=255)(logits, target)), 6)
    0.693147
    >>> logits = np.log([[0.9, 0.1], [0.5, 0.5], [0.8, 0.2], [0.3, 0.7]])
    >>> loss = al.CrossEntropyLoss(top_k=0.5)  # (-log 0.5 - log 0.3) / 2
    >>> round(float(loss(logits, np.zeros(4, dtype=int))), 6)
    0.94856
    """

    def pixel_loss(self, term: Term) -> Array:
        """Return -log p_t."""
        return -term.log_p

    def pixel_derivative(self, term: Term) -> tuple[Array | float, None]:
        """Return d (-log p_t) / d log p_t."""
        return -1.0, None


@dataclass(frozen=True, kw_only=True)
class PolyLoss(_SmoothedLoss):
    r"""Poly-1 loss: cross entropy with another weight for its leading term.

    .. math:: -\log p_t + \varepsilon (1 - p_t)

    with :math:`p_t` the probability of what the target says: of the pixel's class (softmax), or of
    each class being there or not (sigmoid). As :math:`-\log p = \sum_{j \ge 1} (1 - p)^j / j`, the
    leading term weighs :math:`1 + \varepsilon`. A soft or smoothed target averages the losses
    of its terms, weighted by its values.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, reduction, activation
        As for `CrossEntropyLoss`.
    normalize, label_smoothing, pos_weight
        As for `CrossEntropyLoss`; `pos_weight` is a factor of both terms.
    epsilon : number, default 1
        What is added to the weight of the leading term; from -1 on the loss never falls with
        1 - p. 0 is cross entropy.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    CrossEntropyLoss : epsilon 0.

    References
    ----------
    Z. Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions",
    ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, 1]])
    >>> round(float(al.PolyLoss(epsilon=2.0)(logits, target)), 6)  # log(2) + 2 / 2
    1.693147
    """

    epsilon: float = 1.0

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self._set(epsilon=options.number("epsilon", self.epsilon))

    def pixel_loss(self, term: Term) -> Array:
        """Return -log p_t + epsilon (1 - p_t)."""
        rest = term.at.one_minus_p
        if not self._cancels:
            return self.epsilon * rest - term.log_p
        xp = term.pixels.xp
        sure = rest < 0.125
        series = _rest_of_log(xp.where(sure, rest, 0.0)) + (1.0 + self.epsilon) * rest
        return xp.where(sure, series, self.epsilon * rest - term.log_p)

    def pixel_derivative(self, term: Term) -> tuple[Array | float, None]:
        """Return -1 - epsilon p_t, the derivative by log p_t."""
        if self._cancels:
            return self.epsilon * term.at.one_minus_p - (1.0 + self.epsilon), None
        return -1.0 - self.epsilon * term.at.p, None

    @property
    def _cancels(self) -> bool:
        """Whether the leading term is left with next to nothing."""
        return abs(1.0 + self.epsilon) < 0.25


def _rest_of_log(x: Array) -> Array:
    """Return -log(1 - x) - x for x up to 1/8, without the difference.

    With r = x / (2 - x) the logarithm is 2 (r + r^3 / 3 + r^5 / 5 + ...), and 2 r - x = r x.
    """
    r = x / (2.0 - x)
    square, series = r * r, 0.0
    for n in range(13, 1, -2):
        series = square * (1.0 / n + series)
    return r * x + 2.0 * r * series

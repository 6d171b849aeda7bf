"""Boundary loss: probabilities times their signed distance from the true boundary."""

from __future__ import annotations

from dataclasses import dataclass

from array_losses.core.block import View
from array_losses.core.derivative import Derivative
from array_losses.core.namespace import Array
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Sums
from array_losses.losses.pixel_mean import NORMALIZE, Normalize, PixelLoss

__all__ = ["BoundaryLoss"]


@dataclass(frozen=True, kw_only=True)
class BoundaryLoss(PixelLoss):
    r"""Boundary loss: the probabilities times their signed distance from the target's boundary.

    .. math:: \frac{1}{N} \sum_i w_i \sum_c \omega_c \varphi_{ic} p_{ic}

    The target of a call is the map :math:`\varphi`, floating and shaped like the logits: negative
    inside the class, positive outside, as `signed_distance_map` makes it from labels. The loss may
    be negative; it is least where all probability lies inside. It is meant to be added to another
    loss, with a weight that grows in training.

    Parameters
    ----------
    class_axis, class_weights, include_background, activation
        As for `CrossEntropyLoss`.
    ignore_index : None
        A map has no labels; use `pixel_weights`.
    reduction : {"mean", "sum", "none"}
        "none" gives a map over pixels, classes summed.
    normalize : {"valid_elements", "valid_pixels", "all_elements", "all_pixels", "valid", "all"}
        The divisor N of the mean, as for `CrossEntropyLoss`: by default the summed pixel weights,
        times the number of classes that count.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value; at a call, if the target is no floating map.

    See Also
    --------
    array_losses.signed_distance_map : makes the target.

    Notes
    -----
    In a `WeightedSum` all losses get the same target, so a boundary loss cannot be summed with one
    of labels: it is called on its own, and the values and gradients are added.

    References
    ----------
    H. Kervadec, J. Bouchtiba, C. Desrosiers, E. Granger, J. Dolz, I. Ben Ayed, "Boundary Loss for
    Highly Unbalanced Segmentation", MIDL 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> p = np.asarray([[[0.0, 0.2, 0.9, 1.0]]])
    >>> distances = np.asarray([[[2.0, 1.0, -1.0, -2.0]]])
    >>> float(al.BoundaryLoss(activation=None)(p, distances).round(6))  # (0.2 - 0.9 - 2) / 4
    -0.675

    Added to a loss of labels:

    >>> labels, logits = np.asarray([[0, 0, 1, 1]]), np.zeros((1, 2, 4))
    >>> distances = al.signed_distance_map(labels, num_classes=2)
    >>> regional, grad = al.DiceLoss().value_and_grad(logits, labels)
    >>> contour, other_grad = al.BoundaryLoss().value_and_grad(logits, distances)
    >>> value, gradient = regional + 0.1 * contour, grad + 0.1 * other_grad
    """

    normalize: Normalize = "valid_elements"

    @property
    def divisors(self) -> tuple[str, ...]:
        """The values that `normalize` may have."""
        # Not `super().divisors`: torch.compile takes that for the property itself.
        return tuple(one for one in NORMALIZE if one != "weights")

    @property
    def view(self) -> View:
        """How it looks at pixels: the target holds any numbers."""
        return View(self.activation, (), bounded=False)

    def check_classes(self, num_classes: int, *, soft: bool) -> None:
        """Raise an error if the options do not fit the number of classes or the target."""
        super().check_classes(num_classes, soft=soft)
        if not soft:
            msg = (
                "`target` must be a floating map of signed distances, shaped like the logits; "
                "`signed_distance_map` makes it from labels."
            )
            raise TypeError(msg)

    def pixel_losses(self, pixels: Pixels) -> Array:
        """Return the loss of each pixel, (images, 1, pixels)."""
        each = pixels.weighted(self._distances(pixels) * pixels.every.p)
        return pixels.xp.sum(each, axis=1, keepdims=True)

    def derivative(self, pixels: Pixels, grad_sums: Sums) -> Derivative:
        """Return d loss / d probabilities; `grad_sums` may also hold a map over the pixels."""
        return pixels.by_p(self._distances(pixels) * grad_sums[0])

    def _distances(self, pixels: Pixels) -> Array:
        """Return the map times the class weights."""
        factors = self.class_factors(pixels.num_classes)
        distances = pixels.target
        return distances if isinstance(factors, float) else pixels.per_class(factors) * distances

"""torchvision's focal loss by its name, as of torchvision.ops 0.29."""

from __future__ import annotations

import array_losses as al
from array_losses.core.namespace import Array, namespace_of
from array_losses.losses.base import Reduction
from array_losses.presets.elementwise import elementwise
from array_losses.presets.translation import Call, preset_function

__all__ = ["sigmoid_focal_loss"]


@preset_function
def sigmoid_focal_loss(
    inputs: Array,
    targets: Array,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
) -> Call:
    """Sigmoid focal loss, as ``torchvision.ops.sigmoid_focal_loss``.

    Parameters
    ----------
    inputs : array, real floating
        Logits of any shape.
    targets : array
        0, 1 or probabilities, of the same shape.
    alpha : float from 0 to 1, default 0.25
        The factor of positives, with 1 - alpha for negatives; -1 for neither.
    gamma : number >= 0, default 2
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import torchvision
    >>> loss = torchvision.sigmoid_focal_loss
    >>> value, grad = loss.value_and_grad(np.zeros(2), np.asarray([0, 1]), reduction="mean")
    >>> round(float(value), 6)
    0.086643
    """
    xp = namespace_of(inputs=inputs, targets=targets)
    criterion = al.FocalLoss(
        activation="sigmoid",
        normalize="all",
        alpha=None if alpha == -1.0 else alpha,
        gamma=gamma,
        soft="arithmetic",
        reduction=reduction,
    )
    return elementwise(xp, criterion, inputs, targets)

"""Binary losses of single elements: each element of the logits is a pixel of one image and class.

So each element may have its own weight, and may be ignored, whether the target is hard or soft.
"""

from __future__ import annotations

import math
from typing import Any

from array_losses.core.namespace import Array, Namespace
from array_losses.losses.base import Criterion
from array_losses.presets import arrays
from array_losses.presets.translation import Translation

__all__ = ["elementwise", "one_weight"]


def elementwise(
    xp: Namespace,
    criterion: Criterion,
    logits: Array,
    target: Array,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    hidden: Array | None = None,
) -> Translation:
    """Return the translation of a binary loss whose elements have their own weights.

    Parameters
    ----------
    criterion : Criterion
        With the activation "sigmoid" or None, without `ignore_index` and options per class.
    logits, target : array
        Of one shape, to which the weights are broadcast. With `pos_weight` the criterion must
        take a soft target as a mixture of a positive and a negative.
    weight, pos_weight : number or array, optional
        Factors of the element, and of its positive term.
    hidden : bool array, optional
        Elements that do not count, whatever the target holds there.
    """
    shape = logits.shape
    target = arrays.zero_at(xp, hidden, target)
    if pos_weight is None:
        target = arrays.hard_if_it_is(xp, target)
    else:
        # -[w q log p + (1 - q) log(1 - p)] is the loss of the target w q / (w q + 1 - q), weighted.
        target = arrays.as_floating(xp, target, logits)
        positive = target * arrays.as_floating(xp, pos_weight, logits)
        factor = positive + (1.0 - target)
        target = xp.where(factor == 0.0, 0.0, positive / xp.where(factor == 0.0, 1.0, factor))
        weight = factor if weight is None else factor * arrays.as_floating(xp, weight, logits)
    counted = None if hidden is None else ~hidden
    if weight is not None:
        weight = xp.broadcast_to(arrays.as_floating(xp, weight, logits), shape)
        counted = weight if counted is None else xp.where(counted, weight, 0.0)
    return Translation(
        criterion,
        _one_class(xp, logits),
        _one_class(xp, target),
        None if counted is None else one_weight(xp, counted),
        reshape=lambda x: xp.reshape(x, shape) if x.ndim else x,
        back=lambda grad: xp.reshape(grad, shape),
    )


def _one_class(xp: Namespace, x: Array) -> Array:
    return xp.reshape(x, (1, 1, math.prod(x.shape)))


def one_weight(xp: Namespace, x: Array) -> Array:
    """Return every element as the weight, or the label, of a pixel of one image."""
    return xp.reshape(x, (1, math.prod(x.shape)))

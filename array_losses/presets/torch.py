"""PyTorch's cross entropies by their names: torch.nn.functional and torch.nn, as of 2.13."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import array_losses as al
from array_losses.core.namespace import Array, is_real_floating, namespace_of
from array_losses.losses.base import Reduction
from array_losses.presets import arrays
from array_losses.presets.checks import same_shape
from array_losses.presets.elementwise import elementwise
from array_losses.presets.translation import Call, Preset, Translation, preset_function

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
]


@preset_function
def cross_entropy(
    input: Array,
    target: Array,
    weight: Sequence[float] | Array | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Translation:
    """Softmax cross entropy, as ``torch.nn.functional.cross_entropy``.

    Parameters
    ----------
    input : array, real floating
        Logits (C,) or (N, C, ...).
    target : array
        Labels without the class axis, or floating probabilities of the shape of `input`.
    weight : sequence or 1-D array, optional
        One number per class.
    size_average, reduce : bool, optional
        Older names of `reduction`, which they overrule.
    ignore_index : int, default -100
        A label that does not count; without effect on probabilities.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float from 0 to 1

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in PyTorch, and the same here: "mean" divides by the summed class weights for labels, but by
    the number of pixels for probabilities, so that a one-hot target gives another number than its
    labels. `array_losses.CrossEntropyLoss` has one formula for both. Different here: 0 where all
    pixels are ignored, not NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import torch
    >>> input, target = np.zeros((1, 2, 3)), np.asarray([[0, 1, -100]])
    >>> loss, grad = torch.cross_entropy.value_and_grad(input, target)
    >>> round(float(loss), 6)
    0.693147
    """
    xp = namespace_of(input=input, target=target)
    soft = is_real_floating(xp, target.dtype)
    criterion = al.CrossEntropyLoss(
        class_weights=arrays.numbers(weight),
        ignore_index=None if soft else ignore_index,
        label_smoothing=label_smoothing,
        reduction=_reduction(reduction, size_average, reduce),
        normalize="all" if soft else "weights",
    )
    if input.ndim > 1:
        return Translation(criterion, input, target)
    return Translation(
        criterion,
        input[None, :],
        target[None, ...],
        reshape=lambda x: x[0] if x.ndim else x,
        back=lambda grad: grad[0, :],
    )


@preset_function
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    pos_weight: float | Sequence[float] | Array | None = None,
) -> Translation:
    """Sigmoid cross entropy, as ``torch.nn.functional.binary_cross_entropy_with_logits``.

    Parameters
    ----------
    input : array, real floating
        Logits of any shape.
    target : array
        Of the same shape; integer, bool or floating from 0 to 1.
    weight : array, optional
        Factors, broadcast to the shape of `input`; none negative.
    size_average, reduce : bool, optional
        Older names of `reduction`, which they overrule.
    reduction : {"mean", "sum", "none"}
    pos_weight : number, sequence or array, optional
        Factors of the positive term, broadcast to the shape of `input` (so a sequence runs along
        the last axis, as in PyTorch: for classes on axis 1 give it the shape (C, 1, 1)).

    Returns
    -------
    array

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in PyTorch, and the same here: `weight` never enters the divisor of the mean.
    ``array_losses.CrossEntropyLoss(activation="sigmoid")`` divides by what counts, and has
    `ignore_index`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import torch
    >>> input, target = np.zeros((2, 3)), np.eye(2, 3)
    >>> round(float(torch.binary_cross_entropy_with_logits(input, target)), 6)
    0.693147
    """
    xp = namespace_of(input=input, target=target)
    same_shape(target=target, input=input)
    number = isinstance(pos_weight, float | int)
    criterion = al.CrossEntropyLoss(
        activation="sigmoid",
        normalize="all",
        reduction=_reduction(reduction, size_average, reduce),
        pos_weight=pos_weight if number else None,
    )
    factors = None if number else pos_weight
    return elementwise(xp, criterion, input, target, weight=weight, pos_weight=factors)


def _reduction(reduction: Reduction, size_average: bool | None, reduce: bool | None) -> Reduction:
    """Return what PyTorch's two older options mean, if one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


@dataclass(frozen=True)
class CrossEntropyLoss(Preset):
    """Softmax cross entropy, as ``torch.nn.CrossEntropyLoss``: called with (input, target).

    Parameters
    ----------
    weight, size_average, ignore_index, reduce, reduction, label_smoothing : optional
        As for `cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import torch
    >>> criterion = torch.CrossEntropyLoss(weight=[1.0, 3.0])
    >>> round(float(criterion(np.zeros((1, 2, 2)), np.asarray([[0, 1]]))), 6)
    0.693147
    """

    weight: Any = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Keep the weights as numbers."""
        self.keep(weight=arrays.numbers(self.weight))

    def translate(self, input: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return cross_entropy.translate(input, target, **self.options())


@dataclass(frozen=True, eq=False)
class BCEWithLogitsLoss(Preset):
    """Sigmoid cross entropy, as ``torch.nn.BCEWithLogitsLoss``: called with (input, target).

    Parameters
    ----------
    weight, size_average, reduce, reduction, pos_weight : optional
        As for `binary_cross_entropy_with_logits`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import torch
    >>> criterion = torch.BCEWithLogitsLoss(pos_weight=3.0)
    >>> round(float(criterion(np.zeros(2), np.asarray([0, 1]))), 6)
    1.386294
    """

    weight: Any = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: Reduction = "mean"
    pos_weight: Any = None

    def translate(self, input: Array, target: Array) -> Call:
        """Return our loss and the arrays that it takes."""
        return binary_cross_entropy_with_logits.translate(input, target, **self.options())

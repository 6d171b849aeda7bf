"""The Lovász losses of the authors' own code by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import array_losses as al
from array_losses.core.namespace import Array, namespace_of, number_of
from array_losses.presets import arrays
from array_losses.presets.translation import Call, Translation, preset_function

__all__ = ["lovasz_hinge", "lovasz_softmax"]


@preset_function
def lovasz_softmax(
    probas: Array,
    labels: Array,
    classes: Literal["present", "all"] | Sequence[int] = "present",
    per_image: bool = False,
    ignore: int | None = None,
) -> Call:
    """Lovász-Softmax loss of probabilities, as ``lovasz_softmax`` of the original code.

    Parameters
    ----------
    probas : array, real floating
        Probabilities (B, C, H, W), or (B, H, W) of one class.
    labels : array, integer
        (B, H, W).
    classes : "present", "all" or sequence of ints
        The classes to average; a sequence counts absent classes too. For one class it holds the
        label of that class.
    per_image : bool, default False
        Whether each image is sorted on its own.
    ignore : int, optional
        A label that does not count.

    Returns
    -------
    array, 0-D

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.LovaszSoftmaxLoss`; and for one class without its label in `classes`.

    Notes
    -----
    Different here: float64 and half precision, any number of axes (volumes with their class axis),
    arrays of any memory layout; 0 where all pixels are ignored, where the original returns an array
    without elements.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import lovasz
    >>> probas, labels = np.full((1, 2, 1, 4), 0.5), np.asarray([[[0, 0, 0, 1]]])
    >>> loss, grad = lovasz.lovasz_softmax.value_and_grad(probas, labels)
    >>> float(loss)
    0.5
    """
    xp = namespace_of(probas=probas, labels=labels)
    pool: Literal["image", "batch"] = "image" if per_image else "batch"
    labels = arrays.as_labels(xp, labels)
    named = not isinstance(classes, str)
    if not named and classes not in {"present", "all"}:
        msg = f'`classes` must be "present", "all" or a sequence of classes, got {classes!r}.'
        raise ValueError(msg)
    single = probas.ndim == labels.ndim
    if single or probas.shape[1] == 1:
        if not named or len(classes) != 1:
            msg = f"`classes` must hold the label of the one class there is, got {classes!r}."
            raise ValueError(msg)
        hidden = arrays.equal(xp, labels, ignore)
        return Translation(
            al.LovaszSoftmaxLoss(activation=None, pool=pool, absent="keep"),
            probas[:, None, ...] if single else probas,
            labels == int(classes[0]),
            None if hidden is None else ~hidden,
            back=(lambda grad: grad[:, 0, ...]) if single else (lambda grad: grad),
        )
    weights = None
    if named:
        kept = [int(one) for one in classes]
        number = number_of(probas.shape[1])
        if any(not 0 <= one < number for one in kept):
            msg = f"`classes` must hold numbers from 0 to {number - 1}, got {kept}."
            raise ValueError(msg)
        weights = [float(kept.count(one)) for one in range(number)]
    criterion = al.LovaszSoftmaxLoss(
        activation=None,
        pool=pool,
        absent="skip" if classes == "present" else "keep",
        class_weights=weights,
        ignore_index=ignore,
    )
    return Translation(criterion, probas, labels)


@preset_function
def lovasz_hinge(
    logits: Array, labels: Array, per_image: bool = True, ignore: int | None = None
) -> Call:
    """Lovász hinge of logits, as ``lovasz_hinge`` of the original code.

    Parameters
    ----------
    logits : array, real floating
        (B, H, W), or any shape whose first axis is of images.
    labels : array
        0, 1 or `ignore`, of the same shape.
    per_image : bool, default True
        Whether each image is sorted on its own; mind that `lovasz_softmax` has another default.
    ignore : int, optional
        A label that does not count.

    Returns
    -------
    array, 0-D

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.LovaszHingeLoss`.

    Notes
    -----
    Odd in the original, and the same here: an image of which all pixels are ignored counts in the
    mean, with 0.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import lovasz
    >>> float(lovasz.lovasz_hinge(np.zeros((1, 1, 4)), np.asarray([[[0, 0, 0, 1]]])))
    1.0
    """
    xp = namespace_of(logits=logits, labels=labels)
    shape = logits.shape
    criterion = al.LovaszHingeLoss(pool="image" if per_image else "batch", ignore_index=ignore)
    return Translation(
        criterion,
        xp.reshape(logits, (shape[0], 1, -1)),
        xp.reshape(arrays.as_labels(xp, labels), (shape[0], -1)),
        back=lambda grad: xp.reshape(grad, shape),
    )

"""optax's losses by their names, as of 0.2.8: classes on the last axis, a number for each pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import array_losses as al
from array_losses.core.namespace import Array, Namespace, is_array_api_obj, namespace_of, number_of
from array_losses.losses.base import Criterion
from array_losses.presets import arrays
from array_losses.presets.checks import one_of, same_shape
from array_losses.presets.elementwise import elementwise, one_weight
from array_losses.presets.translation import Call, Translation, preset_function

__all__ = [
    "binary_dice_loss",
    "dice_loss",
    "poly_loss_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]

Axis = int | tuple[int, ...] | None


def _of_elements(criterion: Criterion, logits: Array, labels: Any) -> Translation:
    """Return a binary loss of each element, whose labels may be a number."""
    if is_array_api_obj(labels):
        xp = namespace_of(logits=logits, labels=labels)
    else:
        xp = namespace_of(logits=logits)
    labels = xp.broadcast_to(arrays.as_floating(xp, labels, logits), logits.shape)
    return elementwise(xp, criterion, logits, labels)


@preset_function
def sigmoid_binary_cross_entropy(logits: Array, labels: Array) -> Call:
    """Sigmoid cross entropy of each element, as ``optax.sigmoid_binary_cross_entropy``.

    Parameters
    ----------
    logits : array, real floating
    labels : array or number
        0, 1 or probabilities, broadcast to the shape of `logits`.

    Returns
    -------
    array
        Of the shape of `logits`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> optax.sigmoid_binary_cross_entropy(np.zeros(2), np.asarray([0, 1])).round(6)
    array([0.693147, 0.693147])
    """
    criterion = al.CrossEntropyLoss(activation="sigmoid", reduction="none")
    return _of_elements(criterion, logits, labels)


@preset_function
def sigmoid_focal_loss(
    logits: Array, labels: Array, *, alpha: float | None = None, gamma: float = 2.0
) -> Call:
    """Focal loss of each element, as ``optax.sigmoid_focal_loss``.

    Parameters
    ----------
    logits : array, real floating
    labels : array or number
        0, 1 or probabilities, broadcast to the shape of `logits`.
    alpha : float from 0 to 1, optional
        The factor of positives; negatives have 1 - alpha.
    gamma : number >= 0, default 2

    Returns
    -------
    array
        Of the shape of `logits`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> optax.sigmoid_focal_loss(np.zeros(2), np.asarray([0, 1])).round(6)
    array([0.173287, 0.173287])
    """
    criterion = al.FocalLoss(
        activation="sigmoid", reduction="none", alpha=alpha, gamma=gamma, soft="arithmetic"
    )
    return _of_elements(criterion, logits, labels)


@preset_function
def softmax_cross_entropy(
    logits: Array, labels: Array, axis: Axis = -1, where: Array | None = None
) -> Call:
    """Softmax cross entropy of each pixel, as ``optax.softmax_cross_entropy``.

    Parameters
    ----------
    logits : array, real floating
    labels : array
        Probabilities, or a one-hot target, of the shape of `logits`.
    axis : int, tuple of ints or None, default -1
        The axis of the classes, or several; None for all.
    where : bool array, optional
        The classes that count, of the shape of `logits`, or without `axis`: whole pixels.

    Returns
    -------
    array
        Of the shape of `logits` without `axis`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> optax.softmax_cross_entropy(np.zeros((1, 2)), np.asarray([[0.0, 1.0]])).round(6)
    array([0.693147])
    """
    criterion = al.CrossEntropyLoss(class_axis=-1, reduction="none")
    return _of_distributions(criterion, logits, labels, axis, where)


@preset_function
def poly_loss_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    epsilon: float = 2.0,
    axis: Axis = -1,
    where: Array | None = None,
) -> Call:
    """Poly-1 loss of each pixel, as ``optax.poly_loss_cross_entropy``.

    Parameters
    ----------
    logits, labels, axis, where
        As for `softmax_cross_entropy`.
    epsilon : number, default 2
        The factor of 1 - p.

    Returns
    -------
    array
        Of the shape of `logits` without `axis`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.PolyLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> optax.poly_loss_cross_entropy(np.zeros((1, 2)), np.asarray([[0.0, 1.0]])).round(6)
    array([1.693147])
    """
    criterion = al.PolyLoss(class_axis=-1, reduction="none", epsilon=epsilon)
    return _of_distributions(criterion, logits, labels, axis, where)


def _of_distributions(
    criterion: Criterion, logits: Array, labels: Array, axis: Axis, where: Array | None
) -> Translation:
    xp = namespace_of(logits=logits, labels=labels)
    axes = _axes(logits, axis)
    if where is not None:
        logits, where = _only_where(xp, logits, where, axis)
        labels = arrays.zero_at(xp, ~where, labels)
    flat, shape = _classes_last(xp, logits, axes)
    labels, _ = _classes_last(xp, labels, axes)
    return Translation(criterion, flat, labels, reshape=lambda x: xp.reshape(x, shape))


@preset_function
def softmax_cross_entropy_with_integer_labels(
    logits: Array,
    labels: Array,
    axis: int | tuple[int, ...] = -1,
    where: Array | None = None,
) -> Call:
    """Softmax cross entropy, as ``optax.softmax_cross_entropy_with_integer_labels``.

    Parameters
    ----------
    logits : array, real floating
    labels : array, integer
        Of the shape of `logits` without `axis`.
    axis : int or tuple of ints, default -1
        The axis of the classes, or several, whose classes are counted with the last one fastest.
    where : bool array, optional
        The classes that count, of the shape of `logits`, or without `axis`: whole pixels. The
        labelled class must be among them.

    Returns
    -------
    array
        Of the shape of `labels`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Different here: a label outside the classes is an error, where optax gives NaN or counts from
    the end.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> loss = optax.softmax_cross_entropy_with_integer_labels
    >>> loss(np.zeros((1, 2)), np.asarray([1])).round(6)
    array([0.693147])
    """
    xp = namespace_of(logits=logits, labels=labels)
    weights = None
    if where is not None:
        logits, where = _only_where(xp, logits, where, axis)
        weights = xp.any(where, axis=_axes(logits, axis))
    flat, shape = _classes_last(xp, logits, _axes(logits, axis))
    return Translation(
        al.CrossEntropyLoss(class_axis=-1, reduction="none"),
        flat,
        one_weight(xp, labels),
        None if weights is None else one_weight(xp, weights),
        reshape=lambda x: xp.reshape(x, shape),
    )


def _axes(x: Array, axis: Axis) -> tuple[int, ...]:
    """Return the axes of the classes, each counted from the front."""
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(one % x.ndim for one in ((axis,) if isinstance(axis, int) else axis))


def _only_where(xp: Namespace, logits: Array, where: Array, axis: Axis) -> tuple[Array, Array]:
    """Return logits whose probability is 0 except at `where`, and `where` for every element."""
    if where.ndim != logits.ndim:
        for one in sorted(_axes(logits, axis)):
            where = xp.expand_dims(where, axis=one)
    where = xp.broadcast_to(where, logits.shape)
    return xp.where(where, logits, 0.5 * xp.finfo(logits.dtype).min), where


def _classes_last(xp: Namespace, x: Array, axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Return `x` as one image (1, pixels, classes), and the shape of its pixels."""
    pixels = tuple(one for one in range(x.ndim) if one not in axes)
    shape = tuple(x.shape[one] for one in pixels)
    x = xp.permute_dims(x, (*pixels, *axes))
    return xp.reshape(x, (1, math.prod(shape), -1)), shape


@preset_function
def dice_loss(
    predictions: Array,
    targets: Array,
    *,
    class_weights: Sequence[float] | Array | None = None,
    smooth: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    apply_softmax: bool = True,
    reduction: Literal["mean", "sum", "none"] = "mean",
    ignore_background: bool = False,
    axis: Axis = None,
) -> Call:
    """Dice or Tversky loss of each image, as ``optax.losses.dice_loss``.

    Parameters
    ----------
    predictions : array, real floating
        Logits or probabilities (images, ..., classes).
    targets : array
        One-hot or probabilities, of the same shape; an axis of one class may be left out.
    class_weights : sequence or 1-D array, optional
        Factors of the classes' losses.
    smooth : number >= 0, default 1
        Added to the true positives, and to the denominator.
    alpha, beta : numbers >= 0, default 0.5
        The weights of false positives and of false negatives.
    apply_softmax : bool, default True
        Whether `predictions` are logits; of one class the sigmoid is taken.
    reduction : {"mean", "sum", "none"}
        Over the classes; the images stay.
    ignore_background : bool, default False
        Whether class 0 is left out.
    axis : int or tuple of ints, optional
        The axes to sum over, all but the first and the last by default; not that of the classes.

    Returns
    -------
    array
        One number per image, or (images, classes) for "none".

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.TverskyLoss`.

    Notes
    -----
    Odd in optax, and the same here: smooth = 1 is 2 beside 2T, twice what other libraries call 1.
    In `array_losses.DiceLoss` `smooth` is added to 2T. Different here: ``apply_softmax=False``
    takes one class too, and under ``jax.jit``, where optax raises an error.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> p = np.asarray([[[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]])
    >>> optax.dice_loss(p, np.eye(2)[[[0, 0, 1]]], apply_softmax=False).round(6)
    array([0.10101])
    """
    one_of("reduction", reduction, "mean", "sum", "none")
    xp = namespace_of(predictions=predictions, targets=targets)
    if predictions.ndim == targets.ndim - 1:
        predictions = predictions[..., None]
    if targets.ndim == predictions.ndim - 1:
        targets = targets[..., None]
    same_shape(targets=targets, predictions=predictions)
    last = predictions.ndim - 1
    summed = tuple(range(1, last)) if axis is None else _axes(predictions, axis)
    if last in summed:
        msg = f"`axis` must not hold the axis of the classes, {last}, got {axis}."
        raise ValueError(msg)
    classes = number_of(predictions.shape[-1])
    criterion = al.TverskyLoss(
        class_axis=-1,
        class_weights=arrays.numbers(class_weights),
        include_background=not ignore_background or classes == 1,
        activation=(None if not apply_softmax else "sigmoid" if classes == 1 else "softmax"),
        reduction="none",
        pool="image",
        absent="keep",
        smooth=smooth,
        intersection="product",
        fp_weight=alpha,
        fn_weight=beta,
    )
    kept = tuple(one for one in range(last) if one not in summed)
    order = (*kept, *summed, last)
    images = tuple(predictions.shape[one] for one in kept)
    pixels = math.prod([predictions.shape[one] for one in summed])

    def arranged(x: Array) -> Array:
        return xp.reshape(xp.permute_dims(x, order), (math.prod(images), pixels, classes))

    def reduced(losses: Array) -> Array:
        losses = xp.reshape(losses, (*images, classes))
        losses = losses if criterion.include_background else losses[..., 1:]
        if reduction == "none":
            return losses
        return (xp.mean if reduction == "mean" else xp.sum)(losses, axis=-1)

    return Translation(criterion, arranged(predictions), arranged(targets), reshape=reduced)


@preset_function
def binary_dice_loss(
    predictions: Array, targets: Array, *, smooth: float = 1.0, apply_sigmoid: bool = True
) -> Call:
    """Dice loss of each image, of one class, as ``optax.losses.binary_dice_loss``.

    Parameters
    ----------
    predictions : array, real floating
        Logits or probabilities (images, ...), or with a last axis of 1.
    targets : array
        0, 1 or probabilities, of the same shape.
    smooth : number >= 0, default 1
        As for `dice_loss`.
    apply_sigmoid : bool, default True
        Whether `predictions` are logits.

    Returns
    -------
    array
        One number per image.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.TverskyLoss`.

    Notes
    -----
    Different here: ``apply_sigmoid=False`` works; optax raises an error, since one class's
    probabilities do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import optax
    >>> optax.binary_dice_loss(np.zeros((1, 4)), np.asarray([[0, 0, 0, 1]])).round(6)
    array([0.4])
    """
    if predictions.ndim == targets.ndim and predictions.shape[-1] != 1:
        predictions, targets = predictions[..., None], targets[..., None]
    return dice_loss.translate(predictions, targets, smooth=smooth, apply_softmax=apply_sigmoid)

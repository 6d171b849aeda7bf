"""Keras's losses by their names, as of 3.15.1: called with (y_true, y_pred), classes last."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import array_losses as al
from array_losses.core.namespace import Array, Namespace, kept_within, namespace_of, number_of
from array_losses.losses import base
from array_losses.losses.base import Criterion
from array_losses.presets import arrays
from array_losses.presets.checks import same_shape
from array_losses.presets.elementwise import elementwise
from array_losses.presets.translation import Call, Preset, Translation

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Dice",
    "SparseCategoricalCrossentropy",
    "Tversky",
]

Reduction: TypeAlias = (
    Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"] | None
)
Axis: TypeAlias = int | tuple[int, ...] | None
_EPSILON = 1e-7


@dataclass(frozen=True)
class _Loss(Preset):
    """All of Keras's losses: the reduction. `name` and `dtype` have no effect."""

    def __post_init__(self) -> None:
        """Check the reduction, and make lists tuples."""
        options = self.options()
        known = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
        if options["reduction"] not in known:
            msg = f"`reduction` must be one of {known}, got {options['reduction']!r}."
            raise ValueError(msg)
        if isinstance(options["axis"], list):
            self.keep(axis=tuple(options["axis"]))

    def get_config(self) -> dict[str, Any]:
        """Return the options as plain data, which Keras keeps with a saved model."""
        return {name: value for name, value in self.to_config().items() if name != "class"}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the loss by its options, as Keras does when it loads a model."""
        return cls(**config)

    @property
    def ours(self) -> base.Reduction:
        """The reduction as ours is called."""
        given = self.options()["reduction"]
        if given in {"none", None}:
            return "none"
        return "sum" if given == "sum" else "mean"


def _as_ranked(y_true: Array, y_pred: Array) -> Array:
    """Return the target with or without a last axis of length 1, as the prediction has it."""
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0]
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        return y_true[..., None]
    return y_true


def _weights(
    xp: Namespace, weight: Any, losses: tuple[int, ...], like: Array
) -> tuple[Array | None, float]:
    """Return the sample weights in the shape of the losses, and how often each is repeated."""
    if weight is None:
        return None, 1.0
    weight = arrays.as_floating(xp, weight, like)
    given = tuple(weight.shape)
    if weight.ndim == len(losses) + 1 and given[-1] == 1:
        weight = weight[..., 0]
    elif weight.ndim == len(losses) - 1 and losses[-1] == 1:
        weight = weight[..., None]
    shape = tuple(weight.shape)
    fitting = zip(shape[::-1], losses[::-1], strict=False)
    if len(shape) > len(losses) or any(one not in (1, there) for one, there in fitting):
        msg = f"`sample_weight` must broadcast to the shape of the losses, {losses}, got {given}."
        raise ValueError(msg)
    return xp.broadcast_to(weight, losses), math.prod(losses) / max(math.prod(shape), 1)


@dataclass(frozen=True)
class _Overlap(_Loss):
    """The overlap losses: sums over some axes, all of them by default."""

    def of(
        self, loss: Criterion, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> Call:
        """Return one of our losses, with the axes that are not summed over as images."""
        xp = namespace_of(y_true=y_true, y_pred=y_pred)
        y_true = _as_ranked(y_true, y_pred)
        same_shape(y_true=y_true, y_pred=y_pred)
        axis, shape = self.options()["axis"], y_pred.shape
        summed = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
        summed = tuple(one % len(shape) for one in summed)
        kept = tuple(one for one in range(len(shape)) if one not in summed)
        order = (*kept, *summed)
        images = tuple([shape[one] for one in kept])
        back = tuple([order.index(one) for one in range(len(shape))])
        moved = tuple([shape[one] for one in order])

        def arranged(x: Array) -> Array:
            return xp.reshape(xp.permute_dims(x, order), (math.prod(images), 1, -1))

        call = Translation(
            loss,
            arranged(y_pred),
            arranged(arrays.as_floating(xp, y_true, y_pred)),
            reshape=lambda x: xp.reshape(x, images) if x.ndim else x,
            back=lambda grad: xp.permute_dims(xp.reshape(grad, moved), back),
        )
        if sample_weight is None:
            return call
        return call.scaled(self._factor(xp, arrays.as_floating(xp, sample_weight, y_pred)))

    def _factor(self, xp: Namespace, weight: Array) -> Array:
        """Return the factor that sample weights make of the one loss of all axes."""
        if self.options()["axis"] is not None or (self.ours == "none" and weight.ndim > 0):
            msg = (
                "`sample_weight` must be None where there are several losses, with an `axis` or "
                "without a reduction: here their weights would be those of classes."
            )
            raise ValueError(msg)
        if weight.ndim > 0 and self.options()["reduction"] == "mean_with_sample_weight":
            total = xp.sum(weight)
            return xp.where(total == 0.0, 0.0, xp.ones_like(total))
        return xp.sum(weight) if self.ours == "sum" else xp.mean(weight)

    def shared(self) -> dict[str, Any]:
        """Return the options that our losses have in common."""
        everything = self.options()["axis"] is None
        return {
            "activation": None,
            "pool": "image",
            "absent": "keep",
            "intersection": "product",
            "smooth": (0.0, _EPSILON),
            "reduction": "mean" if everything else self.ours,
        }


@dataclass(frozen=True)
class Dice(_Overlap):
    """Dice loss of probabilities, as ``keras.losses.Dice``: called with (y_true, y_pred).

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None}
    name : str
        Without effect.
    axis : int or sequence of ints, optional
        The axes to sum over: all by default, batch and classes too.
    dtype
        Without effect: the loss is computed in the dtype of `y_pred`, or in float32.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss`.

    Notes
    -----
    Called with (y_true, y_pred, sample_weight=None): with the one loss of ``axis=None`` the weights
    are a factor of it, their mean or their sum; otherwise they are an error.

    Odd in Keras, and the same here: by default all classes share one sum, so that a large one
    dominates, and with empty prediction and target the loss is 1. ``array_losses.DiceLoss(
    class_axis=-1, activation=None)`` averages over classes. Different here: float64 stays float64,
    where Keras converts to float32 by default.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> y_true, y_pred = np.asarray([[[0, 1], [1, 0]]]), np.full((1, 2, 2), 0.5)
    >>> loss, grad = keras.Dice().value_and_grad(y_true, y_pred)
    >>> round(float(loss), 6)
    0.5
    """

    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "dice"
    axis: Axis = None
    dtype: Any = None

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.DiceLoss(**self.shared()), y_true, y_pred, sample_weight)


@dataclass(frozen=True)
class Tversky(_Overlap):
    """Tversky loss of probabilities, as ``keras.losses.Tversky``: called with (y_true, y_pred).

    Parameters
    ----------
    alpha, beta : numbers >= 0, default 0.5, not both 0
        In 3.15.1 the weights of false negatives (alpha) and of false positives (beta).
    reduction, name, axis, dtype
        As for `Dice`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.TverskyLoss`.

    Notes
    -----
    Odd in Keras, and the same here: alpha and beta are exchanged against what Keras documents; in
    `array_losses.TverskyLoss` they are called `fp_weight` and `fn_weight`. And what `Dice` says.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> y_true, y_pred = np.asarray([[1, 0, 0, 0]]), np.full((1, 4), 0.5)
    >>> round(float(keras.Tversky(alpha=0.3, beta=0.7)(y_true, y_pred)), 6)
    0.705882
    """

    alpha: float = 0.5
    beta: float = 0.5
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "tversky"
    axis: Axis = None
    dtype: Any = None

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        loss = al.TverskyLoss(fp_weight=self.beta, fn_weight=self.alpha, **self.shared())
        return self.of(loss, y_true, y_pred, sample_weight)


def _smoothed(
    xp: Namespace, y_true: Array, y_pred: Array, smoothing: float | None, among: int
) -> Array:
    """Return the smoothed target; Keras counts the classes on the last axis, not on `axis`."""
    if not smoothing:
        return y_true
    y_true = arrays.as_floating(xp, y_true, y_pred)
    return y_true * (1.0 - smoothing) + smoothing / number_of(among)


@dataclass(frozen=True)
class _Categorical(_Loss):
    """The multiclass losses: how they take predictions and weights."""

    def of(
        self,
        loss: Any,
        target: Array,
        y_pred: Array,
        sample_weight: Array | None,
        ignored: int | None = None,
        **options: Any,
    ) -> Call:
        """Return one of our losses of logits, or of the logarithms of probabilities."""
        xp = namespace_of(y_true=target, y_pred=y_pred)
        smoothing = self.options().get("label_smoothing")
        target = _smoothed(xp, target, y_pred, smoothing, y_pred.shape[-1])
        axis = self.options()["axis"] % y_pred.ndim
        pixels = tuple([n for i, n in enumerate(y_pred.shape) if i != axis])
        weights, repeats = _weights(xp, sample_weight, pixels, y_pred)
        # The divisor: what is not ignored, or the weights if they are asked for, or everything.
        by_weight = self.options()["reduction"] == "mean_with_sample_weight"
        valid = weights is None or by_weight
        criterion = loss(
            class_axis=axis,
            ignore_index=ignored,
            reduction=self.ours,
            normalize="valid" if valid else "all",
            **options,
        )
        logits, p = y_pred, None
        if not self.options()["from_logits"]:
            # A softmax of logarithms divides by the sum of the probabilities, as Keras does.
            p = kept_within(xp, y_pred, _EPSILON)
            logits = xp.log(p)
        call = Translation(criterion, logits, target, weights)
        if ignored is not None and not valid and self.ours == "mean":
            call = call.scaled(self._pixels_per_counted(xp, target, ignored, y_pred))
        if ignored is None and by_weight:
            call = call.scaled(repeats)  # Keras divides by the sum before it broadcasts
        if p is None:
            return call
        return call.before(lambda grad: xp.where(p == y_pred, grad / p, 0.0))

    @staticmethod
    def _pixels_per_counted(xp: Namespace, target: Array, ignored: int, like: Array) -> Array:
        """Return the number of pixels divided by the number of those that count."""
        hidden = arrays.equal(xp, target, ignored)
        if hidden is None:
            return arrays.as_floating(xp, 1.0, like)
        return arrays.inverse_or_0(xp, xp.mean(arrays.as_floating(xp, ~hidden, like)))


@dataclass(frozen=True)
class CategoricalCrossentropy(_Categorical):
    """Cross entropy of a target with a class axis, as ``keras.losses.CategoricalCrossentropy``.

    Called with (y_true, y_pred, sample_weight=None).

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits; else probabilities, which are divided by their sum.
    label_smoothing : float from 0 to 1, default 0
    axis : int, default -1
        The axis of the classes.
    reduction, name, dtype
        As for `Dice`; sample weights are in the divisor of "mean_with_sample_weight" alone.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`; and for sample weights that do not broadcast to the
        losses.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> criterion = keras.CategoricalCrossentropy(from_logits=True)
    >>> round(float(criterion(np.eye(2)[None], np.zeros((1, 2, 2)))), 6)
    0.693147
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "categorical_crossentropy"
    dtype: Any = None

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.CrossEntropyLoss, y_true, y_pred, sample_weight)


@dataclass(frozen=True)
class CategoricalFocalCrossentropy(_Categorical):
    """Softmax focal loss, as ``keras.losses.CategoricalFocalCrossentropy``: (y_true, y_pred).

    Parameters
    ----------
    alpha : number, sequence or 1-D array, default 0.25
        A factor of all classes, or one per class.
    gamma : number >= 0, default 2
    from_logits, label_smoothing, axis, reduction, name, dtype
        As for `CategoricalCrossentropy`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`.

    Notes
    -----
    Odd in Keras, and the same here: a number as `alpha` only scales the loss, and label smoothing
    counts the last axis, whichever `axis` is. Different here: `alpha` as a list belongs to the
    classes on any `axis` (in Keras to the last axis); with logits nothing is clipped, so a wrong
    logit of 40 has its loss and its gradient; in Keras the loss ends at 16.118 and the gradient is
    0.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> criterion = keras.CategoricalFocalCrossentropy(from_logits=True)
    >>> round(float(criterion(np.eye(2)[None], np.zeros((1, 2, 2)))), 6)  # log(2) / 4 / 4
    0.043322
    """

    alpha: Any = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "categorical_focal_crossentropy"
    dtype: Any = None

    def __post_init__(self) -> None:
        """Keep alpha as numbers."""
        super().__post_init__()
        self.keep(alpha=arrays.number_or_numbers(self.alpha))

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        options = {"alpha": self.alpha, "gamma": self.gamma}
        return self.of(al.FocalLoss, y_true, y_pred, sample_weight, **options)


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(_Categorical):
    """Cross entropy of labels, as ``keras.losses.SparseCategoricalCrossentropy``.

    Called with (y_true, y_pred, sample_weight=None).

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits; else probabilities, which are divided by their sum.
    ignore_class : int, optional
        A label that does not count.
    reduction : str or None
        As for `Dice`.
    axis : int, default -1
        The axis of the classes.
    name, dtype
        Without effect.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`; and for sample weights that do not broadcast to the
        losses.

    Notes
    -----
    Different here: images of probabilities have a gradient on PyTorch, where Keras raises an error.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> criterion = keras.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    >>> round(float(criterion(np.asarray([[0, 1, 255]]), np.zeros((1, 3, 2)))), 6)
    0.693147
    """

    from_logits: bool = False
    ignore_class: int | None = None
    reduction: Reduction = "sum_over_batch_size"
    axis: int = -1
    name: str | None = "sparse_categorical_crossentropy"
    dtype: Any = None

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(y_true=y_true, y_pred=y_pred)
        if y_true.ndim == y_pred.ndim:
            y_true = xp.squeeze(y_true, axis=self.axis)
        labels = arrays.as_labels(xp, y_true)
        return self.of(al.CrossEntropyLoss, labels, y_pred, sample_weight, self.ignore_class)


@dataclass(frozen=True)
class _Binary(_Loss):
    """The binary losses: a mean over an axis first, and then the reduction."""

    def of(
        self, loss: Any, y_true: Array, y_pred: Array, sample_weight: Array | None, **options: Any
    ) -> Call:
        """Return one of our losses of single elements."""
        xp = namespace_of(y_true=y_true, y_pred=y_pred)
        given = self.options()
        y_true = _smoothed(xp, y_true, y_pred, given["label_smoothing"], 2)
        y_true = _as_ranked(y_true, y_pred)
        axis, logits = given["axis"] % y_pred.ndim, y_pred
        if not given["from_logits"]:
            logits = kept_within(xp, y_pred, _EPSILON, 1.0 - _EPSILON)
        inside = logits == y_pred
        losses = tuple([n for i, n in enumerate(y_pred.shape) if i != axis])
        weights, repeats = _weights(xp, sample_weight, losses, y_pred)
        if weights is not None:
            weights = xp.expand_dims(weights, axis=axis)
        by_weight = given["reduction"] == "mean_with_sample_weight" and weights is not None
        criterion = loss(
            activation="sigmoid" if given["from_logits"] else None,
            normalize="valid" if by_weight else "all",
            reduction=self.ours,
            **options,
        )
        call = elementwise(xp, criterion, logits, y_true, weight=weights)
        call = call.before(lambda grad: xp.where(inside, grad, 0.0))
        if self.ours == "sum":
            return call.scaled(1.0 / y_pred.shape[axis])
        if self.ours == "mean":
            return call.scaled(repeats) if by_weight else call
        return call.reshaped(lambda x: xp.mean(x, axis=axis))


@dataclass(frozen=True)
class BinaryCrossentropy(_Binary):
    """Sigmoid cross entropy, as ``keras.losses.BinaryCrossentropy``.

    Called with (y_true, y_pred, sample_weight=None).

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits; else probabilities, kept from 0 and 1 by 1e-7 as in Keras.
    label_smoothing : float from 0 to 1, default 0
    axis : int, default -1
        The axis over which the losses of the elements are averaged first.
    reduction, name, dtype
        As for `Dice`; sample weights are in the divisor of "mean_with_sample_weight" alone.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`; and for sample weights that do not broadcast to the
        losses.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> criterion = keras.BinaryCrossentropy(from_logits=True)
    >>> round(float(criterion(np.asarray([[0, 1]]), np.zeros((1, 2)))), 6)
    0.693147
    """

    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "binary_crossentropy"
    dtype: Any = None

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(al.CrossEntropyLoss, y_true, y_pred, sample_weight)


@dataclass(frozen=True)
class BinaryFocalCrossentropy(_Binary):
    """Sigmoid focal loss, as ``keras.losses.BinaryFocalCrossentropy``.

    Called with (y_true, y_pred, sample_weight=None).

    Parameters
    ----------
    apply_class_balancing : bool, default False
        Whether `alpha` counts.
    alpha : float from 0 to 1, default 0.25
        The factor of positives; negatives have 1 - alpha.
    gamma : number >= 0, default 2
    from_logits, label_smoothing, axis, reduction, name, dtype
        As for `BinaryCrossentropy`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`; and for sample weights that do not broadcast to the losses.

    Notes
    -----
    Different here: with logits nothing is clipped; in Keras the loss of a wrong element ends at
    16.118, and its gradient is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import keras
    >>> criterion = keras.BinaryFocalCrossentropy(from_logits=True)
    >>> round(float(criterion(np.asarray([[0, 1]]), np.zeros((1, 2)))), 6)
    0.173287
    """

    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "binary_focal_crossentropy"
    dtype: Any = None

    def translate(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> Call:
        """Return our loss and the arrays that it takes."""
        return self.of(
            al.FocalLoss,
            y_true,
            y_pred,
            sample_weight,
            gamma=self.gamma,
            alpha=self.alpha if self.apply_class_balancing else None,
            soft="arithmetic",
        )

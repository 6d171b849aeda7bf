"""MONAI's losses by their names, as of 1.6.1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import array_losses as al
from array_losses.core.namespace import Array, Namespace, is_integer, namespace_of, number_of
from array_losses.core.options import for_classes
from array_losses.losses.base import Activation
from array_losses.presets import arrays, torch
from array_losses.presets.checks import no_gradient, one_of
from array_losses.presets.elementwise import elementwise
from array_losses.presets.translation import ByClass, Call, Preset, Sum, Translation

__all__ = [
    "DiceCELoss",
    "DiceFocalLoss",
    "DiceLoss",
    "FocalLoss",
    "GeneralizedDiceLoss",
    "TverskyLoss",
]

Weight = float | Sequence[float] | Array | None


@dataclass(frozen=True)
class _Seen:
    """The arrays of a call: the target without or with a class axis, and which pixels count."""

    xp: Namespace
    target: Array
    pixel_weights: Array | None
    ignore_index: int | None


def _see(
    xp: Namespace, input: Array, target: Array, ignore_index: int | None, *, to_onehot_y: bool
) -> _Seen:
    """Return the target as our losses take it.

    Labels carry `ignore_index`. In a target with a class axis it names a class, whose pixels do
    not count for any class; if it is not a class, pixels without a class do not count.
    """
    classes = number_of(input.shape[1])
    if target.ndim != input.ndim or target.shape[1] not in (1, classes):
        msg = (
            f"`target` must have the axes of `input`, of shape {tuple(input.shape)}, with 1 or "
            f"{classes} classes, got {tuple(target.shape)}."
        )
        raise ValueError(msg)
    if target.shape[1] == 1 and (to_onehot_y or classes == 1):
        if classes > 1:
            return _Seen(xp, arrays.as_labels(xp, target[:, 0, ...]), None, ignore_index)
        hidden = arrays.equal(xp, target, ignore_index)
        weights = None if hidden is None else ~hidden[:, 0, ...]
        return _Seen(xp, arrays.zero_at(xp, hidden, target), weights, None)
    if ignore_index is None:
        return _Seen(xp, target, None, None)
    given = arrays.as_floating(xp, target, input)
    if 0 <= ignore_index < classes:
        weights = 1.0 - given[:, ignore_index, ...]
    else:
        weights = xp.sum(given, axis=1) > 0.0
    return _Seen(xp, target, weights, None)


def _activation(*, sigmoid: bool, softmax: bool, classes: int) -> Activation:
    """Return what makes probabilities; MONAI takes those of one class as given by "softmax"."""
    if sigmoid:
        return "sigmoid"
    return "softmax" if softmax and classes > 1 else None


def _text(choice: Any) -> Any:
    """Return a choice that MONAI takes as a text or as a member of an enumeration, as a text."""
    return getattr(choice, "value", choice)


@dataclass(frozen=True)
class _OverlapLoss(Preset):
    """The overlap losses: how they take input and target."""

    include_background: bool = True
    to_onehot_y: bool = False
    sigmoid: bool = False
    softmax: bool = False
    other_act: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        """Check that there is one activation, and make the reduction a text."""
        if self.other_act is not None and not callable(self.other_act):
            msg = f"`other_act` must be callable or None, got {self.other_act!r}."
            raise TypeError(msg)
        if self.sigmoid + self.softmax + (self.other_act is not None) > 1:
            msg = "Only one of `sigmoid`, `softmax` and `other_act` must be given."
            raise ValueError(msg)
        self.keep(reduction=_text(self.options()["reduction"]))

    def shared(self, classes: int) -> dict[str, Any]:
        """Return the options that our losses have in common."""
        options = self.options()
        return {
            "include_background": self.include_background or classes == 1,
            "activation": _activation(sigmoid=self.sigmoid, softmax=self.softmax, classes=classes),
            "reduction": options["reduction"],
            "smooth": (options["smooth_nr"], options["smooth_dr"]),
            "pool": "batch" if options["batch"] else "image",
            "absent": "keep",
            "intersection": "l1" if options["soft_label"] else "product",
        }

    def with_arrays(self, criterion: Any, input: Array, seen: _Seen) -> Translation:
        """Return our loss with the arrays that it is to see, and maps of MONAI's shape."""
        xp, axes = seen.xp, input.ndim - 2
        call = Translation(
            replace(criterion, ignore_index=seen.ignore_index),
            input if self.other_act is None else self.other_act(input),
            seen.target,
            seen.pixel_weights,
        )
        if self.other_act is not None:
            call = call.before(no_gradient("other_act"))
        if criterion.reduction != "none":
            return call
        dropped = 0 if criterion.include_background else 1
        return replace(call, reshape=lambda x: self.arranged(xp, x, dropped, axes))

    def arranged(self, xp: Namespace, losses: Array, dropped: int, axes: int) -> Array:
        """Return the losses of images and classes in MONAI's shape."""
        losses = losses[..., dropped:]
        return xp.reshape(losses, (*losses.shape, *(1,) * axes))


@dataclass(frozen=True)
class _DiceOptions(_OverlapLoss):
    """The options that the Dice loss has alone and in sums with other losses."""

    squared_pred: bool = False
    jaccard: bool = False
    reduction: Literal["mean", "sum", "none"] = "mean"
    smooth_nr: float = 1e-5
    smooth_dr: float = 1e-5
    batch: bool = False

    def with_weight(self, weight: Any) -> DiceLoss:
        """Return the Dice loss with these options and class weights."""
        options = self.options()
        return DiceLoss(weight=weight, **{name: options[name] for name in _DICE_OPTIONS})


# By their names: torch.compile does not follow `fields` of a class.
_DICE_OPTIONS = tuple(one.name for one in fields(_DiceOptions))


@dataclass(frozen=True)
class DiceLoss(_DiceOptions):
    """Dice or Jaccard loss, as ``monai.losses.DiceLoss``: called with (input, target).

    Parameters
    ----------
    include_background : bool, default True
        Whether class 0 counts.
    to_onehot_y : bool, default False
        Whether `target` holds labels (B, 1, ...); otherwise it has the shape of `input`.
    sigmoid, softmax : bool, default False
        What makes probabilities of `input`; by default it holds them already.
    other_act : callable, optional
        Another activation; PyTorch and JAX differentiate it, NumPy and CuPy cannot.
    squared_pred : bool, default False
        Whether the denominator sums squares.
    jaccard : bool, default False
        Whether the loss is Jaccard's.
    reduction : {"mean", "sum", "none"}
        "none" gives (B, C, 1, ...), or (C, 1, ...) with `batch`.
    smooth_nr, smooth_dr : numbers >= 0, default 1e-5
        Added to 2T, and to P + G (or twice the union).
    batch : bool, default False
        Whether sums run over the batch too.
    weight : number, sequence or 1-D array, optional
        Factors of the classes' losses, background left out if it is; not in the divisor.
    soft_label : bool, default False
        Whether the overlap is that for soft targets.
    ignore_index : int, optional
        A label that does not count; in a target with a class axis, the class whose pixels do not
        count, or if it is not a class, pixels without a class.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss`.

    Notes
    -----
    Odd in MONAI, and the same here: an absent class counts, with a loss of nearly 1 as soon as its
    probabilities sum to more than 1e-5; ours leaves it out. `weight` is not in the divisor, so that
    a uniform 10 makes the loss ten times as large; ours divides by the weights. Without
    `soft_label` a soft target does not have its minimum at itself; ours has. Different here: input
    that is far from probabilities, without an activation, is an error.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import monai
    >>> criterion = monai.DiceLoss(to_onehot_y=True, softmax=True)
    >>> input, target = np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]])
    >>> loss, grad = criterion.value_and_grad(input, target)
    >>> round(float(loss), 4)
    0.5333
    """

    weight: Any = None
    soft_label: bool = False
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self.keep(weight=arrays.number_or_numbers(self.weight))

    def translate(self, input: Array, target: Array) -> Translation:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(input=input, target=target)
        seen = _see(xp, input, target, self.ignore_index, to_onehot_y=self.to_onehot_y)
        return self.of_seen(input, seen)

    def of_seen(self, input: Array, seen: _Seen) -> Translation:
        """Return our loss of a target that is seen already."""
        shared = self.shared(number_of(input.shape[1]))
        if self.jaccard:
            shared["smooth"] = (0.5 * self.smooth_nr, 0.5 * self.smooth_dr)
        loss = al.JaccardLoss if self.jaccard else al.DiceLoss
        criterion = loss(
            class_weights=self._weights(number_of(input.shape[1])),
            normalize="classes",
            power=2 if self.squared_pred else 1,
            **shared,
        )
        return self.with_arrays(criterion, input, seen)

    def _weights(self, classes: int) -> tuple[float, ...] | None:
        """Return the class weights, with one for a background that is left out."""
        left_out = 0 if self.include_background or classes == 1 else 1
        if self.weight is None or classes - left_out == 1:
            return None
        if isinstance(self.weight, tuple):
            return (1.0,) * left_out + self.weight
        return (float(self.weight),) * classes


@dataclass(frozen=True)
class TverskyLoss(_OverlapLoss):
    """Tversky loss, as ``monai.losses.TverskyLoss``: called with (input, target).

    Parameters
    ----------
    include_background, to_onehot_y, sigmoid, softmax, other_act
        As for `DiceLoss`.
    alpha, beta : numbers >= 0, default 0.5, not both 0
        The weights of false positives and of false negatives.
    reduction : {"mean", "sum", "none"}
        "none" gives (B, C), or (C,) with `batch`.
    smooth_nr, smooth_dr : numbers >= 0, default 1e-5
        Added to T, and to the denominator.
    batch, soft_label, ignore_index
        As for `DiceLoss`.

    Notes
    -----
    Odd in MONAI, and the same here: what `DiceLoss` says of absent classes.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import monai
    >>> criterion = monai.TverskyLoss(to_onehot_y=True, softmax=True, alpha=0.3, beta=0.7)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]]))), 4)
    0.5299
    """

    alpha: float = 0.5
    beta: float = 0.5
    reduction: Literal["mean", "sum", "none"] = "mean"
    smooth_nr: float = 1e-5
    smooth_dr: float = 1e-5
    batch: bool = False
    soft_label: bool = False
    ignore_index: int | None = None

    def translate(self, input: Array, target: Array) -> Translation:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(input=input, target=target)
        seen = _see(xp, input, target, self.ignore_index, to_onehot_y=self.to_onehot_y)
        criterion = al.TverskyLoss(
            fp_weight=self.alpha, fn_weight=self.beta, **self.shared(number_of(input.shape[1]))
        )
        return self.with_arrays(criterion, input, seen)

    def arranged(self, xp: Namespace, losses: Array, dropped: int, axes: int) -> Array:
        """Return the losses of images and classes."""
        return losses[..., dropped:]


@dataclass(frozen=True)
class GeneralizedDiceLoss(_OverlapLoss):
    """Generalised Dice loss, as ``monai.losses.GeneralizedDiceLoss``: called with (input, target).

    Parameters
    ----------
    include_background, to_onehot_y, sigmoid, softmax, other_act
        As for `DiceLoss`.
    w_type : {"square", "simple", "uniform"}
        The weight of a class: 1 / G^2, 1 / G or 1.
    reduction : {"mean", "sum", "none"}
        Over images; "none" gives (B, 1, ...), or (1, ...) with `batch`.
    smooth_nr, smooth_dr : numbers >= 0, default 1e-5
        Added to the weighted sums of 2T, and of P + G.
    batch, soft_label
        As for `DiceLoss`.

    Notes
    -----
    Odd in MONAI, and the same here: a class that is absent from an image gets the largest weight
    of its other classes. In `array_losses.GeneralizedDiceLoss` it has none. Different here: the
    weights are not rounded to float32.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import monai
    >>> criterion = monai.GeneralizedDiceLoss(to_onehot_y=True, softmax=True)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]]))), 4)
    0.625
    """

    w_type: Literal["square", "simple", "uniform"] = "square"
    reduction: Literal["mean", "sum", "none"] = "mean"
    smooth_nr: float = 1e-5
    smooth_dr: float = 1e-5
    batch: bool = False
    soft_label: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self.keep(w_type=_text(self.w_type))

    def translate(self, input: Array, target: Array) -> Translation:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(input=input, target=target)
        seen = _see(xp, input, target, None, to_onehot_y=self.to_onehot_y)
        criterion = al.GeneralizedDiceLoss(
            weighting=self.w_type, **self.shared(number_of(input.shape[1]))
        )
        return self.with_arrays(criterion, input, seen)

    def arranged(self, xp: Namespace, losses: Array, dropped: int, axes: int) -> Array:
        """Return one loss per image, or one in all."""
        shape = (1,) if self.batch else (losses.shape[0], 1)
        return xp.reshape(losses, (*shape, *(1,) * axes))


@dataclass(frozen=True)
class FocalLoss(Preset):
    """Focal loss, as ``monai.losses.FocalLoss``: called with (input, target), input as logits.

    Parameters
    ----------
    include_background : bool, default True
        Whether class 0 counts; if not, its logits are left out before the softmax.
    to_onehot_y : bool, default False
        Whether `target` holds labels (B, 1, ...); otherwise it has the shape of `input`.
    gamma : number >= 0, default 2
    alpha : number, sequence or 1-D array, optional
        A number: sigmoid, the factor of positives, with 1 - alpha for negatives; softmax, that of
        all classes but the first, which has 1 - alpha. One per class: sigmoid, the factor of
        positives alone; softmax, that of the class.
    weight : number, sequence or 1-D array, optional
        Factors of the classes' losses, not in the divisor.
    reduction : {"mean", "sum", "none"}
        "sum" is over images and classes, of means over pixels; "none" gives the shape of `input`.
    use_softmax : bool, default False
        Softmax, in place of a sigmoid for each class.
    ignore_index : int, optional
        As for `DiceLoss`.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.FocalLoss`; and for a softmax of one class.

    Notes
    -----
    Odd in MONAI, and the same here: "mean" divides by pixels times classes, and once `ignore_index`
    is set by pixels alone, so that the loss is as many times larger as there are classes;
    `array_losses.FocalLoss` always divides by what counts. "sum" is not a sum over pixels. Without
    background a scalar `alpha` has no effect in the softmax. A soft target is modulated by the
    sigmoid of (1 - 2 target) times the logit, which is ``soft="log_odds"``; with `alpha` one a
    class only targets of exactly 1 are positives. Different here: a softmax of one class, whose
    loss is 0 in MONAI whatever the input, is an error; float64 is computed
    in float64, where MONAI computes in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import monai
    >>> criterion = monai.FocalLoss(to_onehot_y=True, use_softmax=True)
    >>> input, target = np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]])
    >>> round(float(criterion(input, target)), 6)  # log(2) / 4 / 2
    0.086643
    """

    include_background: bool = True
    to_onehot_y: bool = False
    gamma: float = 2.0
    alpha: Any = None
    weight: Any = None
    reduction: Literal["mean", "sum", "none"] = "mean"
    use_softmax: bool = False
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        """Keep weights as numbers, and the reduction as a text."""
        self.keep(
            alpha=arrays.number_or_numbers(self.alpha),
            weight=arrays.number_or_numbers(self.weight),
            reduction=_text(self.reduction),
        )
        one_of("reduction", self.reduction, "mean", "sum", "none")

    def translate(self, input: Array, target: Array) -> Translation | ByClass:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(input=input, target=target)
        seen = _see(xp, input, target, self.ignore_index, to_onehot_y=self.to_onehot_y)
        classes, weights = number_of(input.shape[1]), seen.pixel_weights
        target, labelled = seen.target, seen.target.ndim < input.ndim
        if labelled:
            hidden = arrays.equal(xp, target, seen.ignore_index)
            weights = None if hidden is None else ~hidden
            target = arrays.one_hot_checked(xp, arrays.zero_at(xp, hidden, target), classes)
        without = not self.include_background and classes > 1
        logits = input[:, 1:, ...] if without else input
        target = target[:, 1:, ...] if without else target
        for name in ("alpha", "weight"):
            if isinstance(getattr(self, name), tuple):
                for_classes(name, getattr(self, name), logits.shape[1])
        if self.use_softmax:
            call = self._softmax(xp, logits, target, weights, labelled=labelled)
        else:
            call = self._sigmoid(xp, logits, target, weights)
        if not without:
            return call

        def with_background(grad: Array) -> Array:
            return xp.concat([xp.zeros_like(grad[:, :1, ...]), grad], axis=1)

        return call.before(with_background)

    def _sigmoid(
        self, xp: Namespace, logits: Array, target: Array, weights: Array | None
    ) -> Translation:
        each = isinstance(self.alpha, tuple)
        criterion = al.FocalLoss(
            activation="sigmoid",
            gamma=self.gamma,
            alpha=None if each else self.alpha,
            soft="log_odds",
            reduction="none" if self.reduction == "none" else "sum",
        )
        weight = self._pixel_factors(xp, logits, weights)
        weight = None if weight is None else weight[:, None, ...]
        if self.weight is not None:
            by_class = arrays.along_axis(xp, self.weight, logits)
            weight = by_class if weight is None else weight * by_class
        if each:
            alpha = arrays.along_axis(xp, self.alpha, logits)
            of_positives = xp.where(target == xp.ones_like(target), alpha, xp.ones_like(alpha))
            weight = of_positives if weight is None else weight * of_positives
        call = elementwise(xp, criterion, logits, target, weight=weight)
        return call.scaled(self._divisor(xp, logits, weights))

    def _softmax(
        self,
        xp: Namespace,
        logits: Array,
        target: Array,
        weights: Array | None,
        *,
        labelled: bool,
    ) -> Translation | ByClass:
        classes, alpha, factor = number_of(logits.shape[1]), self.alpha, 1.0
        if isinstance(alpha, float | int):
            others = (alpha,) * (classes - 1)
            alpha = (1.0 - alpha, *others) if self.include_background else None
        by_class = self.weight if isinstance(self.weight, tuple) else None
        if by_class is None and self.weight is not None:
            factor = self.weight
        criterion = al.FocalLoss(
            gamma=self.gamma,
            alpha=alpha,
            class_weights=by_class,
            reduction="none" if self.reduction == "none" else "sum",
        )
        one_hot = arrays.as_floating(xp, target, logits)
        call: Translation | ByClass = Translation(
            criterion,
            logits,
            one_hot,
            self._pixel_factors(xp, logits, weights),
            reshape=lambda x: x[:, None, ...] * one_hot if x.ndim else x,
        )
        if self.reduction == "none" and not labelled:
            call = self._maps(criterion, logits, one_hot, weights)
        return call.scaled(factor).scaled(self._divisor(xp, logits, weights))

    @staticmethod
    def _maps(
        criterion: al.FocalLoss, logits: Array, one_hot: Array, weights: Array | None
    ) -> ByClass:
        """Return one map per class, where a pixel may have several classes."""
        classes, parts = number_of(logits.shape[1]), []
        for number, weight in enumerate(criterion.class_weights or (1.0,) * classes):
            alone = tuple([float(place == number) for place in range(classes)])
            call = Translation(replace(criterion, class_weights=alone), logits, one_hot, weights)
            parts.append(call.scaled(weight))
        return ByClass(tuple(parts))

    def _pixel_factors(self, xp: Namespace, logits: Array, weights: Array | None) -> Array | None:
        """Return the pixel weights; "sum" adds the means over the pixels of each image."""
        if weights is None or self.reduction != "sum":
            return weights
        weights = arrays.as_floating(xp, weights, logits)
        counts = xp.sum(weights, axis=tuple(range(1, weights.ndim)), keepdims=True)
        return weights / xp.where(counts == 0.0, 1.0, counts)

    def _divisor(self, xp: Namespace, logits: Array, weights: Array | None) -> Any:
        """Return the factor of the sum over all elements."""
        pixels = math.prod(logits.shape[2:])
        if self.reduction == "none":
            return 1.0
        if self.reduction == "sum":
            return 1.0 / pixels if weights is None else 1.0
        if weights is None:
            return 1.0 / (pixels * logits.shape[0] * logits.shape[1])
        return arrays.inverse_or_0(xp, xp.sum(arrays.as_floating(xp, weights, logits)))


@dataclass(frozen=True)
class DiceCELoss(_DiceOptions):
    """Dice and cross entropy, as ``monai.losses.DiceCELoss``: called with (input, target) logits.

    Parameters
    ----------
    include_background, to_onehot_y, sigmoid, softmax, other_act, squared_pred, jaccard
        As for `DiceLoss`; they do not touch the cross entropy.
    reduction : {"mean", "sum"}
    smooth_nr, smooth_dr, batch
        As for `DiceLoss`.
    weight : sequence or 1-D array, optional
        One number per class, for both; for a target of one class the `pos_weight`.
    lambda_dice, lambda_ce : numbers >= 0, default 1
    label_smoothing : float from 0 to 1
        Of the cross entropy.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss` and `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in MONAI, and the same here: with more than one class the cross entropy is that of a
    softmax, also if ``sigmoid=True`` and the target is multi-hot. What is meant then is
    ``al.DiceLoss(activation="sigmoid") + al.CrossEntropyLoss(activation="sigmoid")``.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import monai
    >>> criterion = monai.DiceCELoss(to_onehot_y=True, softmax=True)
    >>> input, target = np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]])
    >>> round(float(criterion(input, target)), 4)
    1.2265
    """

    reduction: Literal["mean", "sum"] = "mean"
    weight: Any = None
    lambda_dice: float = 1.0
    lambda_ce: float = 1.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self.keep(weight=arrays.numbers(self.weight))
        one_of("reduction", self.reduction, "mean", "sum")
        _check_lambdas(lambda_dice=self.lambda_dice, lambda_ce=self.lambda_ce)

    @property
    def dice(self) -> DiceLoss:
        """The Dice loss in it."""
        left_out = self.weight is not None and not self.include_background
        return self.with_weight(self.weight[1:] if left_out else self.weight)

    def translate(self, input: Array, target: Array) -> Call:
        """Return our losses and the arrays that they take."""
        xp = namespace_of(input=input, target=target)
        seen = _see(xp, input, target, None, to_onehot_y=self.to_onehot_y)
        dice = self.dice.of_seen(input, seen).scaled(self.lambda_dice)
        entropy = self._cross_entropy(xp, input, target, seen).scaled(self.lambda_ce)
        return dice.plus(entropy)

    def _cross_entropy(
        self, xp: Namespace, input: Array, target: Array, seen: _Seen
    ) -> Translation:
        shared: Any = {"reduction": self.reduction}
        if input.shape[1] == 1:
            return torch.binary_cross_entropy_with_logits.translate(
                input, target, pos_weight=self.weight, **shared
            )
        if seen.target.ndim < input.ndim:
            target = seen.target
        elif target.shape[1] == 1:
            target = arrays.as_labels(xp, target[:, 0, ...])
        elif is_integer(xp, target.dtype):
            target = arrays.as_floating(xp, target, input)
        shared |= {"weight": self.weight, "label_smoothing": self.label_smoothing}
        return torch.cross_entropy.translate(input, target, **shared)


@dataclass(frozen=True)
class DiceFocalLoss(_DiceOptions):
    """Dice and sigmoid focal loss, as ``monai.losses.DiceFocalLoss``: (input, target), logits.

    Parameters
    ----------
    include_background, to_onehot_y, sigmoid, softmax, other_act, squared_pred, jaccard
        As for `DiceLoss`.
    reduction, smooth_nr, smooth_dr, batch
        As for `DiceLoss`.
    gamma : number >= 0, default 2
    weight : number, sequence or 1-D array, optional
        As for `DiceLoss` and `FocalLoss`.
    lambda_dice, lambda_focal : numbers >= 0, default 1
    alpha : float from 0 to 1, optional
        As for `FocalLoss`.

    Raises
    ------
    TypeError, ValueError
        As for `DiceLoss` and `FocalLoss`.

    Notes
    -----
    Odd in MONAI, and the same here: the focal loss is that of a sigmoid for each class, also if
    ``softmax=True``. With a softmax in both it is ``al.DiceLoss() + al.FocalLoss()``.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import monai
    >>> criterion = monai.DiceFocalLoss(to_onehot_y=True, softmax=True)
    >>> input, target = np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]])
    >>> round(float(criterion(input, target)), 4)
    0.7066
    """

    gamma: float = 2.0
    weight: Any = None
    lambda_dice: float = 1.0
    lambda_focal: float = 1.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        self.keep(weight=arrays.number_or_numbers(self.weight))
        _check_lambdas(lambda_dice=self.lambda_dice, lambda_focal=self.lambda_focal)
        self.focal  # noqa: B018 - its options are checked when it is made

    @property
    def dice(self) -> DiceLoss:
        """The Dice loss in it."""
        return self.with_weight(self.weight)

    @property
    def focal(self) -> FocalLoss:
        """The focal loss in it."""
        names = ("include_background", "to_onehot_y", "gamma", "alpha", "weight", "reduction")
        options = self.options()
        return FocalLoss(**{name: options[name] for name in names})

    def translate(self, input: Array, target: Array) -> Call:
        """Return our losses and the arrays that they take."""
        dice, focal = self.dice.translate(input, target), self.focal.translate(input, target)
        return Sum(dice.scaled(self.lambda_dice), focal.scaled(self.lambda_focal))


def _check_lambdas(**lambdas: float) -> None:
    for name, value in lambdas.items():
        if value < 0.0:
            msg = f"`{name}` must not be negative, got {value}."
            raise ValueError(msg)

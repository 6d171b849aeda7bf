"""nnU-Net's losses by their names, as of 2.8.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import array_losses as al
from array_losses.core.namespace import Array, Namespace, is_bool, namespace_of
from array_losses.losses.base import Activation
from array_losses.presets import arrays, torch
from array_losses.presets.checks import no_gradient
from array_losses.presets.translation import Call, Preset, Translation

__all__ = [
    "DC_and_BCE_loss",
    "DC_and_CE_loss",
    "DC_and_topk_loss",
    "MemoryEfficientSoftDiceLoss",
    "SoftDiceLoss",
    "TopKLoss",
]


@dataclass(frozen=True)
class SoftDiceLoss(Preset):
    """Minus the Dice coefficient, as nnU-Net's ``SoftDiceLoss``: (x, y, loss_mask=None).

    Parameters
    ----------
    apply_nonlin : callable or None
        nnU-Net's ``softmax_helper_dim1``, a function called ``softmax`` or ``sigmoid``, or one of
        these names; None: `x` holds probabilities. Another callable is applied to `x`, and
        differentiated by PyTorch and JAX alone.
    batch_dice : bool, default False
        Whether sums run over the batch too.
    do_bg : bool, default True
        Whether class 0 counts.
    smooth : number >= 0, default 1
        Added to 2T and to P + G.
    ddp : bool, default True
        Must be False with `batch_dice`: sums over devices are the `all_reduce` of our losses.
    clip_tp
        Must be None.

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.DiceLoss`; and for options that our losses lack.

    Notes
    -----
    Odd in nnU-Net, and the same here: the loss is -1 at best, not 0, so that a sum with cross
    entropy is negative in the end; absent classes count, with a coefficient of nearly 0.
    `array_losses.DiceLoss` is from 0 to 1 and leaves them out.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import nnunet
    >>> criterion = nnunet.SoftDiceLoss("softmax", smooth=1e-5)
    >>> loss, grad = criterion.value_and_grad(np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]]))
    >>> round(float(loss), 4)
    -0.4667
    """

    apply_nonlin: Callable[[Any], Any] | str | None = None
    batch_dice: bool = False
    do_bg: bool = True
    smooth: float = 1.0
    ddp: bool = True
    clip_tp: float | None = None

    def __post_init__(self) -> None:
        """Check what cannot be call with our losses."""
        if self.options().get("clip_tp") is not None:
            msg = f"`clip_tp` must be None in this preset, got {self.clip_tp}."
            raise ValueError(msg)
        if self.ddp and self.batch_dice:
            msg = (
                "`ddp` must be False with `batch_dice` in this preset: for sums over devices call "
                "array_losses.DiceLoss with `all_reduce`."
            )
            raise ValueError(msg)

    def translate(self, x: Array, y: Array, loss_mask: Array | None = None) -> Translation:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(x=x, y=y)
        activation = _activation(self.apply_nonlin)
        given = activation is None and self.apply_nonlin is not None
        criterion = al.DiceLoss(
            activation=activation,
            include_background=self.do_bg,
            pool="batch" if self.batch_dice else "image",
            absent="keep",
            intersection="product",
            smooth=self.smooth,
        )
        call = Translation(
            criterion,
            self.apply_nonlin(x) if given and callable(self.apply_nonlin) else x,
            _target(xp, x, y),
            None if loss_mask is None else xp.astype(loss_mask[:, 0, ...], xp.bool),
            offset=-1.0,
        )
        return call.before(no_gradient("apply_nonlin")) if given else call


def _activation(nonlin: Callable[[Any], Any] | str | None) -> Activation:
    name = nonlin if isinstance(nonlin, str) else getattr(nonlin, "__name__", "")
    if name in {"softmax", "softmax_helper_dim1"}:
        return "softmax"
    if name == "sigmoid":
        return "sigmoid"
    if nonlin is not None and not callable(nonlin):
        msg = f'`apply_nonlin` must be callable, "softmax", "sigmoid" or None, got {nonlin!r}.'
        raise ValueError(msg)
    return None


def _target(xp: Namespace, x: Array, y: Array) -> Array:
    """Return the target as labels, or of the shape of `x` if it is one-hot."""
    if y.ndim == x.ndim and y.shape[1] == x.shape[1]:
        return y
    return arrays.as_labels(xp, y[:, 0, ...] if y.ndim == x.ndim else y)


@dataclass(frozen=True)
class MemoryEfficientSoftDiceLoss(SoftDiceLoss):
    """Minus the Dice coefficient, as nnU-Net's ``MemoryEfficientSoftDiceLoss``.

    Parameters
    ----------
    apply_nonlin, batch_dice, do_bg, smooth, ddp
        As for `SoftDiceLoss`, which it equals.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import nnunet
    >>> criterion = nnunet.MemoryEfficientSoftDiceLoss("softmax", do_bg=False)
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]]))), 4)
    -0.5
    """

    clip_tp: None = field(default=None, init=False, repr=False)


@dataclass(frozen=True)
class TopKLoss(Preset):
    """Cross entropy of the hardest pixels, as nnU-Net's ``TopKLoss``: called with (inp, target).

    Parameters
    ----------
    weight : sequence or 1-D array, optional
        One number per class.
    ignore_index : int, default -100
        A label whose pixels have a loss of 0.
    k : number above 0 and up to 100, default 10
        The percentage of pixels that count.
    label_smoothing : float from 0 to 1

    Raises
    ------
    TypeError, ValueError
        As for `array_losses.CrossEntropyLoss`; and if `k` is not a percentage.

    Notes
    -----
    Odd in nnU-Net, and the same here: `k` is a percentage of all pixels, ignored ones too, and
    class weights are not in the divisor of the mean. ``array_losses.CrossEntropyLoss(top_k=0.1)``
    takes 10 % of the pixels that count. Different here: at least one pixel counts, where nnU-Net
    gives NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import nnunet
    >>> inp, target = np.log([[[0.9, 0.8, 0.5], [0.1, 0.2, 0.5]]]), np.zeros((1, 1, 3))
    >>> round(float(nnunet.TopKLoss(k=67)(inp, target)), 6)  # (log(5 / 4) + log(2)) / 2
    0.458145
    """

    weight: Any = None
    ignore_index: int = -100
    k: float = 10
    label_smoothing: float = 0

    def __post_init__(self) -> None:
        """Keep the weights as numbers; check the percentage."""
        self.keep(weight=arrays.numbers(self.weight))
        if not 0 < self.k <= 100:
            msg = f"`k` must be a percentage above 0 and up to 100, got {self.k}."
            raise ValueError(msg)

    def translate(self, inp: Array, target: Array) -> Translation:
        """Return our loss and the arrays that it takes."""
        xp = namespace_of(inp=inp, target=target)
        criterion = al.CrossEntropyLoss(
            class_weights=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            normalize="all",
            top_k=self.k / 100,
        )
        labels = target[:, 0, ...] if target.ndim == inp.ndim else target
        return Translation(criterion, inp, arrays.as_labels(xp, labels))


@dataclass(frozen=True)
class DC_and_CE_loss(Preset):  # noqa: N801 - nnU-Net's name
    """Dice and cross entropy, as nnU-Net's ``DC_and_CE_loss``: called with (net_output, target).

    Parameters
    ----------
    soft_dice_kwargs : dict
        Options of the Dice loss; it takes the softmax of `net_output`.
    ce_kwargs : dict
        Options of PyTorch's cross entropy.
    weight_ce, weight_dice : numbers, default 1
    ignore_label : int, optional
        A label that does not count.
    dice_class : class, default `SoftDiceLoss`

    Raises
    ------
    TypeError, ValueError
        As for `SoftDiceLoss` and `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in nnU-Net, and the same here: what `SoftDiceLoss` says.
    ``al.DiceLoss() + al.CrossEntropyLoss()`` is 0 at best.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import nnunet
    >>> criterion = nnunet.DC_and_CE_loss({"smooth": 1e-5, "do_bg": False}, {})
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]]))), 4)
    0.3598
    """

    soft_dice_kwargs: Any
    ce_kwargs: Any
    weight_ce: float = 1.0
    weight_dice: float = 1.0
    ignore_label: int | None = None
    dice_class: Any = SoftDiceLoss

    def __post_init__(self) -> None:
        """Make the options of the terms."""
        if self.ignore_label is not None:
            self.keep(ce_kwargs={**self.ce_kwargs, "ignore_index": self.ignore_label})
        self.dc, self.ce  # noqa: B018 - their options are checked when they are made

    @property
    def dc(self) -> Any:
        """The Dice loss in it; nnU-Net compiles that alone, here the whole is compiled."""
        return self.dice_class(apply_nonlin="softmax", **self.soft_dice_kwargs)

    @property
    def ce(self) -> torch.CrossEntropyLoss | TopKLoss:
        """The cross entropy in it."""
        return torch.CrossEntropyLoss(**self.ce_kwargs)

    def translate(self, net_output: Array, target: Array) -> Call:
        """Return our losses and the arrays that they take."""
        xp = namespace_of(net_output=net_output, target=target)
        labels = arrays.as_labels(xp, target[:, 0, ...])
        hidden = arrays.equal(xp, labels, self.ignore_label)
        mask = None if hidden is None else ~hidden[:, None, ...]
        known = arrays.zero_at(xp, hidden, labels)
        dice = self.dc.translate(net_output, known, mask).scaled(self.weight_dice)
        entropy: Any = self.ce.translate(net_output, labels)
        return dice.plus(entropy.scaled(self.weight_ce))


@dataclass(frozen=True)
class DC_and_topk_loss(DC_and_CE_loss):  # noqa: N801 - nnU-Net's name
    """Dice and cross entropy of the hardest pixels, as nnU-Net's ``DC_and_topk_loss``.

    Called with (net_output, target).

    Parameters
    ----------
    soft_dice_kwargs, weight_ce, weight_dice, ignore_label
        As for `DC_and_CE_loss`.
    ce_kwargs : dict
        Options of `TopKLoss`.

    Raises
    ------
    TypeError, ValueError
        As for `SoftDiceLoss` and `TopKLoss`.

    Notes
    -----
    Odd in nnU-Net, and the same here: what `SoftDiceLoss` and `TopKLoss` say.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import nnunet
    >>> criterion = nnunet.DC_and_topk_loss({"smooth": 1e-5, "do_bg": False}, {"k": 50})
    >>> round(float(criterion(np.zeros((1, 2, 4)), np.asarray([[[0, 0, 0, 1]]]))), 4)
    0.3598
    """

    dice_class: Any = field(default=SoftDiceLoss, init=False, repr=False)

    @property
    def ce(self) -> TopKLoss:
        """The cross entropy in it."""
        return TopKLoss(**self.ce_kwargs)


@dataclass(frozen=True)
class DC_and_BCE_loss(Preset):  # noqa: N801 - nnU-Net's name
    """Dice and binary cross entropy of regions, as nnU-Net's ``DC_and_BCE_loss``.

    Called with (net_output, target): masks of the regions, and with `use_ignore_label` a last one
    of what does not count.

    Parameters
    ----------
    bce_kwargs : dict
        Options of PyTorch's ``BCEWithLogitsLoss``.
    soft_dice_kwargs : dict
        Options of the Dice loss; it takes the sigmoid of `net_output`.
    weight_ce, weight_dice : numbers, default 1
    use_ignore_label : bool, default False
    dice_class : class, default `MemoryEfficientSoftDiceLoss`

    Raises
    ------
    TypeError, ValueError
        As for `SoftDiceLoss` and `array_losses.CrossEntropyLoss`.

    Notes
    -----
    Odd in nnU-Net, and the same here: what `SoftDiceLoss` says; and with `use_ignore_label` the
    cross entropy is a mean over pixels of sums over regions, otherwise over both.

    Examples
    --------
    >>> import numpy as np
    >>> from array_losses.presets import nnunet
    >>> criterion = nnunet.DC_and_BCE_loss({}, {"smooth": 1e-5})
    >>> round(float(criterion(np.zeros((1, 1, 4)), np.asarray([[[0.0, 0.0, 0.0, 1.0]]]))), 4)
    0.3598
    """

    bce_kwargs: Any
    soft_dice_kwargs: Any
    weight_ce: float = 1.0
    weight_dice: float = 1.0
    use_ignore_label: bool = False
    dice_class: Any = MemoryEfficientSoftDiceLoss

    def __post_init__(self) -> None:
        """Make the options of the terms."""
        if self.use_ignore_label:
            self.keep(bce_kwargs={**self.bce_kwargs, "reduction": "sum"})
        self.dc, self.ce  # noqa: B018 - their options are checked when they are made

    @property
    def dc(self) -> Any:
        """The Dice loss in it; nnU-Net compiles that alone, here the whole is compiled."""
        return self.dice_class(apply_nonlin="sigmoid", **self.soft_dice_kwargs)

    @property
    def ce(self) -> torch.BCEWithLogitsLoss:
        """The cross entropy in it."""
        return torch.BCEWithLogitsLoss(**self.bce_kwargs)

    def translate(self, net_output: Array, target: Array) -> Call:
        """Return our losses and the arrays that they take."""
        xp = namespace_of(net_output=net_output, target=target)
        if not self.use_ignore_label:
            entropy: Any = self.ce.translate(net_output, target)
            dice = self.dc.translate(net_output, target)
            return dice.scaled(self.weight_dice).plus(entropy.scaled(self.weight_ce))
        last, regions = target[:, -1:, ...], target[:, :-1, ...]
        mask = ~last if is_bool(xp, last.dtype) else last != xp.ones_like(last)
        dice = self.dc.translate(net_output, regions, mask).scaled(self.weight_dice)
        weight = arrays.as_floating(xp, mask, net_output)
        entropy = torch.binary_cross_entropy_with_logits.translate(
            net_output, regions, weight, **self.bce_kwargs
        )
        per_pixel = arrays.inverse_or_0(xp, xp.sum(weight))
        return dice.plus(entropy.scaled(per_pixel).scaled(self.weight_ce))

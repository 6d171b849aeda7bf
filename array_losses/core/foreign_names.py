"""What other libraries call the options of a loss, and the answer to a name that is not ours."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

__all__ = ["answer", "with_answers"]

P = ParamSpec("P")
R = TypeVar("R")

_ACTIVATION = '`activation="softmax"` (the default), "sigmoid", or None for probabilities'
_POOL = '`pool="batch"` or "image"'
_SMOOTH = "`smooth=`, a number or a pair (numerator, denominator)"
_IGNORE = "`ignore_index=`"
_CLASS_AXIS = "`class_axis=`"
_CLASS_WEIGHTS = "`class_weights=`, one number per class; `pixel_weights=` at the call for pixels"
_PIXEL_WEIGHTS = "`pixel_weights=` at the call"
_SUM = "a weighted sum of losses, `a * loss + b * other`"
_TARGETS = "leave it out: labels, one-hot and soft targets are told apart by dtype and shape"
_SCALE = "a factor in front, `a * loss`"
_ERRORS = "`TverskyLoss` with `fp_weight=` and `fn_weight=`"
_PLACE = "leave it out: a loss holds no arrays and runs where its arguments are"
_POSITIONAL = "pass both arrays by position, logits first: `(logits, target)`"

# MONAI, segmentation-models-pytorch, kornia, nnU-Net, Keras, optax, PyTorch, pytorch-toolbelt.
_OURS = {
    "alpha": f"{_ERRORS}; `FocalLoss` with `alpha=`",
    "apply_nonlin": _ACTIVATION,
    "axis": _CLASS_AXIS,
    "batch": _POOL,
    "batch_dice": _POOL,
    "beta": _ERRORS,
    "channel_axis": _CLASS_AXIS,
    "channel_dim": _CLASS_AXIS,
    "class_weight": _CLASS_WEIGHTS,
    "classes": "`include_background=False`, or 0 in `class_weights=` for a class to leave out",
    "ddp": "`all_reduce=` at the call",
    "device": _PLACE,
    "dim": _CLASS_AXIS,
    "do_bg": "`include_background=`",
    "dtype": _PLACE,
    "eps": _SMOOTH,
    "epsilon": _SMOOTH,
    "exclude_background": "`include_background=False`",
    "from_logits": "`activation=None` where probabilities are given; otherwise leave it out",
    "ignore": _IGNORE,
    "ignore_class": _IGNORE,
    "ignore_label": _IGNORE,
    "ignored_index": _IGNORE,
    "input": _POSITIONAL,
    "jaccard": "`JaccardLoss`",
    "label_smooth": "`label_smoothing=`",
    "lambda_ce": _SUM,
    "lambda_dice": _SUM,
    "lambda_focal": _SUM,
    "log_loss": '`form="log"`',
    "logits": _POSITIONAL,
    "loss_mask": _PIXEL_WEIGHTS,
    "loss_weight": _SCALE,
    "mask": _PIXEL_WEIGHTS,
    "mode": f"{_ACTIVATION}; {_TARGETS.removeprefix('leave it out: ')}",
    "multiclass": _ACTIVATION,
    "normalized": '`FocalLoss` with `normalize="focal"`',
    "num_classes": "leave it out: the class axis of the logits tells",
    "one_hot": _TARGETS,
    "other_act": f"{_ACTIVATION}; or apply it and give probabilities with `activation=None`",
    "per_image": _POOL,
    "pred": _POSITIONAL,
    "reduce": "`reduction=`",
    "sample_weight": _PIXEL_WEIGHTS,
    "sigmoid": '`activation="sigmoid"`',
    "size_average": "`reduction=`",
    "smooth_dr": _SMOOTH,
    "smooth_factor": "`label_smoothing=`",
    "smooth_nr": _SMOOTH,
    "smoothing": "`label_smoothing=`",
    "soft_label": '`intersection="l1"` (the default) or "product"',
    "softmax": '`activation="softmax"` (the default)',
    "squared_pred": "`power=2`",
    "target": _POSITIONAL,
    "targets": _POSITIONAL,
    "to_onehot_y": _TARGETS,
    "use_sigmoid": '`activation="sigmoid"`',
    "use_softmax": '`activation="softmax"` (the default)',
    "w_type": "`weighting=`",
    "weight": _CLASS_WEIGHTS,
    "weight_ce": _SUM,
    "weight_dice": _SUM,
    "weights": _CLASS_WEIGHTS,
    "y_pred": _POSITIONAL,
    "y_true": _POSITIONAL,
    # Ours, in another place.
    "all_reduce": "`all_reduce=` at the call of a loss object",
    "pixel_weights": _PIXEL_WEIGHTS,
}


def answer(name: str, of: str, known: Collection[str]) -> str:
    """Return what to write in place of an argument `name` that `of`, which has `known`, lacks."""
    if name in _OURS:
        return f"`{name}` is not an argument of {of}; instead: {_OURS[name]}."
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"`{name}` is not an argument of {of}; did you mean `{close[0]}`?"
    return f"`{name}` is not an argument of {of}; it has {', '.join(f'`{one}`' for one in known)}."


def _option_of(args: Sequence[object], name: str) -> str | None:
    """Return the answer to an option of a loss that is given to its call."""
    kind = type(args[0]) if args else object
    if name not in getattr(kind, "__dataclass_fields__", ()):
        return None
    made = f"{kind.__name__}({name}=...)"
    return f"`{name}` is an option of the loss, not of a call: give it when it is made, `{made}`."


def with_answers(of: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: a keyword that a function lacks is a TypeError that says what to write.

    Parameters
    ----------
    of : str
        What the function is called in the message.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        known = tuple(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)

        @wraps(function)
        def checked(*args: P.args, **options: P.kwargs) -> R:
            for name in options:
                if name not in known:
                    raise TypeError(_option_of(args, name) or answer(name, of, known))
            return function(*args, **options)

        return checked

    return decorate

"""The library's losses with a dozen sets of options each, and the seeded data of each set.

Every option occurs with every family of losses that has it. The data are small, so that all sets on
four frameworks take about a minute, and without ties, where Lovász losses have no one gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import array_losses as al

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOSSES", "OptionSet", "option_sets"]

Data = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class OptionSet:
    """A loss with its options, and what it is given.

    Attributes
    ----------
    loss : str
        The name of the class.
    options : str
        The options that are not the defaults, as they are written.
    data : str
        What kind of target and weights.
    function : Loss
        The loss.
    inputs : tuple of numpy.ndarray
        Logits, target and, if there are three, pixel weights.
    half : bool
        Whether it is for float16 and bfloat16 too.
    """

    loss: str
    options: str
    data: str
    function: Any
    inputs: Data
    half: bool


def _labels(classes: int = 4, shape: tuple[int, ...] = (2, 5, 6)) -> Data:
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2.0, size=(shape[0], classes, *shape[1:]))
    return logits, rng.integers(0, classes, size=shape)


def _some_ignored() -> Data:
    logits, labels = _labels()
    ignored = np.random.default_rng(2).random(labels.shape) < 0.3
    logits[np.broadcast_to(ignored[:, None], logits.shape)] = np.nan
    return logits, np.where(ignored, 255, labels).astype(np.uint8)


def _weighted() -> Data:
    weights = np.random.default_rng(3).uniform(0.0, 2.0, size=(2, 5, 6))
    return *_labels(), np.where(weights < 0.4, 0.0, weights)


def _masked() -> Data:
    return *_labels(), np.random.default_rng(4).random((2, 5, 6)) < 0.7


def _absent() -> Data:
    logits, labels = _labels()
    labels[labels == 2] = 0
    labels[0][labels[0] == 1] = 3
    return logits, labels


def _volume() -> Data:
    return _labels(3, (1, 3, 4, 5))


def _no_space() -> Data:
    return _labels(5, (40,))


def _channels_last() -> Data:
    logits, labels = _labels()
    return np.moveaxis(logits, 1, -1), labels.astype(np.int32)


def _large() -> Data:
    logits, labels = _labels()
    return 40.0 * logits, labels


def _soft() -> Data:
    logits, _ = _labels()
    rng = np.random.default_rng(5)
    return logits, np.moveaxis(rng.dirichlet(np.ones(4), size=(2, 5, 6)), -1, 1)


def _soft_weighted() -> Data:
    return *_soft(), _weighted()[2]


def _probabilities() -> Data:
    logits, labels = _labels()
    exp = np.exp(logits)
    return exp / np.sum(exp, axis=1, keepdims=True), labels


def _distances() -> Data:
    logits, _ = _labels()
    return logits, np.random.default_rng(8).normal(2.0, 3.0, size=logits.shape)


def _distances_weighted() -> Data:
    return *_distances(), _weighted()[2]


def _mask() -> Data:
    logits, labels = _labels(1, (2, 7, 8))
    return logits, np.random.default_rng(6).random(labels.shape) < 0.4


def _multi_hot() -> Data:
    logits, _ = _labels()
    rng = np.random.default_rng(7)
    target = (rng.random(logits.shape) < 0.4).astype(np.int8)
    target[rng.random(logits.shape) < 0.2] = -1
    return logits, target


_DATA: dict[str, Callable[[], Data]] = {
    "labels": _labels,
    "labels, some 255": _some_ignored,
    "labels, pixel weights": _weighted,
    "labels, pixel mask": _masked,
    "labels, classes absent": _absent,
    "labels, 3-D": _volume,
    "labels, no spatial axis": _no_space,
    "labels, channels last": _channels_last,
    "labels, logits up to 300": _large,
    "soft": _soft,
    "soft, pixel weights": _soft_weighted,
    "distances": _distances,
    "distances, pixel weights": _distances_weighted,
    "labels, probabilities given": _probabilities,
    "binary mask": _mask,
    "multi-hot, some -1": _multi_hot,
}

Row = tuple[dict[str, Any], str]

_EVERY: tuple[Row, ...] = (
    ({}, "labels, pixel mask"),
    ({"ignore_index": 255}, "labels, some 255"),
    ({"class_weights": (0.5, 2.0, 0.0, 1.0)}, "labels, pixel weights"),
    ({"class_axis": -1, "include_background": False}, "labels, channels last"),
    ({"reduction": "sum"}, "labels, 3-D"),
    ({}, "soft, pixel weights"),
)
_ACTIVATED: tuple[Row, ...] = (
    ({"activation": None}, "labels, probabilities given"),
    ({"activation": "sigmoid"}, "binary mask"),
    ({"activation": "sigmoid", "ignore_index": (-1, 255)}, "multi-hot, some -1"),
)
_POOLED: tuple[Row, ...] = (
    ({"pool": "image", "absent": "zero"}, "labels, classes absent"),
    ({"pool": "image", "reduction": "none"}, "labels, classes absent"),
    ({"class_weights": (0.5, 2.0, 0.0, 1.0), "normalize": "classes"}, "labels"),
)
_OVERLAP: tuple[Row, ...] = (
    ({"smooth": (0.5, 2.0), "absent": "keep"}, "labels, classes absent"),
    ({"power": 2, "smooth": 1.0}, "soft"),
    ({"intersection": "product"}, "soft, pixel weights"),
    ({"pool": "image+class", "form": "log"}, "labels"),
    ({"form": "log_cosh"}, "soft"),
)
_CROSS_ENTROPY: tuple[Row, ...] = (
    ({"label_smoothing": 0.1, "normalize": "valid"}, "labels, logits up to 300"),
    ({"normalize": "all", "ignore_index": 255}, "labels, some 255"),
    ({"activation": "sigmoid", "pos_weight": (1.0, 2.0, 3.0, 0.5)}, "labels"),
    ({"reduction": "none"}, "labels, no spatial axis"),
    ({"top_k": 0.3, "ignore_index": 255}, "labels, some 255"),
    ({"ohem_threshold": 0.5, "min_kept": 10}, "labels, pixel weights"),
)
_POLY: tuple[Row, ...] = (
    ({"epsilon": 2.0, "label_smoothing": 0.1}, "labels, logits up to 300"),
    ({"epsilon": -1.0, "normalize": "all_elements", "ignore_index": 255}, "labels, some 255"),
    ({"activation": "sigmoid", "pos_weight": 2.0}, "binary mask"),
)
_FOCAL: tuple[Row, ...] = (
    ({"gamma": 0.5, "normalize": "all"}, "labels, logits up to 300"),
    ({"gamma": (0.0, 0.5, 1.0, 3.0), "alpha": (1.0, 0.25, 0.5, 2.0)}, "labels"),
    ({"activation": "sigmoid", "alpha": 0.25, "normalize": "weights"}, "binary mask"),
    ({"activation": "sigmoid", "pos_weight": 3.0, "normalize": "valid_pixels"}, "labels"),
    ({"normalize": "focal", "gamma": 1.5}, "soft, pixel weights"),
    ({"normalize": "focal", "threshold": 0.4}, "labels, logits up to 300"),
    ({"activation": "sigmoid", "soft": "arithmetic", "gamma": 1.5}, "soft, pixel weights"),
    ({"activation": "sigmoid", "soft": "geometric", "gamma": 0.5}, "soft"),
    ({"activation": "sigmoid", "soft": "log_odds", "threshold": (0.3, 0.7)}, "soft"),
    ({"reduction": "none"}, "labels, no spatial axis"),
)
_TVERSKY: tuple[Row, ...] = (
    (
        {"fp_weight": 0.3, "fn_weight": 0.7, "smooth": (0.5, 2.0), "absent": "keep"},
        "labels, classes absent",
    ),
    ({"fp_weight": 1.0, "fn_weight": 0.0, "intersection": "product"}, "soft, pixel weights"),
    ({"fp_weight": 2.0, "power": 2}, "soft"),
    ({"gamma": 0.75, "fn_weight": 0.7}, "labels"),
    ({"form": "log", "gamma": 0.3, "pool": "batch+class"}, "labels, pixel weights"),
)
_GENERALIZED: tuple[Row, ...] = (
    ({"pool": "image", "reduction": "none"}, "labels, classes absent"),
    ({"pool": "image", "absent": "keep", "smooth": (0.5, 2.0)}, "labels, classes absent"),
    ({"weighting": "simple", "form": "log"}, "labels"),
    ({"weighting": "uniform", "power": 2, "normalize": "classes"}, "soft"),
    ({"intersection": "product"}, "soft, pixel weights"),
)
_MCC: tuple[Row, ...] = (
    ({"absent": "keep"}, "labels, classes absent"),
    ({"intersection": "product"}, "soft, pixel weights"),
    ({}, "labels, logits up to 300"),
)
_UNIFIED: tuple[Row, ...] = (
    ({"symmetry": "symmetric", "gamma": 0.2, "delta": 0.7}, "labels, logits up to 300"),
    ({"balance": 0.8, "pool": "image", "absent": "keep"}, "labels, classes absent"),
    ({"gamma": 0.0}, "labels, no spatial axis"),
)
_BOUNDARY: tuple[Row, ...] = (
    ({}, "distances"),
    ({"activation": "sigmoid"}, "distances, pixel weights"),
    ({"class_weights": (0.5, 2.0, 0.0, 1.0), "normalize": "valid_pixels"}, "distances"),
    ({"class_axis": -3, "include_background": False}, "distances, pixel weights"),
    ({"reduction": "sum"}, "distances, pixel weights"),
    ({"reduction": "none"}, "distances"),
)
_LOVASZ: tuple[Row, ...] = (
    ({"absent": "keep"}, "labels, classes absent"),
    ({"absent": "skip"}, "labels, no spatial axis"),
    ({"bins": 8}, "labels, pixel weights"),
    ({"bins": 16, "pool": "image", "absent": "keep"}, "labels, classes absent"),
    ({"bins": 4}, "soft"),
)
_HINGE: tuple[Row, ...] = (
    ({}, "binary mask"),
    ({"ignore_index": (-1, 255)}, "multi-hot, some -1"),
    ({}, "labels, logits up to 300"),
)
_TABLE: dict[str, tuple[Row, ...]] = {
    "CrossEntropyLoss": (*_EVERY, *_ACTIVATED, *_CROSS_ENTROPY),
    "PolyLoss": (*_EVERY, *_ACTIVATED, *_POLY),
    "FocalLoss": (*_EVERY, *_ACTIVATED, *_FOCAL),
    "DiceLoss": (*_EVERY, *_ACTIVATED, *_POOLED, *_OVERLAP),
    "JaccardLoss": (*_EVERY, *_ACTIVATED, *_POOLED, *_OVERLAP),
    "TverskyLoss": (*_EVERY, *_ACTIVATED, *_POOLED, *_TVERSKY),
    "GeneralizedDiceLoss": (*_EVERY, *_ACTIVATED, *_GENERALIZED),
    "MCCLoss": (*_EVERY, *_ACTIVATED, *_POOLED, *_MCC),
    "BoundaryLoss": _BOUNDARY,
    "UnifiedFocalLoss": (*_EVERY, *_ACTIVATED, *_UNIFIED),
    "LovaszSoftmaxLoss": (*_EVERY, *_ACTIVATED, *_POOLED, *_LOVASZ),
    "LovaszHingeLoss": (*_EVERY, *_POOLED, *_LOVASZ, *_HINGE),
}

Term = tuple[float, str, dict[str, Any]]

_SUMS: tuple[tuple[tuple[Term, ...], str], ...] = (
    (((1.0, "CrossEntropyLoss", {}), (1.0, "DiceLoss", {})), "labels, pixel mask"),
    (((1.0, "CrossEntropyLoss", {}), (0.5, "LovaszHingeLoss", {})), "labels"),
    (
        ((1.0, "FocalLoss", {}), (2.0, "DiceLoss", {"include_background": False})),
        "soft, pixel weights",
    ),
    (
        (
            (1.0, "CrossEntropyLoss", {"ignore_index": 255}),
            (0.3, "JaccardLoss", {"ignore_index": 255, "activation": "sigmoid"}),
        ),
        "labels, some 255",
    ),
    (
        ((0.5, "LovaszSoftmaxLoss", {}), (1.0, "TverskyLoss", {"pool": "image"})),
        "labels, pixel weights",
    ),
    (((1.0, "CrossEntropyLoss", {}), (0.5, "LovaszSoftmaxLoss", {"bins": 16})), "labels"),
)

# Half precision is a matter of how logits are widened and gradients rounded, not of every option.
_HALF_TOO = ("labels, pixel mask", "soft, pixel weights", "binary mask", "distances")

LOSSES: tuple[str, ...] = (*_TABLE, "WeightedSum")


def option_sets(losses: tuple[str, ...] = LOSSES) -> list[OptionSet]:
    """Return every set of options of these losses.

    Parameters
    ----------
    losses : tuple of str, optional
        Names of classes, of `LOSSES`.

    Returns
    -------
    list of OptionSet
        In the order of `LOSSES`.
    """
    sets = [
        _option_set(loss, _written(options), data, getattr(al, loss)(**options))
        for loss, rows in _TABLE.items()
        if loss in losses
        for options, data in rows
    ]
    if "WeightedSum" in losses:
        sets += [_sum(terms, data) for terms, data in _SUMS]
    return sets


def _option_set(loss: str, options: str, data: str, function: Any) -> OptionSet:
    return OptionSet(loss, options or "defaults", data, function, _DATA[data](), data in _HALF_TOO)


def _sum(terms: tuple[Term, ...], data: str) -> OptionSet:
    text = " + ".join(f"{weight:g} {loss}({_written(o)})" for weight, loss, o in terms)
    function = sum(weight * getattr(al, loss)(**options) for weight, loss, options in terms)
    return _option_set("WeightedSum", text, data, function)


def _written(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

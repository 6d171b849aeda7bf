"""The cases that `array-losses crosscheck` runs on every framework, device and dtype.

Every option occurs with every loss that has it. The data are small, so that all cases on four
frameworks take about a minute, and without ties, where Lovász losses have no one gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from array_losses.testing.cases.recipe import ALL_CLASSES, Case, Data, Term

__all__ = ["LOSSES", "CrosscheckCase", "crosscheck_cases"]

_LABELS = Data(classes=4, spatial=(5, 6))
_SOFT = replace(_LABELS, target="soft")
_DISTANCES = replace(_LABELS, target="distances")
# By the words that the report has for them; pixel weights and masks are 0 at some pixels.
_DATA = {
    "labels": _LABELS,
    "labels, some 255": replace(_LABELS, target_dtype="uint8", ignore=(255,), nan_ignored=True),
    "labels, pixel weights": replace(_LABELS, weights="float"),
    "labels, pixel mask": replace(_LABELS, weights="mask"),
    "labels, classes absent": replace(_LABELS, absent=(2,), absent_in_first=(1,)),
    "labels, 3-D": Data(batch=1, spatial=(3, 4, 5)),
    "labels, no spatial axis": Data(batch=40, classes=5, spatial=()),
    "labels, channels last": replace(_LABELS, class_axis=-1, target_dtype="int32"),
    "labels, logits up to 300": replace(_LABELS, scale=80.0),
    "labels, probabilities given": replace(_LABELS, probabilities=True),
    "soft": _SOFT,
    "soft, pixel weights": replace(_SOFT, weights="float"),
    "distances": _DISTANCES,
    "distances, pixel weights": replace(_DISTANCES, weights="float"),
    "binary mask": Data(classes=1, spatial=(7, 8), target_dtype="bool"),
    "multi-hot, some -1": replace(_LABELS, target="multi-hot", target_dtype="int8", ignore=(-1,)),
}
# Half precision is a matter of how logits are widened and gradients rounded, not of every option.
_HALF_TOO = ("labels, pixel mask", "soft, pixel weights", "binary mask", "distances")

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
    "cross_entropy": (*_EVERY, *_ACTIVATED, *_CROSS_ENTROPY),
    "poly": (*_EVERY, *_ACTIVATED, *_POLY),
    "focal": (*_EVERY, *_ACTIVATED, *_FOCAL),
    "dice": (*_EVERY, *_ACTIVATED, *_POOLED, *_OVERLAP),
    "jaccard": (*_EVERY, *_ACTIVATED, *_POOLED, *_OVERLAP),
    "tversky": (*_EVERY, *_ACTIVATED, *_POOLED, *_TVERSKY),
    "generalized_dice": (*_EVERY, *_ACTIVATED, *_GENERALIZED),
    "mcc": (*_EVERY, *_ACTIVATED, *_POOLED, *_MCC),
    "boundary": _BOUNDARY,
    "unified_focal": (*_EVERY, *_ACTIVATED, *_UNIFIED),
    "lovasz_softmax": (*_EVERY, *_ACTIVATED, *_POOLED, *_LOVASZ),
    "lovasz_hinge": (*_EVERY, *_POOLED, *_LOVASZ, *_HINGE),
}

_SUMS: tuple[tuple[tuple[Term, ...], str], ...] = (
    (((1.0, "cross_entropy", {}), (1.0, "dice", {})), "labels, pixel mask"),
    (((1.0, "cross_entropy", {}), (0.5, "lovasz_hinge", {})), "labels"),
    (
        ((1.0, "focal", {}), (2.0, "dice", {"include_background": False})),
        "soft, pixel weights",
    ),
    (
        (
            (1.0, "cross_entropy", {"ignore_index": 255}),
            (0.3, "jaccard", {"ignore_index": 255, "activation": "sigmoid"}),
        ),
        "labels, some 255",
    ),
    (
        ((0.5, "lovasz_softmax", {}), (1.0, "tversky", {"pool": "image"})),
        "labels, pixel weights",
    ),
    (((1.0, "cross_entropy", {}), (0.5, "lovasz_softmax", {"bins": 16})), "labels"),
)

LOSSES: tuple[str, ...] = (*(ALL_CLASSES[name] for name in _TABLE), "WeightedSum")


@dataclass(frozen=True, eq=False, kw_only=True)
class CrosscheckCase(Case):
    """A case with what a report says of it.

    Attributes
    ----------
    kind : str
        The name of the class.
    options : str
        The options that are not the defaults, as they are written.
    about : str
        What kind of target and weights.
    """

    kind: str
    options: str
    about: str

    @property
    def half(self) -> bool:
        """Whether it is for float16 and bfloat16 too."""
        return self.about in _HALF_TOO

    def inputs(self) -> tuple[np.ndarray, ...]:
        """Return logits, target and, if there are any, pixel weights."""
        return tuple(array for array in self.data.build() if array is not None)


def crosscheck_cases(losses: Sequence[str] = LOSSES) -> list[CrosscheckCase]:
    """Return the cases of these losses.

    Parameters
    ----------
    losses : sequence of str, optional
        Names of classes, of `LOSSES`.

    Returns
    -------
    list of CrosscheckCase
        In the order of `LOSSES`.
    """
    single = [
        _case(ALL_CLASSES[name], _written(options), ((1.0, name, options),), about)
        for name, rows in _TABLE.items()
        for options, about in rows
    ]
    sums = [
        _case("WeightedSum", " + ".join(map(_written_term, terms)), terms, about)
        for terms, about in _SUMS
    ]
    return [case for case in (*single, *sums) if case.kind in losses]


def _case(kind: str, options: str, terms: tuple[Term, ...], about: str) -> CrosscheckCase:
    return CrosscheckCase(
        name=f"{kind}: {options or 'defaults'} ({about})",
        terms=terms,
        data=replace(_DATA[about], seed=crc32(about.encode())),
        kind=kind,
        options=options or "defaults",
        about=about,
    )


def _written_term(term: Term) -> str:
    weight, name, options = term
    return f"{weight:g} {ALL_CLASSES[name]}({_written(options)})"


def _written(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

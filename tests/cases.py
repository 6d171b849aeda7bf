"""What the tests add to the case table of array_losses.testing: the oracle, and fewer cases."""

from dataclasses import fields
from functools import cache

import numpy as np

from array_losses.testing.cases import all_cases
from array_losses.testing.cases.recipe import (
    ALL_CLASSES,
    CLASSES,
    COMPOSED,
    LOVASZ_LOSSES,
    MAPPED,
    OF_LOGITS,
    OVERLAP_LOSSES,
    PIXEL_LOSSES,
    POOLING_LOSSES,
    Case,
    Data,
)
from tests import oracle

__all__ = [
    "ALL_CLASSES",
    "CASES",
    "CLASSES",
    "COMPOSED",
    "COVER",
    "LOVASZ_LOSSES",
    "MAPPED",
    "NONE",
    "OF_LOGITS",
    "OVERLAP_LOSSES",
    "PIXEL_LOSSES",
    "POOLING_LOSSES",
    "SCALAR_CASES",
    "Case",
    "Data",
    "oracle_value",
    "reference_of",
]

CASES = all_cases()


def oracle_value(case, logits, target, weights):
    """The oracle's value."""
    return np.asarray(oracle.weighted_sum(case.terms, logits, target, weights), dtype=np.float64)


@cache
def reference_of(case, dtype):
    """The oracle's value on the inputs rounded to `dtype`, once for all backends."""
    return oracle_value(case, *case.data.build(dtype))


def _features(case):
    """What a case is the test of: options of its losses, and the kind of its data."""
    for _, name, options in case.terms:
        yield name, len(case.terms) > 1
        for option, value in options.items():
            yield name, option, value
    for one in fields(case.data):
        if one.name != "seed":
            yield one.name, getattr(case.data, one.name)


def _cover(cases):
    """Choose fewer cases that still have every feature: greedily, those with most new ones."""
    left = {feature for case in cases for feature in _features(case)}
    chosen = []
    while left:
        best = max(cases, key=lambda case: len(left.intersection(_features(case))))
        left.difference_update(_features(best))
        chosen.append(best)
    return [case for case in cases if case in chosen]


# For backends that compile every case anew.
COVER = _cover(CASES)
NONE = ()
SCALAR_CASES = [case for case in CASES if case.is_scalar]

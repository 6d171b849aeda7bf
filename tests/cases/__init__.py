"""The case table: what every loss is computed on, the same for every test and every backend.

A file a family; `recipe` says what a case is.
"""

from dataclasses import fields

from tests.cases.boundary import boundary_losses
from tests.cases.class_mean import class_losses
from tests.cases.every_loss import every_loss
from tests.cases.hardest import hardest_pixels
from tests.cases.lovasz import binned_losses
from tests.cases.overlap import overlap_losses
from tests.cases.pixel import pixel_losses
from tests.cases.recipe import (
    ALL_CLASSES,
    CLASSES,
    COMPOSED,
    LOVASZ_LOSSES,
    MAPPED,
    OVERLAP_LOSSES,
    PIXEL_LOSSES,
    POOLING_LOSSES,
    Case,
    Data,
    reference_of,
)
from tests.cases.sums import sums
from tests.cases.unified_focal import unified_focal

__all__ = [
    "ALL_CLASSES",
    "CASES",
    "CLASSES",
    "COMPOSED",
    "COVER",
    "LOVASZ_LOSSES",
    "MAPPED",
    "NONE",
    "OVERLAP_LOSSES",
    "PIXEL_LOSSES",
    "POOLING_LOSSES",
    "SCALAR_CASES",
    "Case",
    "Data",
    "reference_of",
]

CASES = [
    *every_loss(),
    *pixel_losses(),
    *hardest_pixels(),
    *class_losses(),
    *overlap_losses(),
    *unified_focal(),
    *boundary_losses(),
    *binned_losses(),
    *sums(),
]


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

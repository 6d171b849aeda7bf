"""The case table: what every loss is computed on, by the tests and by `array-losses crosscheck`.

A file a family; `recipe` says what a case is, `crosscheck` has those that run everywhere.
"""

from __future__ import annotations

from array_losses.testing.cases.boundary import boundary_losses
from array_losses.testing.cases.class_mean import class_losses
from array_losses.testing.cases.every_loss import every_loss
from array_losses.testing.cases.hardest import hardest_pixels
from array_losses.testing.cases.lovasz import binned_losses
from array_losses.testing.cases.overlap import overlap_losses
from array_losses.testing.cases.pixel import pixel_losses
from array_losses.testing.cases.recipe import Case
from array_losses.testing.cases.sums import sums
from array_losses.testing.cases.unified_focal import unified_focal

__all__ = ["all_cases"]


def all_cases() -> list[Case]:
    """Return the cases of all families, made anew."""
    return [
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

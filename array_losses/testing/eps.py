"""Errors in units of eps, the spacing of a dtype's numbers just above 1."""

from __future__ import annotations

import numpy as np

__all__ = ["EPS", "HALF", "error_in_eps"]

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
HALF = ("float16", "bfloat16")
_SMALLEST_NORMAL = {
    "float64": 2.0**-1022,
    "float32": 2.0**-126,
    "float16": 2.0**-14,
    "bfloat16": 2.0**-126,
}


def error_in_eps(came: np.ndarray, reference: np.ndarray, dtype: str) -> float:
    """Return the largest error of an entry, relative to the reference's largest entry, in eps.

    Below the smallest normal number of the dtype, errors are measured in its absolute spacing: a
    reference of 0 must be met exactly. A NaN is infinitely wrong, and so is another shape.
    """
    if came.shape != reference.shape:
        return np.inf
    came, reference = came.astype(np.float64), reference.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.where(came == reference, 0.0, np.abs(came - reference))
        scale = max(float(np.max(np.abs(reference), initial=0.0)), _SMALLEST_NORMAL[dtype])
        worst = float(np.max(difference, initial=0.0)) / scale / EPS[dtype]
    return worst if np.isfinite(worst) else np.inf

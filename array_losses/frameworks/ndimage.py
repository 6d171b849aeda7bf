"""Distance transforms: CuPy's for its arrays, SciPy's for all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from array_losses.core.namespace import (
    Array,
    device,
    is_cupy_namespace,
    is_torch_namespace,
    namespace_of,
)

__all__ = ["given_back", "with_transform"]


def with_transform(x: Array) -> tuple[Array, Callable[..., Array]]:
    """Return `x` as an array of NumPy or CuPy, and the Euclidean distance transform for it."""
    xp = namespace_of(labels=x)
    if is_cupy_namespace(xp):
        from cupyx.scipy import ndimage as on_gpu

        return x, on_gpu.distance_transform_edt
    try:
        import numpy as np
        from scipy import ndimage
    except ModuleNotFoundError as error:
        msg = (
            f'{error.name} is not installed; run, in a clone of array_losses: pip install ".[maps]"'
        )
        raise ModuleNotFoundError(msg, name=error.name) from error
    host: Any = x.cpu() if is_torch_namespace(xp) else x
    return np.asarray(host), ndimage.distance_transform_edt


def given_back(result: Array, x: Array) -> Array:
    """Return the result as an array of the library and on the device of `x`."""
    xp = namespace_of(labels=x)
    return result if is_cupy_namespace(xp) else xp.asarray(result, device=device(x))

"""Distance transforms: CuPy's for its images and volumes, SciPy's for all else."""

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
    """Return `x` as an array of NumPy or CuPy, and the Euclidean distance transform for its images.

    The first axis of `x` tells the images apart.
    """
    xp = namespace_of(labels=x)
    if is_cupy_namespace(xp) and x.ndim <= 4:
        from cupyx.scipy import ndimage as on_gpu

        of_rows = x.ndim == 2
        return x, _of_rows if of_rows else on_gpu.distance_transform_edt
    try:
        import numpy as np
        from scipy import ndimage
    except ModuleNotFoundError as error:
        msg = (
            f'{error.name} is not installed; run, in a clone of array_losses: pip install ".[maps]"'
        )
        raise ModuleNotFoundError(msg, name=error.name) from error
    return np.asarray(_on_cpu(xp, x)), ndimage.distance_transform_edt


def _of_rows(x: Array, sampling: tuple[float, ...]) -> Array:
    """Return the distance transform of a row by CuPy, which has one of two or three axes."""
    from cupyx.scipy import ndimage as on_gpu

    return on_gpu.distance_transform_edt(x[None, :], sampling=(1.0, *sampling))[0, :]


def _on_cpu(xp: Any, x: Any) -> Any:
    if is_cupy_namespace(xp):
        return x.get()
    return x.cpu() if is_torch_namespace(xp) else x


def given_back(result: Array, x: Array) -> Array:
    """Return the result as an array of the library and on the device of `x`."""
    xp = namespace_of(labels=x)
    if namespace_of(result=result) is xp:
        return result
    return xp.asarray(result, device=device(x))

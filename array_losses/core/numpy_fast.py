"""NumPy's namespace without the Python in front of its functions.

On a few elements that takes longer than the work: `reshape` goes through four Python functions,
`sum` through three, `full` through five. And two threads wait for each other in it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

__all__ = ["NumPyFast"]


class NumPyFast:
    """A namespace with everything that NumPy's has; what is called often goes straight to C.

    Parameters
    ----------
    full : the namespace of NumPy arrays, wrapped to conform to the standard
    """

    def __init__(self, full: Any) -> None:
        vars(self).update(vars(full))
        self._full = full
        plain = full.ndarray((), full.float64).__array_namespace__()
        for name, function in (*_standard(full, plain).items(), *_made(plain).items()):
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        """Return what the namespace makes when it is first asked for."""
        return getattr(vars(self)["_full"], name)


def _standard(full: Any, plain: Any) -> dict[str, Any]:
    """Return functions of arrays, with the standard's arguments."""
    full_reshape = full.reshape

    def reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
        return x.reshape(shape) if copy is None else full_reshape(x, shape, copy=copy)

    def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
        return x.transpose(axes)

    def take(x: Any, indices: Any, /, *, axis: int | None = None, **options: Any) -> Any:
        return x.take(indices, axis, **options)

    def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
        return x.astype(dtype, copy=copy)

    return {
        "reshape": reshape,
        "permute_dims": permute_dims,
        "take": take,
        "astype": astype,
        "sum": partial(plain.add.reduce, axis=None),
        "max": partial(plain.maximum.reduce, axis=None),
        "min": partial(plain.minimum.reduce, axis=None),
        "any": partial(plain.logical_or.reduce, axis=None),
        "all": partial(plain.logical_and.reduce, axis=None),
        "finfo": plain.finfo,
        "iinfo": plain.iinfo,
    }


def _made(plain: Any) -> dict[str, Any]:
    """Return functions that make arrays."""
    new, new_like = plain.empty, plain.empty_like

    def full(shape: Any, fill_value: Any, *, dtype: Any, device: Any = None) -> Any:
        made = new(shape, dtype, device=device)
        made.fill(fill_value)
        return made

    def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
        made = new_like(x, dtype, device=device)
        made.fill(fill_value)
        return made

    def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        made = new_like(x, dtype, device=device)
        made.fill(0)
        return made

    def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        made = new_like(x, dtype, device=device)
        made.fill(1)
        return made

    return {
        "empty": new,
        "empty_like": new_like,
        "zeros": plain.zeros,
        "arange": plain.arange,
        "full": full,
        "full_like": full_like,
        "zeros_like": zeros_like,
        "ones_like": ones_like,
    }

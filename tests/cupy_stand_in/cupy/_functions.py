"""Functions of the stand-in: CuPy's signatures around NumPy's functions, and those of its own."""

import numpy as np
from cupy import _counts
from cupy._array import computed, garbage, inside, ndarray, of, view
from cupy._facts import FACTS, WAITS, signature

# Their results are views, or copies where there can be none.
VIEWS = {
    *("broadcast_arrays", "broadcast_to", "diagonal", "expand_dims", "flip", "matrix_transpose"),
    *("moveaxis", "permute_dims", "ravel", "reshape", "rollaxis", "split", "squeeze", "swapaxes"),
    *("transpose", "unstack"),
}
# They say something of dtypes and shapes, and compute nothing.
OF_NO_ARRAY = {
    *("broadcast_shapes", "can_cast", "isdtype", "isscalar", "issubdtype", "iterable", "ndim"),
    *("promote_types", "result_type", "shape", "size"),
}
# Kernels of functions that launch more than one, from CuPy's source.
LAUNCHES = {"bincount": 5, "eye": 2, "unique": 6, "nonzero": 3, "flatnonzero": 3, "argwhere": 3}
EMPTY = {"empty", "empty_like"}


def _function(name, parameters):
    """A function that checks its arguments by CuPy's signature, and leaves the work to NumPy."""
    known = signature(parameters)
    work = getattr(np, name, None)

    def function(*args, **named):
        known.bind(*args, **named)
        if work is None:
            msg = f"the stand-in for CuPy has no {name}"
            raise NotImplementedError(msg)
        if name in OF_NO_ARRAY:
            return work(*map(_dtype, args), **named)
        if name in WAITS:
            _counts.wait(name)
        args = [_inside(one) for one in args]
        named = {key: _inside(one) for key, one in named.items()}
        result = computed(work, *args, **named)
        if name in VIEWS:
            return _each(result, lambda one: view(one, args[0]))
        if name in EMPTY:
            return of(garbage(result))
        _counts.launch(name, LAUNCHES.get(name, 1))
        return _each(result, of)

    function.__name__ = function.__qualname__ = name
    function.__signature__ = known
    return function


def _dtype(x):
    return x.dtype if isinstance(x, ndarray) else x


def _inside(x):
    """Arguments with the memory of their arrays; an array of NumPy is refused."""
    if isinstance(x, tuple | list):
        return type(x)(map(_inside, x))
    return inside(x) if isinstance(x, ndarray | np.ndarray) else x


def _each(result, make):
    return tuple(map(make, result)) if isinstance(result, tuple | list) else make(result)


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """An array, copied to the device where it is not there yet."""
    if isinstance(obj, ndarray):
        return obj.astype(obj.dtype if dtype is None else dtype, copy=bool(copy))
    memory = np.array(obj, dtype=dtype, ndmin=ndmin)
    if memory.ndim:  # one number is an argument of the kernel that fills
        _counts.copy("array")
        if blocking:
            _counts.wait("array")
    else:
        _counts.launch("fill")
    return of(memory)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """The array itself where it is one, else `array`."""
    return array(a, dtype, bool(copy), order or "K", blocking=blocking)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """A copy in the memory of the host."""
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def argsort(a, axis=-1, kind=None):
    """The order that sorts; CuPy knows no other kind than the stable one."""
    if kind not in {None, "stable"}:
        msg = "`kind` must be None or 'stable'"
        raise ValueError(msg)
    _counts.launch("argsort", 2)
    return of(np.argsort(inside(a), axis, kind="stable"))


def sort(a, axis=-1, kind=None):
    """A sorted copy."""
    if kind not in {None, "stable"}:
        msg = "`kind` must be None or 'stable'"
        raise ValueError(msg)
    _counts.launch("sort", 2)
    return of(np.sort(inside(a), axis, kind="stable"))


def take(a, indices, axis=None, out=None):
    """Entries at places; one beyond the end wraps around."""
    if isinstance(indices, np.ndarray | list):
        _counts.copy("take")
    _counts.launch("take")
    places = inside(indices) if isinstance(indices, ndarray) else indices
    return of(np.take(inside(a), places, axis=axis, mode="wrap"))


def take_along_axis(a, indices, axis):
    """Entries at places of one axis, as CuPy finds them: by an index of one array an axis."""
    shape = inside(a).shape
    axis %= len(shape)
    _counts.launch("take_along_axis", 2 * len(shape) + 1)
    places = inside(indices) % max(shape[axis], 1)
    return of(np.take_along_axis(inside(a), places, axis))


def bincount(x, weights=None, minlength=None):
    """Sums by place. It asks whether a place is negative, and which is the largest."""
    if x.ndim != 1 or x.dtype.kind == "f":
        msg = f"`x` must be a row of integers, got {x.ndim} axes of {x.dtype}"
        raise TypeError(msg)
    _counts.wait("bincount")
    _counts.launch("bincount", LAUNCHES["bincount"])
    heavy = None if weights is None else inside(weights)
    return of(np.bincount(inside(x), heavy, minlength=minlength or 0))


def copyto(dst, src, casting="same_kind", where=None):
    """Write an array or a number into another."""
    _counts.launch("copyto")
    np.copyto(inside(dst), inside(src), casting=casting)


OWN = (array, asarray, asnumpy, argsort, sort, take, take_along_axis, bincount, copyto)
functions = {name: _function(name, text) for name, text in FACTS["functions"].items()}
functions |= {one.__name__: one for one in OWN}

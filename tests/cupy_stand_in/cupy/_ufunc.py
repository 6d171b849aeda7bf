"""Ufuncs of the stand-in, with the loops of CuPy's: what it has none for is refused."""

import functools

import numpy as np
from cupy import _counts
from cupy._array import computed, inside, is_scalar, ndarray, of
from cupy._facts import FACTS, dtype_of

# A Python number takes the dtype of arrays of its kind or of a higher one.
KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
WEAK = {int: np.dtype(np.int64), float: np.dtype(np.float64), complex: np.dtype(np.complex128)}


class Ufunc:
    """A function of elements.

    As in CuPy the first loop is taken to which all arguments can be cast safely.
    """

    def __init__(self, name, function):
        self.__name__ = self.name = name
        self.loops = [
            (tuple(map(dtype_of, ins)), tuple(map(dtype_of, outs)))
            for ins, outs in (loop.split("->") for loop in FACTS["loops"][name].split())
        ]
        self.loops = [loop for loop in self.loops if None not in {*loop[0], *loop[1]}]
        self.nin, self.nout = len(self.loops[0][0]), len(self.loops[0][1])
        self._function = function
        self._loop_for = functools.cache(self._found)

    def __call__(self, *args, out=None, dtype=None, casting="same_kind"):
        if not self.nin <= len(args) <= self.nin + self.nout:
            msg = f"Wrong number of arguments for {self.name!r}: {len(args)}"
            raise TypeError(msg)
        if len(args) > self.nin:
            args, out = args[: self.nin], args[self.nin]
        values = [inside(one) for one in args]
        if dtype is None:
            ins, outs = self._loop_for(tuple(map(_kind, values)))
        else:
            ins, outs = next(loop for loop in self.loops if loop[1] == (np.dtype(dtype),))
        values = [np.asarray(x).astype(to) for x, to in zip(values, ins, strict=True)]
        results = computed(self._function, *map(_wide, values))
        results = results if isinstance(results, tuple) else (results,)
        if results[0].size:
            _counts.launch(self.name)
        arrays = [np.asarray(x).astype(to) for x, to in zip(results, outs, strict=True)]
        if out is not None:
            return _written(out[0] if isinstance(out, tuple) else out, arrays[0], casting)
        return of(arrays[0]) if self.nout == 1 else tuple(map(of, arrays))

    def at(self, a, slices, value):
        """Add in place, repeated places too: CuPy's atomic operations."""
        if self.name != "add":
            msg = f"{self.name}.at is not in the stand-in"
            raise NotImplementedError(msg)
        a.scatter_add(slices, value)

    def _found(self, kinds):
        """The first loop for arguments of these dtypes, or types of Python numbers."""
        arrays = [KINDS.get(one.kind, 2) for one in kinds if isinstance(one, np.dtype)]
        weak = [KINDS[WEAK[one].kind] for one in kinds if not isinstance(one, np.dtype)]
        stays_weak = arrays and weak and max(arrays) >= max(weak)
        for ins, outs in self.loops:
            if all(_fits(one, to, stays_weak) for one, to in zip(kinds, ins, strict=True)):
                return ins, outs
        msg = f"Wrong type ({kinds}) of arguments for cupy_{self.name}"
        raise TypeError(msg)


def _kind(x):
    """The dtype of an array or NumPy number; the type of a Python number, whose dtype gives way."""
    return x.dtype if hasattr(x, "dtype") else np.dtype(bool) if type(x) is bool else type(x)


def _fits(kind, to, stays_weak):
    if isinstance(kind, np.dtype):
        return np.can_cast(kind, to)
    return np.can_cast(WEAK[kind], to) or (stays_weak and np.result_type(kind(0), to) == to)


def _wide(x):
    """An array that NumPy computes with: float32 in place of bfloat16."""
    return x.astype(np.float32) if x.dtype.name == "bfloat16" else x


def _written(out, array, casting):
    if not np.can_cast(array.dtype, out.dtype, casting):
        msg = f"output (dtype: {array.dtype}) cannot be cast to {out.dtype} by {casting!r}"
        raise TypeError(msg)
    inside(out)[...] = array
    return out


def _sign(x):
    """CuPy's sign, which is 0 for NaN."""
    return np.where(np.isnan(x), 0, np.sign(x)).astype(x.dtype)


OWN = {"sign": _sign, "where": np.where}
ufuncs = {
    name: Ufunc(name, OWN.get(name) or getattr(np, name))
    for name in FACTS["loops"]
    if name in OWN or hasattr(np, name)
}


def where(condition, x=None, y=None):
    """Choose by element; with the condition alone, find where it holds, and wait."""
    if x is None or y is None:
        _counts.wait("where")
        return tuple(map(of, np.nonzero(inside(condition))))
    return ufuncs["where"](condition.astype("?", copy=False), x, y)


def binary(name, *, reflected=False, in_place=False):
    """The method of an operator with two arguments."""

    def method(self, other):
        if not (isinstance(other, ndarray | np.ndarray) or is_scalar(other)):
            return NotImplemented
        if in_place:
            return ufuncs[name](self, other, out=self)
        return ufuncs[name](other, self) if reflected else ufuncs[name](self, other)

    return method


def _give_operators():
    comparisons = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    comparisons |= {"eq": "equal", "ne": "not_equal"}
    for name, called in comparisons.items():
        setattr(ndarray, f"__{name}__", binary(called))
    arithmetic = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide"}
    arithmetic |= {"floordiv": "floor_divide", "mod": "remainder", "pow": "power"}
    arithmetic |= {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}
    arithmetic |= {"lshift": "left_shift", "rshift": "right_shift"}
    for name, called in arithmetic.items():
        setattr(ndarray, f"__{name}__", binary(called))
        setattr(ndarray, f"__r{name}__", binary(called, reflected=True))
        setattr(ndarray, f"__i{name}__", binary(called, in_place=True))
    unary = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
    for name, called in unary.items():
        setattr(ndarray, f"__{name}__", lambda self, called=called: ufuncs[called](self))
    ndarray.__hash__ = None


_give_operators()

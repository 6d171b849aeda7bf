"""A stand-in for CuPy on NumPy, for machines without a GPU.

It has the names, signatures and ufunc loops of the real one (../cupy.json says of which version),
refuses what that refuses, raises an error where the library would wait for the device, and counts
kernels, waits and copies: `cupy._counts`. It computes what CuPy documents, not how fast.
"""

import numpy as np
from cupy import _array, _counts, _facts, _functions, _ufunc, cuda, fft, linalg  # noqa: F401

__version__ = _facts.VERSION

_of_numpy = """
bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128
intp uintp dtype generic number integer signedinteger unsignedinteger inexact floating
complexfloating finfo iinfo ndindex inf nan pi e euler_gamma newaxis
"""
_names = {name: getattr(np, name) for name in _of_numpy.split()}
_names |= _functions.functions | _ufunc.ufuncs
_names |= {"where": _ufunc.where, "ndarray": _array.ndarray, "ufunc": _ufunc.Ufunc}
globals().update(_names)

_array.give_methods(_names)

"""The array of the stand-in: NumPy's memory behind what CuPy's array can, refuses and waits for."""

import numpy as np
from cupy import _counts
from cupy._facts import FACTS, signature
from cupy.cuda.device import Device

REFUSED = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)


def computed(function, *args, **named):
    """What NumPy computes, without its warnings: a GPU has none."""
    with np.errstate(all="ignore"):
        return function(*args, **named)


def is_scalar(x):
    """Whether CuPy takes `x` as a number."""
    return isinstance(x, bool | int | float | complex | np.generic)


def inside(x):
    """The memory behind an array of the current device, or a number; all else is refused."""
    if isinstance(x, ndarray):
        if x._on != Device().id:
            msg = (
                f"Array device must be same as the current device: array device = {x._on} while "
                f"current = {Device().id}."
            )
            raise ValueError(msg)
        return x._memory
    if is_scalar(x):
        return x
    msg = f"Unsupported type {type(x)}"
    raise TypeError(msg)


def of(memory):
    """An array of the current device with this memory."""
    x = ndarray.__new__(ndarray)
    x._memory, x._on = np.asarray(memory), Device().id
    return x


def garbage(memory):
    """Fill memory that nobody has written: who reads it is to notice."""
    if memory.dtype.kind in "fc":
        memory.fill(np.nan)
    elif memory.dtype.kind in "iu":
        memory.fill(np.iinfo(memory.dtype).max)
    return memory


def view(result, *sources):
    """An array that shares memory with its source, or a copy, which is a kernel."""
    array = of(result)
    if array.size and not any(np.may_share_memory(array._memory, one) for one in sources):
        _counts.launch("copy")
    return array


class ndarray:  # noqa: N801
    """An array on a device."""

    __module__ = "cupy"
    __array_priority__ = 100
    __slots__ = ("__weakref__", "_memory", "_on")

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        self._memory = garbage(np.empty(shape, np.dtype(dtype), order))
        self._on = Device().id

    shape = property(lambda self: self._memory.shape)
    dtype = property(lambda self: self._memory.dtype)
    ndim = property(lambda self: self._memory.ndim)
    size = property(lambda self: self._memory.size)
    itemsize = property(lambda self: self._memory.itemsize)
    nbytes = property(lambda self: self._memory.nbytes)
    strides = property(lambda self: self._memory.strides)
    flags = property(lambda self: self._memory.flags)
    device = property(lambda self: Device(self._on))
    T = property(lambda self: self._view(self._memory.T))
    mT = property(lambda self: self._view(self._memory.mT))  # noqa: N815
    real = property(lambda self: self._view(self._memory.real))

    def _view(self, memory):
        """An array of the same device; views need not be of the current one."""
        with self.device:
            return view(memory, self._memory)

    # The host must not read it by accident, and waits where it reads it on purpose.

    def __array__(self, dtype=None, copy=None):
        raise TypeError(REFUSED)

    def _read(self, name):
        _counts.wait(name)
        return self._memory

    def __bool__(self):
        return bool(self._read("bool"))

    def __int__(self):
        return int(self._read("int"))

    def __float__(self):
        return float(self._read("float"))

    def __complex__(self):
        return complex(self._read("complex"))

    def item(self):
        return self._read("item").item()

    def tolist(self):
        return self._read("tolist").tolist()

    def get(self, stream=None, order="C", out=None, blocking=True):
        return self._read("get").copy()

    def tobytes(self, order="C"):
        return self._read("tobytes").tobytes(order)

    def __repr__(self):
        return repr(self._read("repr"))

    def __str__(self):
        return str(self._read("str"))

    def __format__(self, spec):
        return format(self._read("format")[()], spec)

    def __len__(self):
        return len(self._memory)

    def __iter__(self):
        if self.ndim == 0:
            msg = "iteration over a 0-d array"
            raise TypeError(msg)
        return (self[i] for i in range(len(self)))

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, _):
        return self.copy()

    def __reduce__(self):
        import cupy

        return cupy.asarray, (self.get(),)

    # NumPy's functions give way to CuPy's of the same name.

    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        import cupy

        function = getattr(cupy, ufunc.__name__, None)
        if function is None or method != "__call__":
            return NotImplemented
        return function(*inputs, **named)

    def __array_function__(self, function, types, args, named):
        import cupy

        found = getattr(cupy, function.__name__, None)
        return NotImplemented if found is None else found(*args, **named)

    # Shapes.

    def reshape(self, *shape, order="C", copy=None):
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        return self._view(self._memory.reshape(shape, order=order))

    def transpose(self, *axes):
        axes = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes
        return self._view(self._memory.transpose(*axes))

    def ravel(self, order="C"):
        return self._view(self._memory.ravel(order))

    def squeeze(self, axis=None):
        return self._view(self._memory.squeeze(axis))

    def swapaxes(self, axis1, axis2):
        return self._view(self._memory.swapaxes(axis1, axis2))

    def view(self, dtype=None, type=None):  # noqa: A002
        return self._view(self._memory.view() if dtype is None else self._memory.view(dtype))

    # Copies.

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if np.dtype(dtype) == self.dtype and not copy:
            return self
        _counts.launch("astype", min(self.size, 1))
        return of(computed(inside(self).astype, dtype, order=order))

    def copy(self, order="C"):
        with self.device:
            return view(self._memory.copy(order))

    def fill(self, value):
        if isinstance(value, np.ndarray | ndarray) and value.shape:
            msg = "non-scalar numpy.ndarray cannot be used for fill"
            raise ValueError(msg)
        _counts.launch("fill", min(self.size, 1))
        inside(self).fill(value._memory if isinstance(value, ndarray) else value)

    # Indexing. An index beyond the end wraps around; a mask waits until its entries are counted.

    def __getitem__(self, key):
        index, of_arrays = _index(self, key)
        if not of_arrays:
            return self._view(self._memory[index])
        _launch_gather(of_arrays)
        return of(inside(self)[index])

    def __setitem__(self, key, value):
        index, of_arrays = _index(self, key)
        if isinstance(value, np.ndarray) and value.ndim:
            msg = "non-scalar numpy.ndarray cannot be used for fill"
            raise ValueError(msg)
        _launch_gather(of_arrays)
        if of_arrays and isinstance(value, ndarray):
            value = value.astype(self.dtype, copy=False)
        inside(self)[index] = computed(np.asarray, inside(value)).astype(self.dtype)

    def scatter_add(self, slices, value):
        """Add at places, in the order of atomic operations: any."""
        index, of_arrays = _index(self, slices)
        if self.dtype.name not in {
            *("int32", "int64", "uint32", "uint64", "float16", "float32", "float64")
        }:
            msg = f"cupy.add.at does not support {self.dtype}"
            raise TypeError(msg)
        _launch_gather(of_arrays)
        if isinstance(value, ndarray):
            value = value.astype(self.dtype, copy=False)
        np.add.at(inside(self), index, inside(value))


def _index(x, key):
    """An index for the memory of `x`, and the arrays in it."""
    parts = list(key) if isinstance(key, tuple) else [key]
    every = [one for one in parts if isinstance(one, ndarray)]
    foreign = [one for one in parts if isinstance(one, np.ndarray | list)]
    if foreign:
        msg = f"{type(foreign[0])} as an index, which CuPy copies to the device at every call"
        raise TypeError(msg)
    if any(one.dtype == bool for one in every):
        _counts.wait("mask")
    taken = 0  # axes of `x` before the part
    shape, axes_of_rest = x.shape, x.ndim - sum(map(_axes, parts))
    for i, one in enumerate(parts):
        if isinstance(one, ndarray) and one.dtype.kind in "iu":
            parts[i] = _wrapped(inside(one), shape[taken])
        elif isinstance(one, ndarray):
            parts[i] = inside(one)
        taken += axes_of_rest if one is Ellipsis else _axes(one)
    return tuple(parts), every


def _axes(part):
    """How many axes a part of an index takes."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, ndarray) and part.dtype == bool else 1


def _wrapped(places, length):
    return places % length if length else places


def _launch_gather(arrays):
    """Count what reading or writing at arrays launches: places are made of several ones first."""
    _counts.launch("index", 1 if len(arrays) < 2 else len(arrays) + 2)


def give_methods(functions):
    """Give the array the methods that do what functions of the namespace do."""
    for name, parameters in FACTS["methods"].items():
        if not hasattr(ndarray, name) and name in functions:
            setattr(ndarray, name, _method(functions[name], signature(parameters)))


def _method(function, parameters):
    def method(self, *args, **named):
        parameters.bind(self, *args, **named)
        return function(self, *args, **named)

    return method

"""The array library behind the arguments; the only importer of array_api_compat."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, TypeAlias, TypeVar

from array_api_compat import array_namespace
from array_api_compat import device as _device
from array_api_compat import is_array_api_obj as _is_array_api_obj

from array_losses.core.numpy_fast import NumPyFast

__all__ = [
    "Array",
    "ArrayT",
    "DType",
    "Namespace",
    "compute_dtype",
    "cumulative_sum",
    "default_dtype",
    "device",
    "index_dtype",
    "inverse",
    "is_array_api_obj",
    "is_bool",
    "is_cupy_namespace",
    "is_integer",
    "is_jax_namespace",
    "is_numpy_namespace",
    "is_of_cupy",
    "is_of_jax",
    "is_real_floating",
    "is_tensor",
    "is_tiny",
    "is_torch_namespace",
    "kept_within",
    "namespace_of",
    "near_constant",
    "number_of",
    "plus",
    "quotient",
    "smallest_divisor",
    "sum_pixels",
    "times",
    "wide_dtype",
]

Array: TypeAlias = Any
DType: TypeAlias = Any
Namespace: TypeAlias = Any
ArrayT = TypeVar("ArrayT")

# The namespace of arrays of these types, NumPy's all: to find it out again takes long.
_found: dict[type, Namespace] = {}
# Tensors are not among them, and not looked up: the compiler of PyTorch would compile anew whenever
# a type is added.
_TORCH = frozenset({"torch", "torch.nn.parameter"})


def namespace_of(**arrays: Array) -> Namespace:
    """Return the namespace that all named arrays share, or raise a TypeError that names them.

    Of them only `pixel_weights` may be None.
    """
    common = _found_before(arrays)
    if common is not None:
        return common
    given = {name: x for name, x in arrays.items() if x is not None or name != "pixel_weights"}
    if all(map(is_tensor, given.values())):
        _refuse_distributed(given)
        return _torch()
    for name, x in given.items():
        if not is_array_api_obj(x):
            msg = f"`{name}` must be an array of NumPy, CuPy, PyTorch or JAX, got {_kind(x)}."
            raise TypeError(msg)
        if type(x).__module__.startswith("numpy.ma"):
            msg = f"`{name}` must not be a masked array; give the mask as `pixel_weights`."
            raise TypeError(msg)
    try:
        common = array_namespace(*given.values())
    except TypeError as error:
        kinds = ", ".join(f"`{name}` {_kind(x)}" for name, x in given.items())
        hint = ""
        if all(is_of_jax(x) or _is_of_numpy(x) for x in given.values()):
            first = next(name for name, x in given.items() if _is_of_numpy(x))
            hint = f"; give `{first}` as an array of JAX, by `jnp.asarray`"
        msg = f"All arrays must come from one library, got {kinds}{hint}."
        raise TypeError(msg) from error
    if is_numpy_namespace(common):
        common = _fast(common)
        _found.update((type(x), common) for x in given.values())
    return common


# The compiler of PyTorch warns of every function with a cache that it meets, and array_api_compat
# has one in front of whatever it says of arrays and namespaces: of tensors it is not asked.


def is_tensor(x: object) -> bool:
    """Return whether `x` is a tensor of PyTorch, of any subclass."""
    if type(x) in _NO_ARRAYS:
        return False
    return any(one.__name__ == "Tensor" and one.__module__ == "torch" for one in type(x).__mro__)


# By their types themselves: NumPy's float64 is a float too.
_NO_ARRAYS = (type(None), bool, int, float, str, list, tuple, dict)


def _torch() -> Namespace:
    import array_api_compat.torch as xp

    return xp


def _refuse_distributed(tensors: dict[str, Array]) -> None:
    """Raise a TypeError for a tensor spread over devices: with plain ones PyTorch mixes none."""
    for name, x in tensors.items():
        if type(x).__name__ == "DTensor":
            msg = (
                f"`{name}` must be a tensor of one device, got a DTensor: pass each device's "
                f"part of every tensor, `{name}.to_local()`, and sum over the devices by "
                "`all_reduce=`."
            )
            raise TypeError(msg)


def is_array_api_obj(x: object) -> bool:
    """Return whether `x` is an array of a library that is known."""
    return type(x) not in _NO_ARRAYS and (is_tensor(x) or _is_array_api_obj(x))


def is_numpy_namespace(xp: Namespace) -> bool:
    """Return whether `xp` is the namespace of NumPy's arrays."""
    return xp.__name__ == "array_api_compat.numpy"


def is_cupy_namespace(xp: Namespace) -> bool:
    """Return whether `xp` is the namespace of CuPy's arrays."""
    return xp.__name__ == "array_api_compat.cupy"


def is_torch_namespace(xp: Namespace) -> bool:
    """Return whether `xp` is the namespace of PyTorch's tensors."""
    return xp.__name__ == "array_api_compat.torch"


def is_jax_namespace(xp: Namespace) -> bool:
    """Return whether `xp` is the namespace of JAX's arrays."""
    return xp.__name__ == "jax.numpy"


@cache
def _fast(full: Namespace) -> Namespace:
    return NumPyFast(full)


def _found_before(arrays: dict[str, Array]) -> Namespace | None:
    """Return the namespace of arrays of types that were seen before, if all are."""
    common = None
    for name, x in arrays.items():
        if x is None and name == "pixel_weights":
            continue
        kind = type(x)
        common = None if kind.__module__ in _TORCH else _found.get(kind)
        if common is None:
            return None
    return common


def is_of_jax(x: object) -> bool:
    """Return whether `x` is an array of JAX, or stands for one under its transformations."""
    return type(x).__module__.startswith("jax")


def is_of_cupy(x: object) -> bool:
    """Return whether `x` is an array of CuPy."""
    return type(x).__module__ == "cupy"


def _is_of_numpy(x: object) -> bool:
    return type(x).__module__.startswith("numpy")


def _kind(x: object) -> str:
    return f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")


def device(x: Array) -> Any:
    """Return the device of an array, None where what is made beside it must not be told one.

    What JAX calls the device of an array on several of them is how that array is spread over them,
    which suits no array of another shape. And what is not bound to a device goes wherever it is
    needed, which what is made for a device does not.
    """
    if is_tensor(x):
        return x.device
    if type(x) in _found:
        return "cpu"
    found = _device(x)
    if found is None or hasattr(found, "device_set") or not getattr(x, "committed", True):
        return None
    return found


def is_bool(xp: Namespace, dtype: DType) -> bool:
    """Return whether `dtype` is the boolean one."""
    return bool(dtype == xp.bool)


def is_integer(xp: Namespace, dtype: DType) -> bool:
    """Return whether `dtype` is an integer one, of any width."""
    if _is_label(xp, dtype):
        return True
    return not _is_wide(xp, dtype) and not _is_bfloat16(dtype) and _is(xp, dtype, "integral")


def is_real_floating(xp: Namespace, dtype: DType) -> bool:
    """Return whether `dtype` is real floating, bfloat16 included."""
    if _is_wide(xp, dtype):
        return True
    if _is_label(xp, dtype) or is_bool(xp, dtype):
        return False
    return _is_bfloat16(dtype) or _is(xp, dtype, "real floating")


def _is(xp: Namespace, dtype: DType, kind: str) -> bool:
    """Return whether `dtype` is of a kind of the standard; NumPy raises on those of ml_dtypes."""
    try:
        return bool(xp.isdtype(dtype, kind))
    except TypeError:
        return False


# The dtypes that are common are told without spelling their names, which takes long.


def _is_wide(xp: Namespace, dtype: DType) -> bool:
    return bool(dtype == xp.float32) or bool(dtype == xp.float64)


def _is_label(xp: Namespace, dtype: DType) -> bool:
    return bool(dtype == xp.int64) or bool(dtype == xp.uint8) or bool(dtype == xp.int32)


def _is_bfloat16(dtype: DType) -> bool:
    # bfloat16 is outside the standard.
    return str(dtype).rpartition(".")[2] == "bfloat16"


def compute_dtype(xp: Namespace, dtype: DType) -> DType:
    """Return the dtype to compute in: float32 for half precision, else `dtype` itself.

    In the byte order of the machine: some functions of NumPy know no other.
    """
    if _is_wide(xp, dtype):
        return dtype
    if _is_bfloat16(dtype) or xp.finfo(dtype).bits < xp.finfo(xp.float32).bits:
        return xp.float32
    return dtype if getattr(dtype, "isnative", True) else dtype.newbyteorder("=")


def wide_dtype(xp: Namespace, dtype: DType, on: Any) -> DType:
    """Return the widest floating dtype of device `on`, to add up sums in."""
    if is_torch_namespace(xp) and on.type in _TORCH_FLOAT64:
        return xp.float64
    if is_torch_namespace(xp) and on.type == "xpu":  # It makes arrays that no kernel takes.
        return xp.float64 if xp.xpu.get_device_properties(on).has_fp64 else dtype
    found = xp.__array_namespace_info__().dtypes(device=on, kind="real floating")
    return found.get("float64", dtype)


# Of other devices PyTorch says it by an error where an array is made: that of MPS has no float64.
_TORCH_FLOAT64 = frozenset({"cpu", "cuda", "meta"})


def index_dtype(xp: Namespace, on: Any) -> DType:
    """Return the dtype with which device `on` indexes."""
    if is_numpy_namespace(xp):
        return xp.dtype(xp.intp)
    return xp.__array_namespace_info__().default_dtypes(device=on)["indexing"]


def default_dtype(xp: Namespace, on: Any) -> DType:
    """Return the default real floating dtype of device `on`."""
    return xp.__array_namespace_info__().default_dtypes(device=on)["real floating"]


def number_of(classes: Any) -> int:
    """Return the length of an axis of classes as a number: torch.jit.trace has a tensor there."""
    return int(classes) if is_tensor(classes) else classes


def cumulative_sum(xp: Namespace, x: Array, dtype: DType = None) -> Array:
    """Return the sums of `x` up to each place of its last axis."""
    if is_torch_namespace(xp):  # array_api_compat's asks for the namespace of `x`.
        return xp.cumsum(x, -1, dtype=dtype)
    return xp.cumulative_sum(x, axis=-1, dtype=dtype)


def near_constant(xp: Namespace, x: Array) -> Array:
    """Return a number at most 1 below `x` through which no derivative goes.

    floor is flat, which the compiler of JAX makes use of. That of PyTorch would go all the way back
    and multiply by 0.
    """
    return x.detach() if is_torch_namespace(xp) else xp.floor(x)


def smallest_divisor(xp: Namespace, dtype: DType) -> float:
    """Return the smallest number whose inverse does not overflow."""
    # Twice the smallest normal number; asking NumPy for it would take longer than what uses it.
    return 2.0**-125 if dtype == xp.float32 else 2.0**-1021


def is_tiny(xp: Namespace, x: Array) -> Array:
    """Return where a number is 0, or so small that it is no divisor: its inverse may overflow."""
    return xp.abs(x) < smallest_divisor(xp, x.dtype)


def times(factor: float, x: Array) -> Array:
    """Return `x` times a number; 1 takes no operation."""
    return x if factor == 1.0 else factor * x


def plus(x: Array, number: float) -> Array:
    """Return `x` plus a number; 0 takes no operation."""
    return x if number == 0.0 else x + number


def kept_within(xp: Namespace, x: Array, low: float, high: float | None = None) -> Array:
    """Return `x`, or the nearer of two numbers where it is not between them; NaN stays NaN."""
    if is_torch_namespace(xp):
        return xp.clip(x, min=low, max=high)
    # That of array_api_compat picks elements by a mask: CuPy waits for it, and NumPy takes longer.
    x = xp.where(x < low, low, x)
    return x if high is None else xp.where(x > high, high, x)


def quotient(xp: Namespace, x: Array, y: Array) -> Array:
    """Return `x` / `y`, `y` not 0, whose derivatives are numbers wherever they are so themselves.

    Frameworks divide by the square of `y` there, and in a second derivative by its cube, which may
    be no number: so both are first measured by a constant near `y`.
    """
    if is_torch_namespace(xp):
        unit = near_constant(xp, y)
        return (x / unit) / (y / unit)
    if not is_jax_namespace(xp):
        return x / y
    # By a product: XLA makes one quotient of quotients, and divides by the square of `y` again.
    highest = 0.9 * math.log(xp.finfo(y.dtype).max)
    exponent = xp.clip(xp.floor(-xp.log(xp.abs(y))), -highest, highest)  # floor is flat
    inverse_unit = xp.exp(exponent)
    return (x * inverse_unit) / (y * inverse_unit)


def inverse(xp: Namespace, y: Array) -> Array:
    """Return 1 / `y` for positive `y`, whose derivative is multiplied up in steps.

    In one step PyTorch would multiply by 1 / `y` / `y`, which may be no number.
    """
    if not is_torch_namespace(xp):
        return quotient(xp, xp.ones_like(y), y)
    unit = near_constant(xp, y)
    return (1.0 / unit) / (y / unit)


def sum_pixels(xp: Namespace, x: Array, *, per_image: bool) -> Array:
    """Return the sums over pixels of an array (images, n, pixels): (1, n), or (images, n)."""
    # With its dtype: array-api-strict widens sums of integers also where the device has no int64.
    if per_image:
        return xp.sum(x, axis=2, dtype=x.dtype)
    return xp.sum(x, axis=(0, 2), dtype=x.dtype)[None, :]

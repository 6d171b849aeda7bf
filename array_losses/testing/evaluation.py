"""Value and gradient of a function on one backend, in every way that the framework offers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from array_losses.losses.base import Criterion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from array_losses.testing.backends import Backend
    from array_losses.testing.framework import Framework

__all__ = ["Evaluation", "Result", "called", "evaluate", "is_loss", "rounded", "wide"]

Way: TypeAlias = "Callable[[], tuple[Any, Any]]"


@dataclass(frozen=True)
class Result:
    """A value, its gradient if there is one, and what is wrong with their kind."""

    value: np.ndarray
    value_dtype: str
    gradient: np.ndarray | None
    problem: str | None


@dataclass(frozen=True)
class Evaluation:
    """The results on one backend, and how long the first of the ways takes once it is warm."""

    results: tuple[Result, ...]
    milliseconds: float


def is_loss(function: Any) -> bool:
    """Return whether `function` is a loss: it knows its own gradient."""
    return hasattr(function, "value_and_grad")


def wide(dtype: str) -> str:
    """Return the dtype in which a loss computes: float32 for half precision."""
    return "float64" if dtype == "float64" else "float32"


def rounded(inputs: Sequence[np.ndarray], dtype: str, held: str) -> tuple[np.ndarray, ...]:
    """Return the inputs, the floating ones rounded to `dtype` and held in the dtype `held`."""
    return tuple(
        _round(array, dtype).astype(held) if array.dtype.kind == "f" else array
        for array in map(np.asarray, inputs)
    )


def _round(array: np.ndarray, dtype: str) -> np.ndarray:
    if dtype != "bfloat16":
        return array.astype(dtype)
    # bfloat16 is the upper half of float32, rounded to nearest, ties to even.
    single = array.astype(np.float32)
    bits = single.view(np.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(single), nearest.view(np.float32), single)


def evaluate(function: Any, inputs: Sequence[np.ndarray], backend: Backend) -> Evaluation:
    """Evaluate the function on a backend.

    A loss is asked for ``value_and_grad``, and called as well: where the framework has automatic
    differentiation, through that, and a loss of this library through the framework's transformation
    of functions too, which traces the plain formula. A framework that compiles is asked once,
    because it would compile each way anew.
    """
    framework = backend.framework
    with framework.precision(backend.dtype):
        arrays = [_put(array, backend) for array in map(np.asarray, inputs)]
        ways = _ways(function, framework, arrays)
        results = tuple(_result(function, framework, backend, way()) for way in ways)
        start = time.perf_counter()
        for array in ways[0]():
            if array is not None:
                framework.wait(array)
        milliseconds = 1e3 * (time.perf_counter() - start)
    return Evaluation(results, milliseconds)


def _put(array: np.ndarray, backend: Backend) -> Any:
    dtype = backend.dtype if array.dtype.kind == "f" else None
    return backend.framework.asarray(array, dtype, backend.device)


def _ways(function: Any, framework: Framework, arrays: list[Any]) -> list[Way]:
    def call(*args: Any) -> Any:
        return called(function, args)

    def closed_form() -> tuple[Any, Any]:
        return called(function.value_and_grad, arrays)

    def plain() -> tuple[Any, Any]:
        return call(*arrays), None

    automatic: list[Way] = [partial(way, call, arrays) for way in framework.differentiators()]
    if getattr(function, "reduction", None) == "none":
        return [plain]
    if not is_loss(function):
        return automatic[:1] or [plain]
    if framework.compiles:
        return [closed_form]
    if not isinstance(function, Criterion):
        automatic = automatic[:1]
    return [closed_form, *(automatic or [plain])]


def called(function: Any, arrays: Sequence[Any]) -> Any:
    """Call a function with its arrays; a loss's third array is its pixel weights."""
    owner = getattr(function, "__self__", function)
    if is_loss(owner) and len(arrays) == 3:
        return function(*arrays[:2], pixel_weights=arrays[2])
    return function(*arrays)


def _result(function: Any, framework: Framework, backend: Backend, pair: tuple[Any, Any]) -> Result:
    value, gradient = pair
    problem = _problem(framework, backend, pair) if is_loss(function) else None
    return Result(
        value=framework.to_numpy(value),
        value_dtype=_dtype_name(value),
        gradient=None if gradient is None else framework.to_numpy(gradient),
        problem=problem,
    )


def _problem(framework: Framework, backend: Backend, pair: tuple[Any, Any]) -> str | None:
    """Return what a loss promises about library, device and dtype and did not keep."""
    expected = (wide(backend.dtype), backend.dtype)
    for name, array, dtype in zip(("value", "gradient"), pair, expected, strict=True):
        if array is None:
            continue
        if not framework.owns(array):
            return f"the {name} is a {type(array).__name__}, not an array of {framework.name}"
        if framework.device_of(array) != backend.device:
            return f"the {name} is on {framework.device_of(array)}"
        if _dtype_name(array) != dtype:
            return f"the {name} is {_dtype_name(array)}, not {dtype}"
    return None


def _dtype_name(array: Any) -> str:
    return str(array.dtype).rpartition(".")[2]

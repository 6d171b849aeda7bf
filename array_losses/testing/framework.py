"""The known frameworks, and what of each is found here: devices, dtypes, arrays to and fro.

A framework is imported when it is looked for, never before.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

__all__ = ["KNOWN_DEVICES", "KNOWN_DTYPES", "Framework", "UnavailableError", "frameworks", "named"]

Differentiator: TypeAlias = "Callable[[Callable[..., Any], Sequence[Any]], tuple[Any, Any]]"

KNOWN_DEVICES = ("cpu", "cuda")
KNOWN_DTYPES = ("float64", "float32", "float16", "bfloat16")


class UnavailableError(RuntimeError):
    """A framework, device or dtype that was asked for is not on this machine."""


class Framework(ABC):
    """One array library found on this machine, with its devices and floating dtypes.

    Attributes
    ----------
    name : str
        ``"numpy"``, ``"strict"`` (array-api-strict), ``"torch"``, ``"jax"`` or ``"cupy"``.
    version : str
        The version that is installed.
    devices : tuple of str
        ``"cpu"``, ``"cuda"`` or both. ``"cuda"`` is the first GPU.
    dtypes : tuple of str
        The floating dtypes, widest first.
    compiles : bool
        Whether the first call of a loss compiles it.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    extras: ClassVar[tuple[str, ...]]  # each of them installs it
    dtypes: tuple[str, ...]
    compiles: ClassVar[bool] = False

    def __init__(self) -> None:
        self.library: Any = importlib.import_module(self.module)
        self.version: str = self.library.__version__
        self.devices: tuple[str, ...] = self._find_devices()

    def __repr__(self) -> str:
        return f"<{self.name} {self.version}: {', '.join(self.devices)}; {', '.join(self.dtypes)}>"

    @classmethod
    def installed(cls) -> bool:
        """Return whether the package is installed, without importing it."""
        return importlib.util.find_spec(cls.module) is not None

    @abstractmethod
    def asarray(self, array: np.ndarray, dtype: str | None = None, device: str = "cpu") -> Any:
        """Return a copy of a NumPy array as this framework's array.

        Parameters
        ----------
        array : numpy.ndarray
            What to copy.
        dtype : str, optional
            The name of a floating dtype of this framework; without it the dtype stays.
        device : str, optional
            One of `devices`.

        Returns
        -------
        array
            This framework's array on the device.
        """

    @abstractmethod
    def to_numpy(self, array: Any) -> np.ndarray:
        """Return a NumPy copy of this framework's array; a bfloat16 one comes as float32."""

    @abstractmethod
    def owns(self, array: Any) -> bool:
        """Return whether `array` is this framework's."""

    def device_of(self, array: Any) -> str:
        """Return on which of `devices` an array lies."""
        return "cpu"

    def wait(self, array: Any) -> None:  # noqa: B027  there is nothing to wait for on a CPU
        """Wait until an array of this framework is computed."""

    def differentiators(self) -> tuple[Differentiator, ...]:
        """Return the ways to differentiate: as one calls them, then as one traces functions."""
        return ()

    def precision(self, dtype: str) -> AbstractContextManager[Any]:
        """Return the context in which arrays of this dtype can exist."""
        return contextlib.nullcontext()

    @abstractmethod
    def _find_devices(self) -> tuple[str, ...]: ...


class _NumPy(Framework):
    name = "numpy"
    module = "numpy"
    extras = ("numpy",)
    dtypes = ("float64", "float32", "float16")

    def asarray(self, array: np.ndarray, dtype: str | None = None, device: str = "cpu") -> Any:
        del device
        return np.array(array, dtype=dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.array(array)

    def owns(self, array: Any) -> bool:
        return isinstance(array, (np.ndarray, np.generic))

    def _find_devices(self) -> tuple[str, ...]:
        return ("cpu",)


class _Strict(Framework):
    name = "strict"
    module = "array_api_strict"
    extras = ("crosscheck",)
    dtypes = ("float64", "float32")

    def asarray(self, array: np.ndarray, dtype: str | None = None, device: str = "cpu") -> Any:
        on = self.library.Device("CPU_DEVICE")
        return self.library.asarray(np.array(array, dtype=dtype), device=on)

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.array(array)

    def owns(self, array: Any) -> bool:
        return type(array).__module__.partition(".")[0] == self.module

    def _find_devices(self) -> tuple[str, ...]:
        return ("cpu",)


class _Torch(Framework):
    name = "torch"
    module = "torch"
    extras = ("torch",)
    dtypes = KNOWN_DTYPES

    def asarray(self, array: np.ndarray, dtype: str | None = None, device: str = "cpu") -> Any:
        to = None if dtype is None else getattr(self.library, dtype)
        return self.library.tensor(array, dtype=to, device=device)

    def to_numpy(self, array: Any) -> np.ndarray:
        if array.dtype == self.library.bfloat16:
            array = array.to(self.library.float32)
        return np.array(array.detach().cpu().numpy())

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.library.Tensor)

    def device_of(self, array: Any) -> str:
        return str(array.device.type)

    def wait(self, array: Any) -> None:
        if array.is_cuda:
            self.library.cuda.synchronize(array.device)

    def differentiators(self) -> tuple[Differentiator, ...]:
        return self._backward, self._transform

    def _backward(self, function: Callable[..., Any], arrays: Sequence[Any]) -> tuple[Any, Any]:
        first = arrays[0].detach().clone().requires_grad_()
        value = function(first, *arrays[1:])
        value.backward()
        return value, self.library.zeros_like(first) if first.grad is None else first.grad

    def _transform(self, function: Callable[..., Any], arrays: Sequence[Any]) -> tuple[Any, Any]:
        gradient, value = self.library.func.grad_and_value(function)(*arrays)
        return value, gradient

    def _find_devices(self) -> tuple[str, ...]:
        return KNOWN_DEVICES if self.library.cuda.is_available() else ("cpu",)


class _Jax(Framework):
    name = "jax"
    module = "jax"
    extras = ("jax",)
    dtypes = KNOWN_DTYPES
    compiles = True

    def asarray(self, array: np.ndarray, dtype: str | None = None, device: str = "cpu") -> Any:
        to = array.dtype if dtype is None else np.dtype(getattr(self.library.numpy, dtype))
        return self.library.device_put(np.array(array).astype(to), self._device(device))

    def to_numpy(self, array: Any) -> np.ndarray:
        if array.dtype == self.library.numpy.bfloat16:
            array = array.astype(np.float32)
        return np.array(array)

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.library.Array)

    def device_of(self, array: Any) -> str:
        (device,) = array.devices()
        return "cpu" if device.platform == "cpu" else "cuda"

    def wait(self, array: Any) -> None:
        array.block_until_ready()

    def differentiators(self) -> tuple[Differentiator, ...]:
        return (self._value_and_grad,)

    def _value_and_grad(
        self, function: Callable[..., Any], arrays: Sequence[Any]
    ) -> tuple[Any, Any]:
        value, gradient = self.library.value_and_grad(function)(*arrays)
        return value, gradient

    def precision(self, dtype: str) -> AbstractContextManager[Any]:
        if dtype != "float64":
            return contextlib.nullcontext()
        if hasattr(self.library, "enable_x64"):
            return self.library.enable_x64(True)
        return importlib.import_module("jax.experimental").enable_x64()

    def _device(self, name: str) -> Any:
        return self.library.devices("gpu" if name == "cuda" else name)[0]

    def _find_devices(self) -> tuple[str, ...]:
        return tuple(name for name in KNOWN_DEVICES if self._has(name))

    def _has(self, name: str) -> bool:
        try:
            self._device(name)
        except RuntimeError:  # JAX's way to say that there is none
            return False
        return True


class _CuPy(Framework):
    name = "cupy"
    module = "cupy"
    extras = ("cupy-cuda12x", "cupy-cuda13x")
    dtypes: tuple[str, ...] = ("float64", "float32", "float16")

    def __init__(self) -> None:
        super().__init__()
        if int(self.version.partition(".")[0]) >= 14 and importlib.util.find_spec("ml_dtypes"):
            self.dtypes = KNOWN_DTYPES

    def asarray(self, array: np.ndarray, dtype: str | None = None, device: str = "cuda") -> Any:
        del device
        if dtype == "bfloat16":
            array, dtype = array.astype(importlib.import_module("ml_dtypes").bfloat16), None
        return self.library.array(array, dtype=dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        if str(array.dtype) == "bfloat16":
            array = array.astype(np.float32)
        return self.library.asnumpy(array)

    def owns(self, array: Any) -> bool:
        return isinstance(array, self.library.ndarray)

    def device_of(self, array: Any) -> str:
        return "cuda"

    def wait(self, array: Any) -> None:
        array.device.synchronize()

    def _find_devices(self) -> tuple[str, ...]:
        return ("cuda",) if self.library.cuda.is_available() else ()


_KNOWN: tuple[type[Framework], ...] = (_NumPy, _Strict, _Torch, _Jax, _CuPy)


def frameworks() -> tuple[Framework, ...]:
    """Return the frameworks found on this machine, with their devices and dtypes.

    Returns
    -------
    tuple of Framework
        Those of NumPy, array-api-strict, PyTorch, JAX and CuPy that are installed and have a
        device. All of them are imported. One that is installed and broken is left out with a
        warning.

    Examples
    --------
    >>> from array_losses.testing import frameworks
    >>> numpy = frameworks()[0]
    >>> numpy.name, numpy.devices, numpy.dtypes
    ('numpy', ('cpu',), ('float64', 'float32', 'float16'))
    """
    found = []
    for kind in _KNOWN:
        if not kind.installed():
            continue
        try:
            found.append(kind())
        except ImportError as error:
            warnings.warn(f"{kind.name} is installed but broken: {error}", stacklevel=2)
    return tuple(framework for framework in found if framework.devices)


def named(name: str) -> Framework:
    """Return one framework by its name, or raise an UnavailableError that says what is wrong."""
    for kind in _KNOWN:
        if name in {kind.name, kind.module, kind.module.replace("_", "-")}:
            return _found(kind)
    known = ", ".join(kind.name for kind in _KNOWN)
    msg = f"`frameworks` must be among {known}; got {name!r}."
    raise UnavailableError(msg)


def _found(kind: type[Framework]) -> Framework:
    if not kind.installed():
        how = " or ".join(f'pip install ".[{extra}]"' for extra in kind.extras)
        msg = f"{kind.name} is not installed; run, in a clone of array_losses: {how}"
        raise UnavailableError(msg)
    try:
        framework = kind()
    except ImportError as error:
        msg = f"{kind.name} is installed but broken: {error}"
        raise UnavailableError(msg) from error
    if not framework.devices:
        msg = f"{kind.name} {framework.version} is installed but finds no device."
        raise UnavailableError(msg)
    return framework

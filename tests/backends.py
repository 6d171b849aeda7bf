"""The backends that the tests run on: array libraries, with their devices and modes."""

import importlib
import os
import sys
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from array_losses.core.engine import Evaluation
from array_losses.core.protocol import Call
from array_losses.frameworks import library_of


def on_a_device(terms, logits, target, pixel_weights=None):
    """Return the evaluation of arrays whose values are not inspected, as on a GPU."""
    lib = library_of(logits)
    return Evaluation(lib, Call(terms, logits, target, pixel_weights), can_inspect=False)


class MissingBackendError(RuntimeError):
    """A backend cannot be used here; the message says why."""


@dataclass(frozen=True)
class Backend:
    """One array library, on one device, in one mode."""

    name: str
    module: str = "numpy"
    dtypes: tuple[str, ...] = ("float64", "float32")
    half_dtypes: tuple[str, ...] = ("float16",)
    index_dtype: str = "int64"
    on_gpu: bool = False
    cases: str = "CASES"  # the list of tests/cases.py to compute

    @property
    def library(self):
        """The module that a user imports."""
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            raise MissingBackendError(str(error)) from error

    @property
    def xp(self):
        """The namespace of the standard's functions."""
        if self.module == "jax":
            return self.library.numpy
        if self.module in {"numpy", "torch", "cupy"}:
            return importlib.import_module(f"array_api_compat.{self.module}")
        return self.library

    @property
    def device(self):
        """Where the arrays are."""
        return "cpu"

    @property
    def can_inspect(self):
        """Whether bad values are an error; where they cannot be inspected, they give NaN."""
        return not self.on_gpu

    def check(self):
        """Raise if the library or the device is missing."""
        _ = self.library

    def mode(self) -> AbstractContextManager:
        """Return a context in which the library is in the backend's mode."""
        return nullcontext()

    def asarray(self, array, dtype=None):
        """Copy a NumPy array to the library and device; `dtype` is a name, for floats only.

        Without it floats and bools stay as they are. Integers too, but int64 is `index_dtype`.
        """
        array = np.asarray(array)
        name = array.dtype.name
        if np.issubdtype(array.dtype, np.floating):
            name = dtype or name
        elif name == "int64":
            name = self.index_dtype
        return self._asarray(array, name)

    def _asarray(self, array, name):
        return np.array(array, dtype=name)

    def inputs(self, data, dtype):
        """Return logits, target and pixel weights of a recipe of the case table."""
        return self.on(data.build(dtype), dtype)

    def on(self, arrays, dtype=None):
        """Copy several NumPy arrays, or None."""
        return [None if array is None else self.asarray(array, dtype) for array in arrays]

    def to_numpy(self, x):
        """Copy to NumPy; bfloat16, which NumPy has not, becomes float32."""
        return np.array(x)

    def dtype_of(self, x):
        """Name of the dtype."""
        return str(x.dtype)

    def owns(self, x):
        """Whether the array is of this library and on this device."""
        return isinstance(x, np.ndarray | np.generic)

    def check_bad_values(self, match, function, *arrays, **options):
        """Check that a call is the ValueError that `match` describes, or gives NaN on a GPU."""
        if self.can_inspect:
            with pytest.raises(ValueError, match=match):
                function(*arrays, **options)
            return
        found = function(*arrays, **options)
        value = found[0] if isinstance(found, tuple) else found
        assert np.any(np.isnan(self.to_numpy(value)))


class ReadOnlyNumpyBackend(Backend):
    """NumPy arrays that nobody can write to."""

    def _asarray(self, array, name):
        array = super()._asarray(array, name)
        array.flags.writeable = False
        return array


@dataclass(frozen=True)
class StrictBackend(Backend):
    """array-api-strict, which has what the standard has and no more."""

    module: str = "array_api_strict"
    half_dtypes: tuple[str, ...] = ()
    device_name: str = "CPU_DEVICE"
    flags: tuple[tuple[str, object], ...] = ()

    @property
    def device(self):
        return self.library.Device(self.device_name)

    def mode(self):
        return self.library.ArrayAPIStrictFlags(**dict(self.flags))

    def _asarray(self, array, name):
        dtype = getattr(self.library, name)
        return self.library.asarray(np.array(array, dtype=name), dtype=dtype, device=self.device)

    def to_numpy(self, x):
        return np.array(x.to_device(self.library.Device("CPU_DEVICE")))

    def dtype_of(self, x):
        return str(x.dtype).rpartition(".")[2]

    def owns(self, x):
        return type(x).__module__.startswith("array_api_strict") and x.device == self.device


@dataclass(frozen=True)
class TorchBackend(Backend):
    """PyTorch."""

    module: str = "torch"
    half_dtypes: tuple[str, ...] = ("float16", "bfloat16")
    default_dtype: str = "float32"

    @property
    def device(self):
        return self.library.device("cuda:0" if self.on_gpu else "cpu")

    def check(self):
        super().check()
        if self.on_gpu and not self.library.cuda.is_available():
            msg = "PyTorch finds no CUDA device"
            raise MissingBackendError(msg)

    @contextmanager
    def mode(self):
        torch = self.library
        before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, self.default_dtype))
        try:
            yield
        finally:
            torch.set_default_dtype(before)

    def _asarray(self, array, name):
        # A copy in C order: PyTorch takes no negative strides and warns of read-only memory.
        tensor = self.library.from_numpy(np.array(array, order="C"))
        return tensor.to(device=self.device, dtype=getattr(self.library, name))

    def to_numpy(self, x):
        x = x.detach().cpu()
        return (x.float() if x.dtype == self.library.bfloat16 else x).numpy().copy()

    def dtype_of(self, x):
        return str(x.dtype).removeprefix("torch.")

    def owns(self, x):
        return isinstance(x, self.library.Tensor) and x.device == self.device


def _never(*arrays):
    return False


class TorchAsCudaBackend(TorchBackend):
    """CPU tensors that the library treats as it treats those of a GPU."""

    @property
    def can_inspect(self):
        return False

    @contextmanager
    def mode(self):
        with ExitStack() as stack:
            for name in ("torch_autograd", "torch"):  # what imports the name comes first
                where = f"array_losses.frameworks.{name}.in_cpu_memory"
                # Not a mock, which would keep the arrays that it is called with.
                stack.enter_context(mock.patch(where, _never))
            yield stack.enter_context(super().mode())


@dataclass(frozen=True)
class JaxBackend(Backend):
    """JAX."""

    module: str = "jax"
    dtypes: tuple[str, ...] = ("float32",)
    half_dtypes: tuple[str, ...] = ("float16", "bfloat16")
    index_dtype: str = "int32"
    cases: str = "COVER"  # each is compiled
    x64: bool = False
    strict_promotion: bool = False

    @property
    def device(self):
        return self.library.devices("cuda" if self.on_gpu else "cpu")[0]

    def check(self):
        super().check()
        try:
            _ = self.device
        except RuntimeError as error:
            raise MissingBackendError(str(error)) from error

    @contextmanager
    def mode(self):
        with ExitStack() as stack:
            # Public since 0.8; before, it was in jax.experimental.
            has_it = hasattr(self.library, "enable_x64")
            module = self.library if has_it else importlib.import_module("jax.experimental")
            stack.enter_context(module.enable_x64(self.x64))
            if self.strict_promotion:
                stack.enter_context(self.library.numpy_dtype_promotion("strict"))
                stack.enter_context(self.library.numpy_rank_promotion("raise"))
            yield

    def _asarray(self, array, name):
        array = self.library.device_put(np.asarray(array), self.device)
        return array.astype(name)

    def to_numpy(self, x):
        return np.array(x.astype("float32") if self.dtype_of(x) == "bfloat16" else x)

    def owns(self, x):
        return isinstance(x, self.library.Array) and x.device == self.device


class CupyBackend(Backend):
    """CuPy."""

    @property
    def device(self):
        return self.library.cuda.Device(0)

    def check(self):
        super().check()
        try:
            self.library.cuda.runtime.getDeviceCount()
        except self.library.cuda.runtime.CUDARuntimeError as error:
            msg = f"CuPy finds no CUDA device: {error}"
            raise MissingBackendError(msg) from error

    def _asarray(self, array, name):
        is_known = name != "bfloat16"
        dtype = name if is_known else importlib.import_module("ml_dtypes").bfloat16
        return self.library.asarray(np.array(array, dtype=dtype))

    def to_numpy(self, x):
        return self.library.asnumpy(x.astype("float32") if self.dtype_of(x) == "bfloat16" else x)

    def owns(self, x):
        return isinstance(x, self.library.ndarray) and x.device == self.device


@dataclass(frozen=True)
class CupyStandInBackend(CupyBackend):
    """A stand-in for CuPy on NumPy, tests/cupy_stand_in: an error where CuPy's would wait."""

    @property
    def library(self):
        folder = str(Path(__file__).with_name("cupy_stand_in"))
        if folder not in sys.path:
            sys.path.insert(0, folder)
        found = super().library
        if not hasattr(found, "_counts"):
            msg = "CuPy itself was imported before its stand-in"
            raise MissingBackendError(msg)
        return found


STRICTEST = (
    ("api_version", "2024.12"),
    ("boolean_indexing", False),
    ("data_dependent_shapes", False),
    ("enabled_extensions", ()),
)
FLOAT32 = ("float32",)

BACKENDS = {
    backend.name: backend
    for backend in (
        Backend("numpy"),
        ReadOnlyNumpyBackend("numpy-readonly"),
        StrictBackend("strict-2024", flags=(("api_version", "2024.12"),)),
        StrictBackend("strict-2025", flags=(("api_version", "2025.12"),)),
        StrictBackend("strictest", flags=STRICTEST),
        StrictBackend("strict-device1", device_name="device1"),
        StrictBackend("strict-device2", device_name="device2"),
        StrictBackend("strict-no_float64", device_name="no_float64", dtypes=FLOAT32),
        StrictBackend("strict-no_x64", device_name="no_x64", dtypes=FLOAT32, index_dtype="int32"),
        TorchBackend("torch"),
        TorchBackend("torch-float64-default", dtypes=FLOAT32, default_dtype="float64"),
        TorchAsCudaBackend("torch-as-cuda", cases="COVER"),
        JaxBackend("jax"),
        JaxBackend("jax-x64", dtypes=("float64",), half_dtypes=(), index_dtype="int64", x64=True),
        JaxBackend(
            "jax-strict-promotion",
            dtypes=("float64",),
            half_dtypes=(),
            index_dtype="int64",
            cases="NONE",  # promotion shows when functions are traced: tests/losses/test_values.py
            x64=True,
            strict_promotion=True,
        ),
        TorchBackend("torch-cuda", on_gpu=True),
        JaxBackend("jax-cuda", on_gpu=True),
        CupyBackend("cupy", module="cupy", half_dtypes=("float16", "bfloat16"), on_gpu=True),
        CupyStandInBackend(
            "cupy-stand-in", module="cupy", half_dtypes=("float16", "bfloat16"), on_gpu=True
        ),
    )
}
# Chosen by name only: there is one `cupy` in a process.
ALONE = ("cupy-stand-in",)
GROUPS = {
    "all": tuple(name for name in BACKENDS if name not in ALONE),
    "cpu": tuple(name for name, backend in BACKENDS.items() if not backend.on_gpu),
    "gpu": tuple(n for n, backend in BACKENDS.items() if backend.on_gpu and n not in ALONE),
}
# Of several modes of a library, the one for tests that need only one; else it is the first.
PREFERRED = ("jax-x64",)
# One of each library that runs the engine.
EAGER = ("numpy", "strictest", "torch", "torch-as-cuda", "torch-cuda", "cupy", "cupy-stand-in")
VARIABLE = "ARRAY_LOSSES_BACKENDS"


def requested():
    """Return the names in the environment variable, or None if it says nothing."""
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    if not names:
        return None
    unknown = [name for name in names if name not in BACKENDS and name not in GROUPS]
    if unknown:
        msg = f"{VARIABLE} names unknown backends {unknown}; there are {[*BACKENDS, *GROUPS]}"
        raise ValueError(msg)
    chosen = {member for name in names for member in GROUPS.get(name, (name,))}
    return [name for name in BACKENDS if name in chosen]


def select():
    """Return the backends to use, and why others are not, by name.

    What the environment variable asks for must be there; without it, every CPU backend that is
    installed is used.
    """
    names = requested()
    found, missing = [], {}
    for name in GROUPS["cpu"] if names is None else names:
        try:
            BACKENDS[name].check()
        except MissingBackendError as error:
            missing[name] = str(error)
        else:
            found.append(BACKENDS[name])
    if names is not None and missing:
        msg = f"{VARIABLE} asks for backends that are missing: {missing}"
        raise MissingBackendError(msg)
    return found, missing


def one_per_library(backends):
    """Return the backends for tests that are about losses more than about libraries' modes."""
    chosen = {}
    for backend in backends:
        key = backend.module, backend.on_gpu, backend.can_inspect
        if key not in chosen or backend.name in PREFERRED:
            chosen[key] = backend
    return list(chosen.values())

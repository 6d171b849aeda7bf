"""What the tests of this folder ask of a GPU, under each library; and the same rehearsed on a CPU.

A rehearsal runs the body of each test on CPU arrays that the library treats as a GPU's. Only what
CUDA does is replaced, each time by what comes closest on a CPU.
"""

import gc
from contextlib import ExitStack, contextmanager, nullcontext
from unittest import mock

import pytest


class Device:
    """Steps on the arrays of a backend.

    Attributes
    ----------
    backend : as in tests/backends.py
    rehearsed : whether it is a CPU in place of a GPU
    """

    rehearsed = False

    def __init__(self, backend):
        self.backend = backend

    def __str__(self):
        return self.backend.name

    def on(self, arrays, dtype="float32"):
        """Copy NumPy arrays, or None, to the device."""
        return self.backend.on(arrays, dtype)

    def numbers(self, results):
        """Copy results to NumPy."""
        return [self.backend.to_numpy(x) for x in results]

    def step(self, loss, logits, target, weights=None):
        """Return the results of a training step: the loss and, if it is a number, its gradient."""
        if not is_scalar(loss):
            return (loss(logits, target, pixel_weights=weights),)
        return loss.value_and_grad(logits, target, pixel_weights=weights)


def is_scalar(loss):
    """Return whether a loss or a sum of losses is one number."""
    return all(one.reduction != "none" for _, one in loss.terms())


# --- PyTorch --------------------------------------------------------------------------------------


class TorchGpu(Device):
    """A GPU under PyTorch: steps go through autograd."""

    kind = "cuda"

    @property
    def torch(self):
        """The library."""
        return self.backend.library

    def step(self, loss, logits, target, weights=None):
        """Return the results of a training step: the loss, and the gradient of its sum."""
        z = logits.detach().requires_grad_()
        value = loss(z, target, pixel_weights=weights)
        (gradient,) = self.torch.autograd.grad(value.sum(), z)
        return value.detach(), gradient

    def without_waits(self, function):
        """Return what a second call gives, in which it is an error to wait for the device."""
        function()  # what is kept on the device is copied to it
        cuda = self.torch.cuda
        cuda.synchronize()
        cuda.set_sync_debug_mode("error")
        try:
            return function()
        finally:
            cuda.set_sync_debug_mode("default")

    def captured(self, function):
        """Return the results of a call as a CUDA graph, and what fills them anew."""
        cuda = self.torch.cuda
        with self.side_stream():
            for _ in range(2):
                function()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            results = function()

        def replay():
            graph.replay()
            cuda.synchronize()

        return results, replay

    @contextmanager
    def side_stream(self):
        """Work on a stream of its own, between what is before and after."""
        cuda = self.torch.cuda
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            yield
        cuda.current_stream().wait_stream(stream)

    @contextmanager
    def deterministic(self):
        """Let what PyTorch cannot repeat to the bit be its RuntimeError."""
        torch = self.torch
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(False)

    def peak(self, function):
        """Return the most memory that a call holds at one time, beyond what is there, in bytes."""
        cuda = self.torch.cuda
        function()
        gc.collect()
        cuda.synchronize()
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated()
        function()
        cuda.synchronize()
        return cuda.max_memory_allocated() - before

    @contextmanager
    def another(self):
        """Give a device that is not the current one."""
        if self.torch.cuda.device_count() < 2:
            pytest.skip("there is one GPU")
        yield self.torch.device("cuda:1")
        assert self.torch.cuda.current_device() == 0

    def moved(self, x, device):
        """Return a copy of an array on another device."""
        return None if x is None else x.to(device, copy=True)


# Of what steps may call, what PyTorch cannot repeat to the bit on a GPU, as the page of
# `use_deterministic_algorithms` says. A sum of integers has no order.
_UNREPEATABLE_OF_FLOATS = frozenset({"cumsum", "cumsum_", "put_", "histc", "median", "kthvalue"})
_UNREPEATABLE = frozenset({"bincount", "nll_loss2d_forward", "nll_loss2d_backward"})


class RehearsedTorch(TorchGpu):
    """CPU tensors in place of a GPU's: operators are watched where CUDA would refuse them."""

    rehearsed = True
    kind = "cpu"

    def without_waits(self, function):
        """Return what a second call gives, in which no operator may need values on the host."""
        from tests.devices.counting import Counted

        function()
        with self._watched(Counted()) as counted:
            results = function()
        assert not counted.waits
        return results

    def captured(self, function):
        """Return the results of a call without waits, and what fills them anew."""
        results = self.without_waits(function)

        def replay():
            for old, new in zip(results, function(), strict=True):
                old.copy_(new)

        return results, replay

    def side_stream(self):
        """Work as always: a CPU has one stream."""
        return nullcontext()

    @contextmanager
    def deterministic(self):
        """Let the operators that are known to be unrepeatable on a GPU be the RuntimeError."""
        with super().deterministic(), self._watched(self._refusing()):
            yield

    def _refusing(self):
        from torch.utils._python_dispatch import TorchDispatchMode

        class Refusing(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                result = func(*args, **(kwargs or {}))
                name = func.overloadpacket.__name__
                of_floats = name in _UNREPEATABLE_OF_FLOATS and result.is_floating_point()
                if of_floats or name in _UNREPEATABLE:
                    msg = f"{name} does not have a deterministic implementation"
                    raise RuntimeError(msg)
                return result

        return Refusing()

    @contextmanager
    def _watched(self, mode):
        """Work under a mode that sees every operator, and is not taken for a transform."""
        with ExitStack() as stack:
            for module in ("torch_autograd", "torch"):
                where = f"array_losses.frameworks.{module}.is_transformed"
                stack.enter_context(mock.patch(where, return_value=False))
            yield stack.enter_context(mode)

    def peak(self, function):
        """Return the most memory that the tensors made by a call hold at one time, in bytes."""
        from tests.devices.counting import Counted

        function()
        with self._watched(Counted()) as counted:
            function()
        return counted.peak

    def another(self):
        """Give the device that is there."""
        return nullcontext(self.backend.device)


# --- CuPy -----------------------------------------------------------------------------------------


class CupyGpu(Device):
    """A GPU under CuPy."""

    @property
    def cupy(self):
        """The library."""
        return self.backend.library

    def without_waits(self, function):
        """Return what a call gives whose stream is captured: to wait is then an error of CUDA."""
        return self.captured(function)[0]

    def captured(self, function):
        """Return the results of a call as a CUDA graph, and what fills them anew."""
        stream = self.cupy.cuda.Stream(non_blocking=True)
        self.cupy.cuda.get_current_stream().synchronize()
        with stream:
            for _ in range(2):  # kernels are compiled, memory is in the pool of the stream
                function()
            stream.synchronize()
            stream.begin_capture(self.cupy.cuda.runtime.streamCaptureModeRelaxed)
            try:
                results = function()
            finally:
                graph = stream.end_capture()

        def replay():
            self.cupy.cuda.Device().synchronize()  # what others write to the inputs is there
            graph.launch(stream)
            stream.synchronize()

        replay()
        return results, replay

    @contextmanager
    def side_stream(self):
        """Work on a stream of its own, between what is before and after."""
        self.cupy.cuda.get_current_stream().synchronize()
        with self.cupy.cuda.Stream(non_blocking=True) as stream:
            yield
            stream.synchronize()

    @contextmanager
    def another(self):
        """Give a device that is not the current one."""
        if self.cupy.cuda.runtime.getDeviceCount() < 2:
            pytest.skip("there is one GPU")
        yield self.cupy.cuda.Device(1)
        assert self.cupy.cuda.Device().id == 0

    def moved(self, x, device):
        """Return a copy of an array on another device."""
        if x is None:
            return None
        with device:
            return self.cupy.array(x)


class RehearsedCupy(CupyGpu):
    """NumPy arrays that the library does not inspect, in place of CuPy's."""

    rehearsed = True

    def without_waits(self, function):
        """Return what a call gives."""
        return function()

    def captured(self, function):
        """Return the results of a call, and what fills them anew."""
        results = [self.backend.xp.asarray(x) for x in function()]

        def replay():
            for old, new in zip(results, function(), strict=True):
                old[...] = new

        return results, replay

    def side_stream(self):
        """Work as always: a CPU has one stream."""
        return nullcontext()

    def another(self):
        """Give the device that is there."""
        return nullcontext(nullcontext())

    def moved(self, x, device):
        """Return a copy of an array."""
        return None if x is None else x.copy()


# --- JAX ------------------------------------------------------------------------------------------


class JaxGpu(Device):
    """A GPU under JAX; on a CPU nothing needs to be replaced."""

    def without_waits(self, function):
        """Return what a second call gives, in which nothing may pass from or to the host."""
        function()  # constants are copied to the device
        with self.backend.library.transfer_guard("disallow"):
            return function()


class RehearsedJax(JaxGpu):
    """JAX on the CPU, whose guard against transfers sees fewer of them."""

    rehearsed = True


DEVICES = {
    "torch-cuda": TorchGpu,
    "torch-as-cuda": RehearsedTorch,
    "cupy": CupyGpu,
    "cupy-stand-in": RehearsedCupy,
    "jax-cuda": JaxGpu,
    "jax": RehearsedJax,
}

"""The fixtures `gpu`, `engine_gpu`, `torch_gpu`, `jax_gpu`: the GPUs of a run, and rehearsals."""

import pytest

from tests.gpu.devices import DEVICES
from tests.gpu.losses import CASES

LIBRARIES = {
    "gpu": {"torch", "cupy", "jax"},
    "engine_gpu": {"torch", "cupy"},
    "torch_gpu": {"torch"},
    "jax_gpu": {"jax"},
}


def pytest_generate_tests(metafunc):
    """Run a test on each device; if it asks for a `case`, on every option, rehearsed on a few."""
    for name in LIBRARIES.keys() & set(metafunc.fixturenames):
        backends = metafunc.config.array_losses_backends
        there = [b for b in backends if b.name in DEVICES and b.module in LIBRARIES[name]] or [None]
        if "case" in metafunc.fixturenames:
            rows = [(backend, case) for backend in there for case in _cases(backend)]
            ids = [f"{_name(backend)}-{case.name}" for backend, case in rows]
            metafunc.parametrize([name, "case"], rows, indirect=[name], ids=ids)
        else:
            metafunc.parametrize(name, there, indirect=True, ids=map(_name, there))


def _cases(backend):
    rehearsed = backend is None or DEVICES[backend.name].rehearsed
    return CASES[::7] if rehearsed else CASES


def _name(backend):
    return "none" if backend is None else backend.name


def pytest_collection_modifyitems(config, items):
    """Leave out what has no device in this run."""
    there, left_out = [], []
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        nowhere = any(parameters.get(name, item) is None for name in LIBRARIES)
        (left_out if nowhere else there).append(item)
    items[:] = there
    config.hook.pytest_deselected(items=left_out)


def _device(request):
    with request.param.mode():
        yield DEVICES[request.param.name](request.param)


@pytest.fixture
def gpu(request):
    """Each device."""
    yield from _device(request)


@pytest.fixture
def engine_gpu(request):
    """Each device on which the engine runs, PyTorch's and CuPy's."""
    yield from _device(request)


@pytest.fixture
def torch_gpu(request):
    """Each device under PyTorch."""
    yield from _device(request)


@pytest.fixture
def jax_gpu(request):
    """Each device under JAX."""
    yield from _device(request)

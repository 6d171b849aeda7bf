"""The fixtures `backend`, `library`, `eager`, `torch`, `jax`, `cupy`: what the tests run on.

`ARRAY_LOSSES_BACKENDS` lists names of tests/backends.py, or `cpu`, `gpu`, `all`. A backend that is
asked for and missing ends the run; without the variable every CPU backend that is installed is
used.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from types import ModuleType

import pytest

from tests import cases
from tests.backends import (
    BACKENDS,
    EAGER,
    Backend,
    MissingBackendError,
    one_per_library,
    requested,
    select,
)


def pytest_configure(config: pytest.Config) -> None:
    try:
        names = requested() or ()
        # Before JAX is imported: it would look for accelerators by itself, and talk about it.
        platforms = "cuda,cpu" if "jax-cuda" in names else "cpu"
        os.environ.setdefault("JAX_PLATFORMS", platforms)
        config.array_losses_backends, config.array_losses_missing = select()
    except (ValueError, MissingBackendError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> list[str]:
    lines = ["backends: " + ", ".join(backend.name for backend in config.array_losses_backends)]
    lines += [f"  without {name}: {why}" for name, why in config.array_losses_missing.items()]
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each `backend`, or on one for each `library`, that is selected.

    Or on one for each that is `eager`, which runs the engine: JAX would only compile once more.
    If it asks for `dtype` or `half_dtype` too, then in each floating dtype of the backend, and if
    it asks for `case` or `scalar_case`, on the cases of tests/cases.py that the backend takes.
    """
    backends = metafunc.config.array_losses_backends
    if "library" in metafunc.fixturenames:
        name, backends = "library", one_per_library(backends)
    elif "eager" in metafunc.fixturenames:
        name, backends = "eager", [one for one in backends if one.name in EAGER]
    elif "cupy" in metafunc.fixturenames:
        name, backends = "cupy", [one for one in backends if one.name == "cupy-stand-in"]
    elif "backend" in metafunc.fixturenames:
        name = "backend"
    else:
        return
    known = ("dtype", "half_dtype", "case", "scalar_case")
    axes = [axis for axis in known if axis in metafunc.fixturenames]
    if not backends:  # what has nothing to run on is deselected below
        nothing = [(None, *(None for _ in axes))]
        metafunc.parametrize([name, *axes], nothing, indirect=[name], ids=["none"])
        return
    rows = [(b, *values) for b in backends for values in product(*(_along(b, a) for a in axes))]
    metafunc.parametrize(
        [name, *axes],
        [pytest.param(*row, marks=_marks(*row)) for row in rows],
        indirect=[name],
        ids=["-".join(getattr(one, "name", one) for one in row) for row in rows],
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what concerns no selected library only where NumPy is selected: once, not in each run."""
    modules = _on_the_cpu(config)
    there = [item for item in items if "numpy" in modules or _concerns(item, modules)]
    chosen = [item for item in there if None not in map(_parameters(item).get, NEEDED, NEEDED)]
    left_out = set(items).difference(chosen)
    for item in chosen:
        named = [one.name for one in _parameters(item).values() if isinstance(one, Backend)]
        item.user_properties += [("backend", name) for name in named]
    items[:] = chosen
    config.hook.pytest_deselected(items=list(left_out))


# Fixtures without which there is nothing to run.
NEEDED = ("eager", "cupy")
# How many tests ran on each backend.
RAN: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and not report.skipped:
        RAN.update(name for kind, name in report.user_properties if kind == "backend")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run fail that was to be on a GPU, and had no test there."""
    if _idle_gpus(session.config) and session.exitstatus in _FINE:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    idle = _idle_gpus(terminalreporter.config)
    if idle:
        terminalreporter.section("GPUs")
        terminalreporter.write_line(f"no test ran on {', '.join(idle)}: this run fails")


def _idle_gpus(config: pytest.Config) -> list[str]:
    """Return the selected backends on a GPU on which nothing ran."""
    if config.option.collectonly or hasattr(config, "workerinput"):
        return []
    return [b.name for b in config.array_losses_backends if b.on_gpu and not RAN[b.name]]


_FINE = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def _on_the_cpu(config: pytest.Config) -> set[str]:
    """Return the modules of the selected backends that are not on a GPU."""
    return {one.module for one in config.array_losses_backends if not one.on_gpu}


def _concerns(item: pytest.Item, modules: set[str]) -> bool:
    """Return whether a test is on a selected backend, or on one of these modules on the CPU."""
    parameters = _parameters(item).values()
    if modules & set(item.fixturenames) or any(isinstance(one, Backend) for one in parameters):
        return True
    named = [BACKENDS.get(one) for one in parameters if isinstance(one, str)]
    return any(backend.module in modules for backend in named if backend is not None)


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def _marks(backend: Backend, *values: object) -> tuple[pytest.MarkDecorator, ...]:
    if backend.name == "strict-no_x64" and any(getattr(one, "sorts", False) for one in values):
        return (SORTING_WITHOUT_INT64,)
    return ()


SORTING_WITHOUT_INT64 = pytest.mark.xfail(
    raises=ValueError,
    strict=True,
    reason="array-api-strict 2.6.1: argsort asks for int64, which the device no_x64 does not have",
)


def _along(backend: Backend, axis: str) -> Sequence[object]:
    if axis not in {"case", "scalar_case"}:
        return getattr(backend, f"{axis}s")
    table = getattr(cases, backend.cases)
    if axis == "scalar_case":
        return [case for case in table if case.is_scalar]
    if backend.cases == "COVER":  # the value of a scalar is compiled, and tested, with its gradient
        return [case for case in table if not case.is_scalar]
    return table


@pytest.fixture(autouse=True, scope="module")
def _without_what_jax_compiled() -> Iterator[None]:
    """Free compiled programs after each file: 3,000 of them hold all memory maps of a process."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend of tests/backends.py, in its mode while the test runs."""
    with request.param.mode():
        yield request.param


@pytest.fixture
def eager(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """As `backend`, one for each library that runs the engine."""
    with request.param.mode():
        yield request.param


@pytest.fixture
def library(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """As `backend`, one for each library."""
    with request.param.mode():
        yield request.param


@pytest.fixture
def cupy(request: pytest.FixtureRequest) -> ModuleType:
    """The stand-in for CuPy; tests are left out where it is not selected."""
    return request.param.library


def _module(config: pytest.Config, module: str) -> ModuleType:
    if module not in _on_the_cpu(config):
        pytest.skip(f"no {module} backend is selected")
    return pytest.importorskip(module)


@pytest.fixture
def torch(pytestconfig: pytest.Config) -> ModuleType:
    """PyTorch on the CPU; the test is skipped where no backend of it is selected."""
    return _module(pytestconfig, "torch")


@pytest.fixture
def jax(pytestconfig: pytest.Config) -> Iterator[ModuleType]:
    """JAX on the CPU with 64-bit types; the test is skipped where no backend of it is selected."""
    jax = _module(pytestconfig, "jax")
    with jax.default_device(BACKENDS["jax"].device), BACKENDS["jax-x64"].mode():
        yield jax

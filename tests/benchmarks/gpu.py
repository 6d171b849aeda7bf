"""``python -m tests.benchmarks.gpu``, run in a checkout: time and memory on a GPU, beside others.

A step is a value with its gradient. PyTorch and CuPy are timed by events on the device, JAX by the
clock of the host, which waits for each result. With ``--device cpu`` the same runs without a GPU,
to try it out.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from tests.benchmarks.calls import cupy_calls, forget_compiled, jax_calls, torch_calls
from tests.benchmarks.contenders import BINS, our_loss
from tests.benchmarks.peers import jax_peers, missing, torch_peers
from tests.benchmarks.results import about_this_machine
from tests.benchmarks.tables import TITLES
from tests.benchmarks.workloads import Workload, make_inputs, tiny

if TYPE_CHECKING:
    from tests.benchmarks.calls import Preparation
    from tests.benchmarks.workloads import Inputs

__all__ = ["Contender", "main", "measure"]

WORKLOADS = {
    one.name: one
    for one in (
        Workload("64", (4, 19, 64, 64)),
        Workload("512", (4, 19, 512, 512)),
        Workload("1024", (4, 2, 1024, 1024)),
        Workload("volume", (1, 4, 128, 128, 128)),
    )
}
FRAMEWORKS = ("torch", "compile", "jax", "cupy")
_LOSSES = ("ce", "focal", "dice", "ce+dice", "lovasz")
# Those whose losses users of a GPU would take instead.
_PEERS = ("torch", "monai", "kornia", "optax")
_BATCH_MS = 2.0  # of calls between two events: long beside what an event takes


# --- who takes part -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contender:
    """A name, the framework by which it is timed, and how its calls are prepared."""

    name: str
    framework: str
    prepare: Preparation


def contenders(framework: str, loss: str, workload: Workload) -> list[Contender]:
    """Return ours and the peers of one of `FRAMEWORKS`."""
    if framework != "cupy" and ("torch" if framework == "compile" else framework) in missing():
        return []
    variants = (False, True) if loss == "lovasz" else (False,)
    found = []
    for binned in variants:
        name = f"array_losses, {framework}{f', {BINS:,} bins' if binned else ''}"
        criterion = our_loss(loss, binary=False, binned=binned)
        found.append(Contender(name, framework, partial(_ours(framework), criterion)))
    if framework in {"torch", "compile"}:
        peers = torch_peers(loss, workload, compiled=framework == "compile")
    else:
        peers = jax_peers(loss, workload) if framework == "jax" else {}
    return found + [
        Contender(f"{name}{', compile' if framework == 'compile' else ''}", framework, prepare)
        for name, prepare in peers.items()
        if any(word in name for word in _PEERS) and "smp" not in name
    ]


def _ours(framework: str) -> Callable[..., Any]:
    if framework == "compile":
        return partial(torch_calls, compiled=True)
    return {"torch": torch_calls, "jax": jax_calls, "cupy": cupy_calls}[framework]


# --- how a step is measured -----------------------------------------------------------------------


class _Stopwatch(Protocol):
    """Measures calls of one framework on one device."""

    def milliseconds(self, call: Callable[[], Any], times: int) -> float:
        """Return what one of so many calls takes."""

    def peak(self, call: Callable[[], Any]) -> int | None:
        """Return the bytes that a call holds at one time beyond its inputs, if that is known."""


class _Clock:
    """The clock of the host, for calls that wait for their results."""

    def milliseconds(self, call: Callable[[], Any], times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            call()
        return 1e3 * (time.perf_counter() - start) / times

    def peak(self, call: Callable[[], Any]) -> int | None:
        del call
        return None


class _TorchEvents:
    """Events on PyTorch's stream, and what its allocator knows."""

    def __init__(self) -> None:
        import torch

        self.cuda = torch.cuda

    def milliseconds(self, call: Callable[[], Any], times: int) -> float:
        start, end = (self.cuda.Event(enable_timing=True) for _ in range(2))
        self.cuda.synchronize()
        start.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / times

    def peak(self, call: Callable[[], Any]) -> int | None:
        gc.collect()
        self.cuda.synchronize()
        self.cuda.reset_peak_memory_stats()
        before = self.cuda.memory_allocated()
        call()
        self.cuda.synchronize()
        return int(self.cuda.max_memory_allocated() - before)


class _CupyEvents(_Clock):
    """Events on CuPy's stream."""

    def milliseconds(self, call: Callable[[], Any], times: int) -> float:
        import cupy

        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        cupy.cuda.Device().synchronize()
        start.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        return float(cupy.cuda.get_elapsed_time(start, end)) / times


def _stopwatch(framework: str, device: str) -> _Stopwatch:
    if device == "cpu" or framework == "jax":
        return _Clock()
    return _CupyEvents() if framework == "cupy" else _TorchEvents()


@dataclass(frozen=True)
class Row:
    """What a step of one contender takes: least and middle time, most memory."""

    contender: str
    minimum: float = float("nan")
    middle: float = float("nan")
    peak: int | None = None
    problem: str | None = None


def measure(those: Sequence[Contender], inputs: Inputs, seconds: float) -> Iterator[Row]:
    """Yield a row for each contender, of about so many seconds each."""
    for one in those:
        if one.framework == "compile":
            forget_compiled()
        try:
            yield _measured(one, inputs, seconds)
        except Exception as error:  # noqa: BLE001 - the table says what it is
            first = str(error).strip().partition("\n")[0]
            yield Row(one.name, problem=f"{type(error).__name__}: {first}")


def _measured(one: Contender, inputs: Inputs, seconds: float) -> Row:
    stopwatch = _stopwatch(one.framework, inputs.device)
    step = one.prepare(inputs).gradient
    for _ in range(3):  # imports, compilation, pools, caches
        step()
    once = stopwatch.milliseconds(step, 1)
    times = max(1, min(1000, round(_BATCH_MS / max(once, 1e-3))))
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        found.append(stopwatch.milliseconds(step, times))
    return Row(one.name, min(found), median(found), stopwatch.peak(step))


# --- the command ----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print tables in Markdown."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others want memory too
    warnings.simplefilter("ignore")  # the peers' own
    if options.device == "cuda" and not _on_a_gpu():
        print("python -m tests.benchmarks.gpu: no CUDA device was found", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {value}" for name, value in about_this_machine().items()))
    for name, how in missing().items():
        print(f"{name}: {how}")
    for name in options.workloads:
        workload = tiny(WORKLOADS[name]) if options.tiny else WORKLOADS[name]
        inputs = replace(make_inputs(workload), device=options.device)
        for loss in options.losses:
            those = [c for one in options.frameworks for c in contenders(one, loss, workload)]
            _print(f"{TITLES[loss]}, {workload.title()}", workload, those, inputs, options.seconds)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    for option, known in (
        ("workloads", tuple(WORKLOADS)),
        ("losses", _LOSSES),
        ("frameworks", FRAMEWORKS),
    ):
        default = [one for one in known if one != "compile"]
        what = f"any of {', '.join(known)}; default: {', '.join(default)}"
        parser.add_argument(f"--{option}", nargs="+", choices=known, default=default, help=what)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each contender")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="8 pixels along each axis, to try it")
    return parser


def _on_a_gpu() -> bool:
    """Print the name of the GPU, and return whether there is one."""
    import torch

    if not torch.cuda.is_available():
        return False
    print(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return True


def _print(
    title: str, workload: Workload, those: Sequence[Contender], inputs: Inputs, seconds: float
) -> None:
    print(f"\n### {title}\n\n| | ms | median | peak ÷ logits |\n| --- | ---: | ---: | ---: |")
    for row in measure(those, inputs, seconds):
        if row.problem is not None:
            print(f"| {row.contender} | {row.problem} | | |", flush=True)
            continue
        peak = "–" if row.peak is None else f"{row.peak / workload.logits_bytes:.2f}"
        times = f"{row.minimum:.3f} | {row.middle:.3f}"
        print(f"| {row.contender} | {times} | {peak} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())

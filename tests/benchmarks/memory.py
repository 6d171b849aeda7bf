"""Memory: how far the resident set of a fresh process grows while a loss is computed.

It is read from Linux' /proc. The process is forked from one that has imported the packages and
computed nothing; it makes the inputs, calls the loss once on a tiny input, and starts to count.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import resource
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.contenders import IN_FLOAT32, contenders
from tests.benchmarks.workloads import make_inputs, tiny

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.workloads import Workload

__all__ = [
    "MemoryRow",
    "forking",
    "limit_memory",
    "measure_memory",
    "measured_here",
    "those_measured",
]

_STATUS = Path("/proc/self/status")
_SHARE = 0.85  # of the memory that is free: more is not tried
_PRELOADED = ("numpy", "torch", "monai.losses", "kornia.losses", "keras", __name__)


@dataclass(frozen=True)
class MemoryRow:
    """The peaks beyond the inputs, in bytes, or why there are none."""

    workload: str
    loss: str
    contender: str
    framework: str
    ours: bool
    binned: bool
    logits_bytes: int
    forward: int | None = None
    gradient: int | None = None
    problem: str | None = None


def measured_here() -> bool:
    """Return whether this system tells what is needed."""
    return _STATUS.exists() and "VmHWM" in _STATUS.read_text("ascii")


def those_measured(loss: str, workload: Workload) -> list[Contender]:
    """Return the eager contenders."""
    return [one for one in contenders("eager", loss, workload) if one.name != IN_FLOAT32]


def forking() -> BaseContext:
    """Return what makes processes that have imported everything and computed nothing."""
    os.environ["KERAS_BACKEND"] = "torch"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


def measure_memory(
    context: BaseContext, workload: Workload, loss: str, contender: Contender
) -> MemoryRow:
    """Return the peaks of one contender, from a process of its own."""
    forward = gradient = problem = None
    try:
        with ProcessPoolExecutor(1, context) as process:
            forward, gradient = process.submit(_peaks, workload, loss, contender.name).result()
    except BrokenProcessPool:
        problem = "its process was killed"
    except Exception as error:  # noqa: BLE001 - the table says what it is
        problem = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return MemoryRow(
        workload=workload.name,
        loss=loss,
        contender=contender.name,
        framework=contender.framework,
        ours=contender.ours,
        binned=contender.binned,
        logits_bytes=workload.logits_bytes,
        forward=forward,
        gradient=gradient,
        problem=problem,
    )


def _peaks(workload: Workload, loss: str, name: str) -> tuple[int, int]:
    """Return the peak beyond the inputs of the value, then of the value with the gradient."""
    (contender,) = [one for one in those_measured(loss, workload) if one.name == name]
    for call in contender.prepare(make_inputs(tiny(workload))):
        call()
    limit_memory()
    calls = contender.prepare(make_inputs(workload))
    _tidy_up()
    before = _bytes("VmRSS")
    # What the first call leaves behind counts for the second: nothing is hidden between them.
    peaks = []
    for call in calls:
        _tidy_up()
        result = call()
        peaks.append(max(0, _bytes("VmHWM") - before))
        del result
    return peaks[0], peaks[1]


def _tidy_up() -> None:
    """Free what is free, and let the peak start from here."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def limit_memory() -> None:
    """Let the process fail when the memory that is free now is used up, before others do."""
    if not measured_here():
        return
    info = Path("/proc/meminfo").read_text("ascii")
    (free,) = [int(line.split()[1]) << 10 for line in info.splitlines() if "MemAvailable" in line]
    _, highest = resource.getrlimit(resource.RLIMIT_AS)
    limit = _bytes("VmSize") + int(_SHARE * free)
    limit = limit if highest == resource.RLIM_INFINITY else min(limit, highest)
    resource.setrlimit(resource.RLIMIT_AS, (limit, highest))


def _bytes(name: str) -> int:
    for line in _STATUS.read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    msg = f"{_STATUS} has no {name}"
    raise OSError(msg)

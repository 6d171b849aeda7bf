"""Time: all contenders of a workload and loss, in turn, round after round, in one process."""

from __future__ import annotations

import gc
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.calls import forget_compiled
from tests.benchmarks.contenders import contenders
from tests.benchmarks.memory import limit_memory
from tests.benchmarks.workloads import make_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from tests.benchmarks.calls import Calls
    from tests.benchmarks.contenders import Contender
    from tests.benchmarks.workloads import Inputs, Workload

__all__ = ["Effort", "Group", "Row", "Seconds", "gradient_times", "measure", "worker"]


@dataclass(frozen=True)
class Group:
    """What is measured side by side."""

    mode: str
    workload: Workload
    loss: str
    threads: int


@dataclass(frozen=True)
class Seconds:
    """The least and the middle of several times."""

    minimum: float
    median: float


@dataclass(frozen=True)
class Row:
    """What one contender of a group took, or why it took nothing."""

    mode: str
    workload: str
    loss: str
    threads: int
    contender: str
    framework: str
    ours: bool
    binned: bool
    rounds: int = 0
    forward: Seconds | None = None
    gradient: Seconds | None = None
    problem: str | None = None

    @property
    def group(self) -> tuple[str, str, str, int]:
        """What it was measured side by side with."""
        return self.mode, self.workload, self.loss, self.threads


@dataclass(frozen=True)
class Effort:
    """About how many seconds a contender gets, and how many rounds at least and at most."""

    seconds: float
    least: int = 5
    most: int = 200


@contextmanager
def worker(threads: int, *, confined: bool = False) -> Iterator[Executor]:
    """Give a fresh process that works with so many threads.

    PyTorch, NumPy and our library take their number of threads from the environment; JAX takes the
    cores that the process may use, so for it the process is confined to as many.
    """
    environment = {"OMP_NUM_THREADS": str(threads), "ARRAY_LOSSES_THREADS": str(threads)}
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_start, initargs=(threads, confined)
        ) as pool:
            pool.submit(int).result()  # so that it starts with this environment
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(threads: int, confined: bool) -> None:
    limit_memory()  # so that who asks for too much fails alone, and not the process
    warnings.simplefilter("ignore")  # the peers' own, and torch.compile's: the table is to be read
    if confined and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


_inputs = lru_cache(maxsize=1)(make_inputs)


def measure(group: Group, effort: Effort) -> list[Row]:
    """Return a row for each contender of the group."""
    if group.mode == "compile":
        forget_compiled()
    calls: dict[Contender, Calls] = {}
    problems: dict[Contender, str] = {}
    found = contenders(group.mode, group.loss, group.workload)
    for one in found:
        try:
            calls[one] = one.prepare(_inputs(group.workload))
            for call in calls[one]:  # imports, compilation, pools, caches
                call()
        except Exception as error:  # noqa: BLE001 - the table says what it is
            calls.pop(one, None)
            problems[one] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    times = _interleaved(list(calls.items()), effort)
    return [_row(group, one, times.get(one), problems.get(one)) for one in found]


def _interleaved(
    calls: list[tuple[Contender, Calls]], effort: Effort
) -> dict[Contender, tuple[list[float], list[float]]]:
    """Return the times of the two calls of each contender.

    Everybody is called once a round, beginning with another one each round. The rounds end when
    the time is up that all have together.
    """
    times: dict[Contender, tuple[list[float], list[float]]] = {one: ([], []) for one, _ in calls}
    end = time.perf_counter() + effort.seconds * len(calls)
    gc.collect()
    gc.disable()
    try:
        for number in range(effort.most if calls else 0):
            first = number % len(calls)
            for one, (forward, gradient) in calls[first:] + calls[:first]:
                times[one][0].append(_timed(forward))
                times[one][1].append(_timed(gradient))
            gc.collect()
            if number + 1 >= effort.least and time.perf_counter() > end:
                break
    finally:
        gc.enable()
    return times


def gradient_times(
    those: Sequence[Contender], inputs: Inputs
) -> list[tuple[Contender, list[float]]]:
    """Return times of value and gradient: a second's worth, in turn, and at least two of each.

    Who cannot be called is left out.
    """
    calls = []
    for one in those:
        with suppress(Exception):
            gradient = one.prepare(inputs).gradient
            gradient()
            calls.append((one, gradient))
    times: dict[Contender, list[float]] = {one: [] for one, _ in calls}
    end = time.perf_counter() + 1.0
    while calls and (time.perf_counter() < end or len(times[calls[0][0]]) < 2):
        for one, gradient in calls:
            times[one].append(_timed(gradient))
    return list(times.items())


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    result = call()
    taken = time.perf_counter() - start
    del result  # what it takes to free it is not the loss's
    return taken


def _row(
    group: Group,
    one: Contender,
    times: tuple[list[float], list[float]] | None,
    problem: str | None,
) -> Row:
    forward, gradient = times or ([], [])
    return Row(
        mode=group.mode,
        workload=group.workload.name,
        loss=group.loss,
        threads=group.threads,
        contender=one.name,
        framework=one.framework,
        ours=one.ours,
        binned=one.binned,
        rounds=len(gradient),
        forward=Seconds(min(forward), median(forward)) if forward else None,
        gradient=Seconds(min(gradient), median(gradient)) if gradient else None,
        problem=problem,
    )

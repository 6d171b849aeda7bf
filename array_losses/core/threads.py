"""Threads that work on blocks side by side, for libraries that release the interpreter lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

__all__ = ["Map", "available", "ordered_map"]

_T = TypeVar("_T")
_R = TypeVar("_R")
# Calls a function for each of some items, maybe side by side; the results are in their order.
Map: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
_pools: dict[int, ThreadPoolExecutor] = {}

# A forked child inherits the pool, but not its threads: it makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


def available() -> int:
    """Return how many threads to use: the cores we may use, at most OMP_NUM_THREADS."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) > 0 else cores


def ordered_map(function: Callable[[_T], _R], items: Sequence[_T], threads: int) -> list[_R]:
    """Return the results in the order of the items: sums over them never depend on timing."""
    if threads <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="array_losses")
    job = _Job(function, items)
    # The calling thread is one of them, and a future is what a thread costs, not what an item does.
    helpers = _helpers(_pools[threads], job, min(threads, len(items)) - 1)
    try:
        job.work()
    finally:  # Nobody works on when this returns, or raises.
        job.left.clear()
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
        # A helper that came too late stays in the pool's queue, and with it the job.
        results = job.results
        del job.function, job.items, job.results
    for error in errors:
        if error is not None:
            try:
                raise error
            finally:  # It refers to this frame, which must not refer to it.
                del error, errors, helpers
    return results


def _helpers(pool: ThreadPoolExecutor, job: _Job, number: int) -> list[Future[None]]:
    """Return so many threads that work on a job; none once the interpreter starts no more.

    That is so as soon as the main thread has ended: for another thread that still works, and for
    what is called at exit.
    """
    helpers: list[Future[None]] = []
    with suppress(RuntimeError):
        helpers.extend(pool.submit(job.work) for _ in range(number))
    return helpers


class _Job:
    """Items that are left to a function, and its results."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.function = function
        self.items = items
        self.results: list[Any] = [None] * len(items)
        self.left = deque(range(len(items)))

    def work(self) -> None:
        """Take one item after the other."""
        while self.left:
            try:
                n = self.left.popleft()
            except IndexError:  # Another thread was faster.
                return
            self.results[n] = self.function(self.items[n])
